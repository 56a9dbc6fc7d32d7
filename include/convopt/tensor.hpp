// Tensors of single-precision values in the four layouts that plans are made of.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace convopt {

/// How the elements of an n x c x h x w tensor lie in memory, slowest dimension first. In the
/// blocked layouts, channels are split into blocks of 8 or 16 that lie innermost; the last block is
/// filled with zeros. Whoever writes a tensor writes these zeros, whoever reads it may rely on
/// them.
enum class Layout : std::uint8_t { nchw, nhwc, nChw8c, nChw16c };

inline constexpr std::array kLayouts = {Layout::nchw, Layout::nhwc, Layout::nChw8c,
                                        Layout::nChw16c};

std::string_view to_string(Layout layout);
std::optional<Layout> parse_layout(std::string_view text);

/// Channels in one innermost block: 1 for nchw and nhwc, 8 or 16 for the blocked layouts.
constexpr int channel_block(Layout layout) {
  return layout == Layout::nChw8c ? 8 : layout == Layout::nChw16c ? 16 : 1;
}

/// `channels` rounded up to whole blocks.
constexpr std::int64_t padded_channels(std::int64_t channels, Layout layout) {
  const std::int64_t block = channel_block(layout);
  return (channels + block - 1) / block * block;
}

struct TensorShape {
  int n = 1, c = 1, h = 1, w = 1;

  std::int64_t elements() const { return std::int64_t{n} * c * h * w; }
  bool operator==(const TensorShape&) const = default;
};

/// Floats that a dense tensor occupies, the zeros of the last channel block included.
constexpr std::int64_t padded_elements(const TensorShape& shape, Layout layout) {
  return shape.n * padded_channels(shape.c, layout) * shape.h * shape.w;
}

/// A tensor, or a range of channels of a larger one, in memory that belongs to somebody else.
/// Element (n, c, h, w) is
///   data[n * batch_stride + (c / block) * channel_stride + h * row_stride + w * column_stride
///        + c % block]      with block = channel_block(layout).
/// Strides are in floats. `data` need not be aligned beyond a float.
struct TensorView {
  float* data = nullptr;  ///< element (0, 0, 0, 0) of the view; sources are never written to
  TensorShape shape;
  Layout layout = Layout::nchw;
  std::int64_t batch_stride = 0;
  std::int64_t channel_stride = 0;  ///< between channel blocks; between channels for nchw and nhwc
  std::int64_t row_stride = 0;
  std::int64_t column_stride = 0;

  /// A view of a whole tensor without gaps.
  static TensorView dense(float* data, const TensorShape& shape, Layout layout);
  /// Channels [first, first + count); `first` is a multiple of the layout's channel block. Written
  /// as a destination, a last partial block is padded with zeros, so channel ranges are written in
  /// ascending order.
  TensorView channels(int first, int count) const;

  bool is_dense() const;
  std::int64_t offset(int n, int c, int h, int w) const {
    const int block = channel_block(layout);
    return n * batch_stride + (c / block) * channel_stride + h * row_stride + w * column_stride +
           c % block;
  }
  float& at(int n, int c, int h, int w) const { return data[offset(n, c, h, w)]; }
};

}  // namespace convopt
