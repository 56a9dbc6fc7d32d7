// Runs a primitive on random data and compares with the double-precision reference.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "convopt/primitive.hpp"
#include "primitives/own.h"
#include "primitives/reference/reference.h"

namespace convopt::onednn_test {

/// A dense tensor between guards, filled with NaN, its padding included. It lies `offset` floats
/// behind the start of a cache line.
class Buffer {
 public:
  Buffer(const TensorShape& shape, Layout layout, std::size_t offset = 0)
      : floats_(static_cast<std::size_t>(padded_elements(shape, layout)) + 2 * kGuard + offset),
        view_(TensorView::dense(floats_.data() + kGuard + offset, shape, layout)) {
    std::fill_n(floats_.data(), floats_.size(), std::numeric_limits<float>::quiet_NaN());
    for (std::size_t i = 0; i < kGuard; ++i) front(i) = back(i) = kMark;
  }

  const TensorView& view() const { return view_; }
  bool guards_hold() {
    bool hold = true;
    for (std::size_t i = 0; i < kGuard; ++i) hold &= front(i) == kMark && back(i) == kMark;
    return hold;
  }

 private:
  static constexpr std::size_t kGuard = 16;
  static constexpr float kMark = 12345.0F;
  float& front(std::size_t i) { return floats_.data()[i]; }
  float& back(std::size_t i) { return floats_.data()[floats_.size() - 1 - i]; }

  AlignedFloats floats_;
  TensorView view_;
};

/// A workload with random data in the layouts of a primitive. The data depend on the workload and
/// the seed alone, so that the expected result is computed once for all primitives.
struct Problem {
  Problem(const Workload& what, Layout input, Layout output, std::uint64_t seed = 1,
          std::size_t offset = 0)
      : workload(what),
        residual(what.output(), output, offset),
        destination(what.output(), output, offset) {
    for (int i = 0; i < workload.source_count(); ++i) {
      sources.emplace_back(std::make_unique<Buffer>(workload.source(i), input, offset));
      reference::fill_random(sources.back()->view(), seed + static_cast<std::uint64_t>(i));
      source_views.push_back(sources.back()->view());
    }
    reference::fill_random(residual.view(), seed + 100);
    if (workload.has_weights()) {
      weights.resize(static_cast<std::size_t>(workload.weight_elements()));
      bias.resize(static_cast<std::size_t>(workload.bias_elements()));
      reference::fill_weights(workload, weights, seed + 200);
      reference::fill_random(bias.data(), workload.bias_elements(), seed + 300, 1.0F);
    }
    static std::map<std::string, std::unique_ptr<Buffer>> known;
    auto& result = known[workload.text() + std::to_string(seed)];
    if (!result) {
      result = std::make_unique<Buffer>(workload.output(), Layout::nchw);
      reference::run(workload, parameters(), {source_views, result->view(), residual.view(), {}});
    }
    expected = result->view();
  }

  Parameters parameters() const {
    return {std::span<const float>(weights), std::span<const float>(bias)};
  }
  RunArgs args(void* workspace) const {
    return {source_views, destination.view(),
            workload.epilogue.residual ? residual.view() : TensorView{}, workspace};
  }
  double error() const { return reference::max_relative_error(destination.view(), expected); }

  Workload workload;
  std::vector<std::unique_ptr<Buffer>> sources;
  std::vector<TensorView> source_views;
  Buffer residual, destination;
  TensorView expected;  ///< in nchw
  std::vector<float> weights, bias;
};

/// Empty if the primitive computes the workload correctly, twice, within the bounds of its traits,
/// else what went wrong. `offset`: see Buffer.
inline std::string check(const Primitive& primitive, const Workload& workload,
                         const Context& context, std::size_t offset = 0) {
  const auto failure = [&](const std::string& what) {
    return std::string(primitive.name()) + " " + workload.text() + " t" +
           std::to_string(context.threads) + ": " + what + "\n";
  };
  Problem problem(workload, primitive.info().input_layout, primitive.info().output_layout, 1,
                  offset);
  auto kernel = primitive.prepare(workload, problem.parameters(), context);
  if (!kernel) return failure(kernel.error().message);
  if ((*kernel)->workspace_bytes() != primitive.workspace_bytes(workload, context)) {
    return failure("announces another workspace than it asks for");
  }
  if ((*kernel)->packed_bytes() != primitive.packed_bytes(workload, context)) {
    return failure("announces other packed weights than it holds");
  }
  AlignedFloats workspace((*kernel)->workspace_bytes() / sizeof(float) + 16);
  const double bound = error_bound(workload, primitive.info().traits);
  for (int round = 0; round < 2; ++round) {
    // The second round finds its buffers bound, and NaN in every place that it has to write.
    Buffer fresh(workload.output(), primitive.info().output_layout);
    std::copy_n(fresh.view().as<float>(),
                padded_elements(workload.output(), primitive.info().output_layout),
                problem.destination.view().as<float>());
    (*kernel)->run(problem.args(workspace.data()));
    const double error = problem.error();
    if (!(error <= bound)) {
      return failure("error " + std::to_string(error) + " exceeds " + std::to_string(bound));
    }
    if (!reference::tail_is_zero(problem.destination.view())) return failure("tail is not zero");
  }
  bool hold = problem.destination.guards_hold() && problem.residual.guards_hold();
  for (const auto& source : problem.sources) hold &= source->guards_hold();
  if (!hold) return failure("writes outside its tensors");
  return {};
}

}  // namespace convopt::onednn_test
