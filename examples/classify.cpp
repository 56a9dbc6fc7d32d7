// Classifies an image by a plan: the five classes with the highest scores.
//
//   classify NETWORK PLAN INPUT.npy
//
// The plan comes from `convopt select NETWORK -o PLAN`. An ONNX model brings its weights; the
// network files that convopt ships hold none, so these are random, from the same seed as those of
// `convopt run`. A program with weights of its own gives them by name to convopt::GivenWeights.
#include <algorithm>
#include <convopt/convopt.hpp>
#include <cstdio>
#include <numeric>
#include <string>
#include <vector>

namespace {

int fail(const convopt::Error& error) {
  std::fprintf(stderr, "classify: %s\n", error.message.c_str());
  return 1;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 4) {
    std::fprintf(stderr, "usage: classify NETWORK PLAN INPUT.npy\n");
    return 2;
  }
  const auto network = convopt::load_network(argv[1]);
  if (!network) return fail(network.error());
  const auto plan = convopt::load_plan(argv[2]);
  if (!plan) return fail(plan.error());
  const auto image = convopt::load_npy(argv[3]);
  if (!image) return fail(image.error());

  const auto weights = convopt::network_weights(*network, 1);
  auto session = convopt::Session::create(*network, *plan, *weights);
  if (!session) return fail(session.error());
  const convopt::TensorShape& input = session->inputs().front().shape;
  if (image->shape != std::vector<std::int64_t>{input.n(), input.c(), input.h(), input.w()}) {
    std::fprintf(stderr, "classify: the image is not %d x %d x %d x %d\n", input.n(), input.c(),
                 input.h(), input.w());
    return 3;
  }

  // One image is the first of the batch.
  std::vector<std::vector<float>> results;
  std::vector<float*> pointers;
  for (const convopt::Tensor& output : session->outputs()) {
    results.emplace_back(static_cast<std::size_t>(output.shape.elements()));
    pointers.push_back(results.back().data());
  }
  const float* const pixels = image->values.data();
  if (auto ran = session->run({&pixels, 1}, pointers); !ran) return fail(ran.error());

  const auto& scores = results.front();
  const auto& shape = session->outputs().front().shape;
  std::vector<int> classes(static_cast<std::size_t>(shape.elements() / shape.n()));
  std::iota(classes.begin(), classes.end(), 0);
  const auto best = classes.begin() + std::min<std::ptrdiff_t>(5, std::ssize(classes));
  std::partial_sort(classes.begin(), best, classes.end(),
                    [&](int a, int b) { return scores[a] > scores[b]; });
  for (auto c = classes.begin(); c != best; ++c) std::printf("%d %.6g\n", *c, scores[*c]);
}
