// Images at places between their elements, which a second source names for every pixel of the
// result.
#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>

#include "primitives/plain/loops.h"

namespace convopt::plain {
namespace {

constexpr std::size_t kWidest = 4;

/// The element that stands for `at`, which may lie outside; -1: a zero.
int inside(std::int64_t at, int size, Border border) {
  if (at >= 0 && at < size) return static_cast<int>(at);
  if (border == Border::zeros) return -1;
  if (border == Border::nearest) return at < 0 ? 0 : size - 1;
  const bool edges = border == Border::mirrored_edges;
  // There and back again; elements at the ends come twice if the mirrors are at their edges.
  const std::int64_t period = edges ? 2 * std::int64_t{size} : 2 * (std::int64_t{size} - 1);
  if (period == 0) return 0;
  const std::int64_t place = (at % period + period) % period;
  return static_cast<int>(place < size ? place : period - place - (edges ? 1 : 0));
}

/// Factors of the elements before, at, behind and two behind the start of a unit interval, at `t`
/// in it: cubic convolution with the parameter -3/4.
std::array<float, kWidest> cubic_factors(float t) {
  constexpr float kA = -0.75F;
  const auto near = [](float x) { return ((kA + 2) * x - (kA + 3)) * x * x + 1; };
  const auto far = [](float x) { return ((kA * x - 5 * kA) * x + 8 * kA) * x - 4 * kA; };
  return {far(1 + t), near(t), near(1 - t), far(2 - t)};
}

/// Elements along one direction and their factors.
struct Line {
  std::array<int, kWidest> elements{};
  std::array<float, kWidest> factors{};
};

Line line_at(float place, int size, std::size_t window, Border border) {
  Line line;
  // Beyond this there are no fractions, and numbers of elements would overflow.
  constexpr float kFar = 1 << 26;
  if (std::abs(place) > kFar) {
    const bool mirrors = border == Border::mirrored || border == Border::mirrored_edges;
    place = mirrors ? std::fmod(place, kFar) : std::clamp(place, -kFar, kFar);
  }
  if (std::isnan(place)) {
    line.factors[0] = place;
    return line;
  }
  const float start = window == 1 ? std::nearbyint(place) : std::floor(place);
  const float t = place - start;
  line.factors = window == 1   ? std::array<float, kWidest>{1}
                 : window == 2 ? std::array<float, kWidest>{1 - t, t}
                               : cubic_factors(t);
  const std::int64_t first = static_cast<std::int64_t>(start) - (window == kWidest ? 1 : 0);
  for (std::size_t k = 0; k < window; ++k) {
    const int element = inside(first + static_cast<std::int64_t>(k), size, border);
    line.elements[k] = std::max(element, 0);
    if (element < 0) line.factors[k] = 0;
  }
  return line;
}

/// What a pixel of the result is made of, in every channel alike.
struct PixelTaps {
  std::array<std::int64_t, kWidest * kWidest> offsets;
  std::array<float, kWidest * kWidest> factors;
  std::size_t count = 0;
};

class GridSampleKernel final : public WeightlessKernel {
 public:
  GridSampleKernel(const PrimitiveInfo&, const Workload& workload, const Context& context)
      : window_(static_cast<std::size_t>(workload.window)),
        border_(static_cast<Border>(workload.border)),
        threads_(context.threads) {}

  void run(const RunArgs& args) const noexcept override {
    const TensorView& out = args.destination;
    const std::int64_t pixels = std::int64_t{out.shape[2]} * out.shape[3];
    const std::int64_t blocks = ceil_div(pixels, kPixels);
    parallel_for(threads_, out.shape[0] * blocks, [&](std::int64_t number) {
      const std::int64_t first = number % blocks * kPixels;
      compute(args, number / blocks, first, std::min(kPixels, pixels - first));
    });
  }

 private:
  static constexpr std::int64_t kPixels = 32;  ///< whose taps are held at a time

  void compute(const RunArgs& args, std::int64_t image, std::int64_t first,
               std::int64_t count) const {
    const TensorView& in = args.sources[0];
    const TensorView& grid = args.sources[1];
    const TensorView& out = args.destination;
    std::array<PixelTaps, kPixels> taps;
    std::array<std::int64_t, kPixels> places;
    for (std::int64_t i = 0; i < count; ++i) {
      const std::int64_t row = (first + i) / out.shape[3], column = (first + i) % out.shape[3];
      const float* const place = grid.as<float>() + image * grid.strides[0] +
                                 row * grid.strides[1] + column * grid.strides[2];
      const auto at = static_cast<std::size_t>(i);
      taps[at] = taps_at(place[0], place[grid.strides[3]], in);
      places[at] = row * out.strides[2] + column * out.strides[3];
    }
    for (std::int64_t c = 0; c < in.shape[1]; ++c) {
      const float* const x = in.as<float>() + image * in.strides[0] + c * in.strides[1];
      float* const y = out.as<float>() + image * out.strides[0] + c * out.strides[1];
      for (std::size_t i = 0; i < static_cast<std::size_t>(count); ++i) {
        float sum = 0;
        for (std::size_t k = 0; k < taps[i].count; ++k) {
          sum += taps[i].factors[k] * x[taps[i].offsets[k]];
        }
        y[places[i]] = sum;
      }
    }
  }

  /// Without those whose factor is zero: an infinity beside the place does not count.
  PixelTaps taps_at(float column, float row, const TensorView& in) const {
    const Line rows = line_at(row, in.shape[2], window_, border_);
    const Line columns = line_at(column, in.shape[3], window_, border_);
    PixelTaps taps;
    for (std::size_t i = 0; i < window_; ++i) {
      for (std::size_t j = 0; j < window_; ++j) {
        const float factor = rows.factors[i] * columns.factors[j];
        if (factor == 0) continue;
        taps.factors[taps.count] = factor;
        taps.offsets[taps.count++] =
            rows.elements[i] * in.strides[2] + columns.elements[j] * in.strides[3];
      }
    }
    return taps;
  }

  std::size_t window_;
  Border border_;
  int threads_;
};

}  // namespace

std::unique_ptr<Primitive> make_grid_sample(PrimitiveInfo info, const Context&,
                                            std::initializer_list<int>) {
  return make<GridSampleKernel>(std::move(info),
                                "places and factors of some pixels, then all of their channels");
}

}  // namespace convopt::plain
