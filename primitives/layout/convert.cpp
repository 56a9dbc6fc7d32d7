// Conversions from and to blocked layouts. Each is a set of independent pieces, one per image,
// chunk of channels and row; a piece is a copy where both sides keep channels together, and a
// transposition where one of them is nchw.
#include <algorithm>
#include <utility>

#include "primitives/own.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "primitives/layout/convert.cpp"
#include "primitives/simd.h"

#ifndef CONVOPT_LAYOUT_CONVERT_
#define CONVOPT_LAYOUT_CONVERT_
namespace convopt::layout {

/// Neighbouring pixels of a chunk of channels. "Step" is the distance between pixels or channels in
/// floats.
struct Piece {
  const float* source;
  float* destination;
  int channels;  ///< that exist; 0 in a chunk that is padding only
  int padding;   ///< zeros to write after them
  int pixels;
  std::int64_t source_pixel, source_channel;
  std::int64_t destination_pixel, destination_channel;
};

}  // namespace convopt::layout
#endif  // CONVOPT_LAYOUT_CONVERT_

#include "primitives/layout/transpose-inl.h"

HWY_BEFORE_NAMESPACE();
namespace convopt::layout::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;
using convopt::HWY_NAMESPACE::transpose;
using D4 = hn::FixedTag<float, 4>;

/// Channels are neighbours on both sides; `kChannels` of them, or if that is 0, piece.channels.
template <int kChannels>
HWY_INLINE void copy(const Piece& piece) {
  const D4 d;
  const int channels = kChannels > 0 ? kChannels : piece.channels;
  const float* source = piece.source;
  float* destination = piece.destination;
  for (int w = 0; w < piece.pixels; ++w) {
    int c = 0;
    for (; c + 4 <= channels; c += 4) hn::StoreU(hn::LoadU(d, source + c), d, destination + c);
    for (; c < channels; ++c) destination[c] = source[c];
    source += piece.source_pixel;
    destination += piece.destination_pixel;
  }
}

void convert(const Piece& piece) {
  if (piece.channels == 0) {
    // padding only
  } else if (piece.source_channel == 1 && piece.destination_channel == 1) {
    // Whole chunks have a constant size.
    if (piece.channels == 16) {
      copy<16>(piece);
    } else if (piece.channels == 8) {
      copy<8>(piece);
    } else {
      copy<0>(piece);
    }
  } else if (piece.source_pixel == 1 && piece.destination_channel == 1) {
    transpose(piece.source, piece.source_channel, piece.destination, piece.destination_pixel,
              piece.channels, piece.pixels);
  } else if (piece.source_channel == 1 && piece.destination_pixel == 1) {
    transpose(piece.source, piece.source_pixel, piece.destination, piece.destination_channel,
              piece.pixels, piece.channels);
  } else {  // a view of nchw with gaps between its columns
    for (int w = 0; w < piece.pixels; ++w) {
      for (int c = 0; c < piece.channels; ++c) {
        piece.destination[w * piece.destination_pixel + c * piece.destination_channel] =
            piece.source[w * piece.source_pixel + c * piece.source_channel];
      }
    }
  }
  if (piece.padding == 0) return;
  for (int w = 0; w < piece.pixels; ++w) {
    std::fill_n(piece.destination + w * piece.destination_pixel + piece.channels, piece.padding,
                0.0F);
  }
}

}  // namespace convopt::layout::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace convopt::layout {

CONVOPT_EXPORT(convert);

namespace {

/// Distance between neighbouring channels of one chunk.
std::int64_t channel_step(const TensorView& view) {
  return channel_block(view.layout) > 1 ? 1 : view.channel_stride();
}

class ConvertKernel final : public WeightlessKernel {
 public:
  ConvertKernel(const PrimitiveInfo& info, const Workload&, const Context& context)
      : threads_(context.threads), convert_(CONVOPT_DISPATCH(convert, context.isa)) {
    // A chunk never crosses a block of either side.
    chunk_ = info.input_layout == Layout::nChw8c || info.output_layout == Layout::nChw8c ? 8 : 16;
  }

  void run(const RunArgs& args) const noexcept override {
    const TensorView& source = args.sources[0];
    const TensorView& destination = args.destination;
    const TensorShape& shape = destination.shape;
    const std::int64_t padded = padded_channels(shape.c(), destination.layout);
    const std::int64_t chunks = ceil_div(padded, chunk_);
    // Rows without gaps are one long row; thousands of rows of one pixel are lists of boxes.
    const bool is_one_row = source.row_stride() == shape.w() * source.column_stride() &&
                            destination.row_stride() == shape.w() * destination.column_stride();
    const std::int64_t pixels = std::int64_t{shape.h()} * shape.w();
    const std::int64_t width = is_one_row ? std::min(pixels, kPixels) : shape.w();
    const std::int64_t rows = ceil_div(pixels, width);
    const int threads = threads_for(threads_, shape.elements(), kLeastValues);
    parallel_for(threads, shape.n() * chunks * rows, [&](std::int64_t index) {
      const std::int64_t row = index % rows;
      const int first = static_cast<int>(index / rows % chunks) * chunk_;
      const int n = static_cast<int>(index / rows / chunks);
      const auto start = [&](const TensorView& view) {
        return view.as<float>() + view.offset(n, first, 0, 0) +
               row * (is_one_row ? width * view.column_stride() : view.row_stride());
      };
      Piece piece;
      piece.channels = std::clamp(shape.c() - first, 0, chunk_);
      piece.padding = std::min(chunk_, static_cast<int>(padded) - first) - piece.channels;
      piece.source = piece.channels > 0 ? start(source) : nullptr;
      piece.destination = start(destination);
      piece.pixels = static_cast<int>(std::min(width, pixels - row * width));
      piece.source_pixel = source.column_stride();
      piece.source_channel = channel_step(source);
      piece.destination_pixel = destination.column_stride();
      piece.destination_channel = channel_step(destination);
      convert_(piece);
    });
  }

 private:
  /// Of a piece: both sides of it stay in L1, and the smallest images of networks are several.
  static constexpr std::int64_t kPixels = 128;

  int threads_;
  int chunk_;
  void (*convert_)(const Piece&);
};

}  // namespace

std::unique_ptr<Primitive> make_convert(PrimitiveInfo info, const Context&,
                                        std::initializer_list<int>) {
  info.description = "conversion from " + std::string(to_string(info.input_layout)) + " to " +
                     std::string(to_string(info.output_layout)) + " row by row";
  info.revision = "3";
  info.traits.algorithm = Algorithm::copy;
  info.traits.cost = "pointwise";
  info.traits.strided_views = true;
  return std::make_unique<WeightlessPrimitive<ConvertKernel>>(std::move(info));
}

}  // namespace convopt::layout
#endif
