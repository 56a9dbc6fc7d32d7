// One convolution by the fastest primitive for its shape on this machine.
//
//   planned_convolution MODEL [SHAPE [PRIMITIVE]]
//
// for example
//   planned_convolution data/models/default.ubj n1_ic64_ih56_iw56_oc64_kh3_kw3_s1_p1
// MODEL is a performance model (convopt train, convopt transfer) or a profile (convopt profile).
// With PRIMITIVE, a name that `convopt list` shows, nothing is chosen.
#include <chrono>
#include <convopt/convopt.hpp>
#include <cstdio>
#include <memory>
#include <new>
#include <string>
#include <string_view>
#include <vector>

namespace {

int fail(const convopt::Error& error) {
  std::fprintf(stderr, "planned_convolution: %s\n", error.message.c_str());
  return 1;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2 || argc > 4) {
    std::fprintf(stderr, "usage: planned_convolution MODEL [SHAPE [PRIMITIVE]]\n");
    return 2;
  }
  const auto shape =
      convopt::ConvShape::parse(argc > 2 ? argv[2] : "n1_ic64_ih56_iw56_oc64_kh3_kw3_s1_p1");
  if (!shape) return fail(shape.error());
  convopt::Epilogue epilogue;
  epilogue.activation.kind = convopt::ActivationKind::relu;
  const auto workload = convopt::Workload::conv(*shape, epilogue);

  convopt::PlannerOptions options;
  options.threads = 1;
  options.measure_machine = true;  // a model predicts from this machine's peak and bandwidths
  const std::string_view times = argv[1];
  (times.ends_with(".ubj") ? options.model : options.profile) = times;
  const auto planner = convopt::Planner::create(options);
  if (!planner) return fail(planner.error());

  const convopt::Primitive* primitive = nullptr;
  if (argc > 3) {
    primitive = planner->registry().find(argv[3]);
    if (primitive == nullptr || primitive->info().op != workload.op) {
      std::fprintf(stderr, "planned_convolution: there is no convolution '%s'\n", argv[3]);
      return 2;
    }
    if (auto applies = primitive->applicability(workload, planner->registry().context());
        !applies) {
      std::fprintf(stderr, "planned_convolution: %s: %s\n", argv[3], applies.reason.c_str());
      return 2;
    }
  } else {
    const auto choices = planner->rank(workload);
    if (!choices) return fail(choices.error());
    primitive = choices->front().primitive;
    for (std::size_t i = 0; i < choices->size() && i < 3; ++i) {
      const convopt::Choice& choice = (*choices)[i];
      std::printf("%zu. %s, %.1f us\n", i + 1, choice.primitive->info().name.c_str(),
                  choice.time.ns / 1e3);
    }
  }

  // Every weight 1 and every input 1: an inner result is the number of weights that meet in it.
  const std::vector<float> weights(static_cast<std::size_t>(shape->weight_elements()), 1.0F);
  const auto kernel =
      primitive->prepare(workload, {std::span(weights), {}}, planner->registry().context());
  if (!kernel) return fail(kernel.error());

  // A tensor in a blocked layout is filled up with zeros to whole blocks of channels.
  const auto input_layout = primitive->info().input_layout;
  const auto output_layout = primitive->info().output_layout;
  std::vector<float> input(convopt::padded_elements(shape->input(), input_layout));
  std::vector<float> output(convopt::padded_elements(shape->output(), output_layout));
  const auto source = convopt::TensorView::dense(input.data(), shape->input(), input_layout);
  for (int n = 0; n < shape->n; ++n) {
    for (int c = 0; c < shape->ic; ++c) {
      for (int h = 0; h < shape->ih; ++h) {
        for (int w = 0; w < shape->iw; ++w) source.at(n, c, h, w) = 1;
      }
    }
  }
  convopt::RunArgs args;
  args.sources = {&source, 1};
  args.destination = convopt::TensorView::dense(output.data(), shape->output(), output_layout);
  const std::align_val_t alignment{64};
  void* const workspace = ::operator new((*kernel)->workspace_bytes(), alignment);
  args.workspace = workspace;
  (*kernel)->run(args);
  const auto start = std::chrono::steady_clock::now();
  (*kernel)->run(args);
  const std::chrono::duration<double, std::micro> spent = std::chrono::steady_clock::now() - start;
  ::operator delete(workspace, alignment);

  std::printf(
      "%s: %.1f us, a result in the middle is %g\n", primitive->info().name.c_str(), spent.count(),
      args.destination.at(0, 0, args.destination.shape.h() / 2, args.destination.shape.w() / 2));
}
