// Runs a bundle by the light runtime: what goes in and out, which plan is used, where time goes.
//
//   run_bundle FILE.convopt [THREADS]
//
// Inputs are zeros. The bundle comes from `convopt bundle`.
#include <algorithm>
#include <convopt/session.hpp>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

namespace {

int fail(const convopt::Error& error) {
  std::fprintf(stderr, "run_bundle: %s\n", error.message.c_str());
  return 1;
}

/// Memory for these tensors, and views of it.
template <class View>
struct Arrays {
  explicit Arrays(std::span<const convopt::Tensor> tensors) {
    for (const convopt::Tensor& tensor : tensors) {
      const std::size_t bytes =
          static_cast<std::size_t>(tensor.shape.elements()) * convopt::element_bytes(tensor.type);
      data.emplace_back(bytes);
      View view;
      view.name = tensor.name;
      view.data = data.back().data();
      view.bytes = bytes;
      views.push_back(view);
    }
  }
  std::vector<std::vector<std::byte>> data;
  std::vector<View> views;
};

void print(const char* what, std::span<const convopt::Tensor> tensors) {
  for (const convopt::Tensor& tensor : tensors) {
    std::printf("%s %s:", what, tensor.name.c_str());
    for (const int size : tensor.shape.sizes()) std::printf(" %d", size);
    std::printf("\n");
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2 || argc > 3) {
    std::fprintf(stderr, "usage: run_bundle FILE.convopt [THREADS]\n");
    return 2;
  }
  convopt::PlanRequest request;
  if (argc == 3) request.threads = std::atoi(argv[2]);
  const auto session = convopt::Session::open(argv[1], request);
  if (!session) return fail(session.error());
  if (!session->note().empty()) std::fprintf(stderr, "run_bundle: %s\n", session->note().c_str());
  print("input", session->inputs());
  print("output", session->outputs());

  const Arrays<convopt::InputView> inputs(session->inputs());
  const Arrays<convopt::OutputView> outputs(session->outputs());
  std::vector<convopt::LayerTime> times;
  convopt::RunOptions options;
  options.layer_times = &times;
  const std::span<const convopt::InputView> in(inputs.views);
  const std::span<const convopt::OutputView> out(outputs.views);
  if (const auto ran = session->run(in, out, options); !ran) return fail(ran.error());

  std::ranges::sort(times, std::ranges::greater(), &convopt::LayerTime::ns);
  if (times.size() > 5) times.resize(5);
  for (const convopt::LayerTime& time : times) {
    std::printf("%8.1f us %s by %s\n", static_cast<double>(time.ns) / 1e3,
                std::string(time.name).c_str(), std::string(time.primitive).c_str());
  }
}
