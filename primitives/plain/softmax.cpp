// Softmax along any axis.
#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "primitives/plain/loops.h"

namespace convopt::plain {
namespace {

/// `combine` over all values, in as many chains as a compiler makes vectors of.
template <class Combine>
float fold(const float* data, std::int64_t count, float start, const Combine& combine) {
  constexpr std::int64_t kChains = 16;
  std::array<float, kChains> chains;
  chains.fill(start);
  std::int64_t i = 0;
  for (; i + kChains <= count; i += kChains) {
    for (std::int64_t j = 0; j < kChains; ++j) {
      auto& chain = chains[static_cast<std::size_t>(j)];
      chain = combine(chain, data[i + j]);
    }
  }
  float result = start;
  for (; i < count; ++i) result = combine(result, data[i]);
  for (const float chain : chains) result = combine(result, chain);
  return result;
}

/// Returns either of a number and a NaN: the exponentials' sum is NaN in any case.
float larger(float a, float b) { return a > b ? a : b; }

class SoftmaxKernel final : public WeightlessKernel {
 public:
  SoftmaxKernel(const PrimitiveInfo&, const Workload& workload, const Context& context)
      : axis_(static_cast<std::size_t>(workload.axis)),
        count_(workload.first[workload.axis]),
        threads_(context.threads),
        activate_(activate_function(context.isa)) {}

  void run(const RunArgs& args) const noexcept override {
    const TensorView& in = args.sources[0];
    const TensorView& out = args.destination;
    const Loops<2> loops(row_starts(out.shape, static_cast<int>(axis_)), {in.strides, out.strides});
    const std::int64_t from = in.strides[axis_], to = out.strides[axis_];
    const float* const x = in.as<float>();
    float* const y = out.as<float>();
    if (loops.has_neighbours(0) && loops.has_neighbours(1)) {
      loops.for_each_row(
          threads_,
          [&](const auto& at, std::int64_t columns) {
            normalise_columns(x + at[0], from, y + at[1], to, columns);
          },
          kColumns);
    } else {
      loops.for_each_element(
          threads_, [&](const auto& at) { normalise(x + at[0], from, y + at[1], to); }, kColumns);
    }
  }

 private:
  /// Neighbouring columns that are worked on together.
  static constexpr std::int64_t kColumns = 512;

  /// One column.
  void normalise(const float* x, std::int64_t x_step, float* y, std::int64_t y_step) const {
    if (x_step != 1 || y_step != 1) {
      normalise_slowly(x, x_step, y, y_step);
      return;
    }
    const float maximum = fold(x, count_, -std::numeric_limits<float>::infinity(), larger);
    for (std::int64_t i = 0; i < count_; ++i) y[i] = x[i] - maximum;
    activate_({ActivationKind::exp}, y, count_);
    const float scale = 1 / fold(y, count_, 0, [](float a, float b) { return a + b; });
    for (std::int64_t i = 0; i < count_; ++i) y[i] *= scale;
  }

  void normalise_slowly(const float* x, std::int64_t x_step, float* y, std::int64_t y_step) const {
    float maximum = -std::numeric_limits<float>::infinity();
    for (std::int64_t i = 0; i < count_; ++i) maximum = larger(maximum, x[i * x_step]);
    double sum = 0;
    for (std::int64_t i = 0; i < count_; ++i) {
      y[i * y_step] = std::exp(x[i * x_step] - maximum);
      sum += y[i * y_step];
    }
    const auto scale = static_cast<float>(1 / sum);
    for (std::int64_t i = 0; i < count_; ++i) y[i * y_step] *= scale;
  }

  /// Columns beside each other.
  void normalise_columns(const float* x, std::int64_t x_step, float* y, std::int64_t y_step,
                         std::int64_t columns) const {
    std::array<float, kColumns> maxima, sums;
    std::fill_n(maxima.begin(), columns, -std::numeric_limits<float>::infinity());
    std::fill_n(sums.begin(), columns, 0.0F);
    for (std::int64_t i = 0; i < count_; ++i) {
      for (std::int64_t c = 0; c < columns; ++c) {
        auto& maximum = maxima[static_cast<std::size_t>(c)];
        maximum = larger(maximum, x[i * x_step + c]);
      }
    }
    // Short rows without gaps are activated together: a call takes as long as two vectors.
    const std::int64_t together =
        y_step == columns ? std::max<std::int64_t>(1, kColumns / columns) : 1;
    for (std::int64_t first = 0; first < count_; first += together) {
      const std::int64_t last = std::min(first + together, count_);
      for (std::int64_t i = first; i < last; ++i) {
        for (std::int64_t c = 0; c < columns; ++c) {
          y[i * y_step + c] = x[i * x_step + c] - maxima[static_cast<std::size_t>(c)];
        }
      }
      activate_({ActivationKind::exp}, y + first * y_step, (last - first) * columns);
      for (std::int64_t i = first; i < last; ++i) {
        for (std::int64_t c = 0; c < columns; ++c) {
          sums[static_cast<std::size_t>(c)] += y[i * y_step + c];
        }
      }
    }
    for (std::int64_t c = 0; c < columns; ++c) {
      auto& sum = sums[static_cast<std::size_t>(c)];
      sum = 1 / sum;
    }
    for (std::int64_t i = 0; i < count_; ++i) {
      for (std::int64_t c = 0; c < columns; ++c) {
        y[i * y_step + c] *= sums[static_cast<std::size_t>(c)];
      }
    }
  }

  std::size_t axis_;
  std::int64_t count_;  ///< along the axis
  int threads_;
  ActivateFunction activate_;
};

}  // namespace

std::unique_ptr<Primitive> make_softmax(PrimitiveInfo info, const Context&,
                                        std::initializer_list<int> variant) {
  return make<SoftmaxKernel>(std::move(info), "maximum, exponentials, division along an axis",
                             variant);
}

}  // namespace convopt::plain
