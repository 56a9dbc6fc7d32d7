// Parts of images that a second source names, as images of one size: each element of the result is
// made of the values at some places, between the elements of the image, in its share of the part.
#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <limits>

#include "primitives/plain/indices.h"
#include "primitives/plain/loops.h"

namespace convopt::plain {
namespace {

/// One direction of a place: two elements and the second one's factor.
struct Between {
  std::int64_t low = 0, high = 0;
  float factor = 0;
  bool is_inside = false;  ///< or at most one element beyond the image
};

Between between(double place, int size) {
  Between result;
  result.is_inside = place >= -1 && place <= size;
  if (!result.is_inside) return result;
  const double inside = std::clamp(place, 0.0, size - 1.0);
  result.low = static_cast<std::int64_t>(inside);
  result.high = std::min<std::int64_t>(result.low + 1, size - 1);
  result.factor = static_cast<float>(inside - static_cast<double>(result.low));
  return result;
}

/// The share of one element of the result, along one direction.
struct Share {
  double begin = 0, length = 0;
  std::int64_t places = 0;

  double place(std::int64_t i) const {
    return begin + (static_cast<double>(i) + 0.5) * length / static_cast<double>(places);
  }
};

/// `window` as the workload has it. Of a part that is far larger than the image, no more places
/// than that has elements.
Share share_of(double from, double to, int index, int count, int window, int size) {
  Share share;
  share.length = (to - from) / count;
  share.begin = from + index * share.length;
  const double wanted = std::ceil(share.length);
  share.places = window > 0   ? window
                 : wanted > 0 ? static_cast<std::int64_t>(std::min(wanted, size + 1.0))
                              : 0;
  return share;
}

class RoiKernel final : public WeightlessKernel {
 public:
  RoiKernel(const PrimitiveInfo& info, const Workload& workload, const Context& context)
      : takes_largest_(info.op == Op::roi_maximum),
        window_(workload.window),
        threads_(context.threads) {}

  void run(const RunArgs& args) const noexcept override {
    const TensorShape& shape = args.destination.shape;
    const std::int64_t pixels = std::int64_t{shape[2]} * shape[3];
    parallel_for(threads_, shape[0] * pixels, [&](std::int64_t number) {
      const auto pixel = static_cast<int>(number % pixels);
      compute(args, number / pixels, pixel / shape[3], pixel % shape[3]);
    });
  }

 private:
  static constexpr std::int64_t kChannels = 64;  ///< that are held at a time
  using Channels = std::array<float, kChannels>;

  void compute(const RunArgs& args, std::int64_t region, int row, int column) const {
    const TensorView& in = args.sources[0];
    const TensorView& regions = args.sources[1];
    const TensorView& images = args.sources[2];
    const TensorView& out = args.destination;
    const auto corner = [&](int i) {
      return double{regions.as<float>()[region * regions.strides[0] + i * regions.strides[1]]};
    };
    const Share rows = share_of(corner(1), corner(3), row, out.shape[2], window_, in.shape[2]);
    const Share columns =
        share_of(corner(0), corner(2), column, out.shape[3], window_, in.shape[3]);
    const std::int64_t image =
        element_number(images.as<float>()[region * images.strides[0]], in.shape[0]);
    float* const y =
        out.as<float>() + region * out.strides[0] + row * out.strides[2] + column * out.strides[3];
    for (std::int64_t first = 0; first < in.shape[1]; first += kChannels) {
      const std::int64_t count = std::min(kChannels, in.shape[1] - first);
      const float* const x = in.as<float>() + image * in.strides[0] + first * in.strides[1];
      const Channels channels = gather(in, x, count, rows, columns);
      for (std::int64_t c = 0; c < count; ++c) {
        y[(first + c) * out.strides[1]] = channels[static_cast<std::size_t>(c)];
      }
    }
  }

  /// The values of `count` channels from `x` on.
  Channels gather(const TensorView& in, const float* x, std::int64_t count, const Share& rows,
                  const Share& columns) const {
    Channels channels{};
    const std::int64_t places = rows.places * columns.places;
    if (places == 0) return channels;
    if (takes_largest_) channels.fill(-std::numeric_limits<float>::infinity());
    for (std::int64_t i = 0; i < rows.places; ++i) {
      const Between row = between(rows.place(i), in.shape[2]);
      for (std::int64_t j = 0; j < columns.places; ++j) {
        const Between column = between(columns.place(j), in.shape[3]);
        add_place(in, x, count, row, column, channels);
      }
    }
    if (!takes_largest_) {
      for (float& value : channels) value /= static_cast<float>(places);
    }
    return channels;
  }

  void add_place(const TensorView& in, const float* x, std::int64_t count, const Between& row,
                 const Between& column, Channels& channels) const {
    const bool is_inside = row.is_inside && column.is_inside;
    if (!is_inside && !takes_largest_) return;
    const std::array<std::int64_t, 4> offsets = {
        row.low * in.strides[2] + column.low * in.strides[3],
        row.low * in.strides[2] + column.high * in.strides[3],
        row.high * in.strides[2] + column.low * in.strides[3],
        row.high * in.strides[2] + column.high * in.strides[3]};
    const std::array<float, 4> factors = {
        (1 - row.factor) * (1 - column.factor), (1 - row.factor) * column.factor,
        row.factor * (1 - column.factor), row.factor * column.factor};
    for (std::int64_t c = 0; c < count; ++c) {
      const float* const at = x + c * in.strides[1];
      float& value = channels[static_cast<std::size_t>(c)];
      if (!takes_largest_) {
        for (std::size_t k = 0; k < 4; ++k) value += factors[k] * at[offsets[k]];
      } else if (!is_inside) {
        value = larger(value, 0);
      } else {
        // The largest of what the four elements contribute, not of their sum.
        for (std::size_t k = 0; k < 4; ++k) value = larger(value, factors[k] * at[offsets[k]]);
      }
    }
  }

  static float larger(float a, float b) { return a > b || a != a ? a : b; }

  bool takes_largest_;
  int window_;
  int threads_;
};

}  // namespace

std::unique_ptr<Primitive> make_roi(PrimitiveInfo info, const Context&,
                                    std::initializer_list<int>) {
  return make<RoiKernel>(std::move(info), "places of an element's share, in blocks of channels");
}

}  // namespace convopt::plain
