// Weighted sums of a few elements along an axis.
#include <algorithm>
#include <array>
#include <vector>

#include "primitives/plain/indices.h"
#include "primitives/plain/loops.h"

namespace convopt::plain {
namespace {

/// The weights of a workload: element and factor for each result along the axis, for the first of
/// the window, then the second, ...
struct Taps {
  Taps(const Workload& workload, const float* weights)
      : count(workload.count), window(workload.window) {
    const std::int64_t all = std::int64_t{count} * window;
    const int size = workload.first[workload.axis];
    for (int k = 0; k < window; ++k) {
      for (int i = 0; i < count; ++i) {
        const std::int64_t number = std::int64_t{i} * window + k;
        elements.push_back(static_cast<std::int32_t>(element_number(weights[number], size)));
        factors.push_back(weights[all + number]);
      }
    }
  }
  static std::size_t bytes(const Workload& workload) {
    return std::size_t(workload.count) * workload.window * (sizeof(std::int32_t) + sizeof(float));
  }

  int count, window;
  std::vector<std::int32_t> elements;
  std::vector<float> factors;
};

class ResampleKernel final : public Kernel {
 public:
  ResampleKernel(const Workload& workload, const Parameters& parameters, const Context& context)
      : workload_(workload),
        taps_(workload, parameters.weights.as<float>()),
        threads_(context.threads) {}

  void run(const RunArgs& args) const noexcept override {
    const TensorView& in = args.sources[0];
    const TensorView& out = args.destination;
    const auto axis = static_cast<std::size_t>(workload_.axis);
    const Loops<2> loops(row_starts(out.shape, workload_.axis), {in.strides, out.strides});
    const std::int64_t from = in.strides[axis], to = out.strides[axis];
    const float* const x = in.as<float>();
    float* const y = out.as<float>();
    if (loops.has_neighbours(0) && loops.has_neighbours(1)) {
      loops.for_each_row(
          threads_,
          [&](const auto& at, std::int64_t columns) {
            resample_columns(x + at[0], from, y + at[1], to, columns);
          },
          kColumns, kOutputs / taps_.count);
    } else {
      loops.for_each_element(
          threads_, [&](const auto& at) { resample(x + at[0], from, y + at[1], to); }, kOutputs,
          kOutputs / taps_.count);
    }
  }
  std::size_t workspace_bytes() const override { return 0; }
  std::size_t packed_bytes() const override { return Taps::bytes(workload_); }

 private:
  static constexpr std::int64_t kColumns = 512;
  static constexpr std::int64_t kOutputs = 4096;  ///< of a block

  /// One column: result by result, for each of the window.
  void resample(const float* x, std::int64_t from, float* y, std::int64_t to) const {
    const std::int32_t* element = taps_.elements.data();
    const float* factor = taps_.factors.data();
    for (int i = 0; i < taps_.count; ++i) y[i * to] = factor[i] * x[element[i] * from];
    for (int k = 1; k < taps_.window; ++k) {
      element += taps_.count;
      factor += taps_.count;
      for (int i = 0; i < taps_.count; ++i) y[i * to] += factor[i] * x[element[i] * from];
    }
  }

  /// Columns beside each other: two of the window in one pass.
  void resample_columns(const float* x, std::int64_t from, float* y, std::int64_t to,
                        std::int64_t columns) const {
    for (int i = 0; i < taps_.count; ++i, y += to) {
      const std::int32_t* element = taps_.elements.data() + i;
      const float* factor = taps_.factors.data() + i;
      int k = 0;
      if (taps_.window % 2 == 1) {
        const float* const a = x + *element * from;
        const float first = *factor;
        for (std::int64_t c = 0; c < columns; ++c) y[c] = first * a[c];
        k = 1;
      }
      for (; k < taps_.window; k += 2) {
        const std::int64_t one = std::int64_t{k} * taps_.count, next = one + taps_.count;
        const float* const a = x + element[one] * from;
        const float* const b = x + element[next] * from;
        const float first = factor[one], second = factor[next];
        if (k == 0) {
          for (std::int64_t c = 0; c < columns; ++c) y[c] = first * a[c] + second * b[c];
        } else {
          for (std::int64_t c = 0; c < columns; ++c) y[c] += first * a[c] + second * b[c];
        }
      }
    }
  }

  Workload workload_;
  Taps taps_;
  int threads_;
};

class ResamplePrimitive final : public Primitive {
 public:
  using Primitive::Primitive;

  Applicability applicability(const Workload&, const Context&) const override {
    return Applicability::yes();
  }
  std::size_t workspace_bytes(const Workload&, const Context&) const override { return 0; }
  std::size_t packed_bytes(const Workload& workload, const Context&) const override {
    return Taps::bytes(workload);
  }
  Result<std::unique_ptr<Kernel>> make_kernel(const Workload& workload,
                                              const Parameters& parameters,
                                              const Context& context) const override {
    return std::unique_ptr<Kernel>(std::make_unique<ResampleKernel>(workload, parameters, context));
  }
};

}  // namespace

std::unique_ptr<Primitive> make_resample(PrimitiveInfo info, const Context&,
                                         std::initializer_list<int>) {
  return make_primitive<ResamplePrimitive>(std::move(info),
                                           "weighted sums of rows, or of elements of a row");
}

}  // namespace convopt::plain
