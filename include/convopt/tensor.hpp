// Tensors of any rank up to 8 and of any data type; those of rank 4 in the four layouts that plans
// are made of.
#pragma once

#include <algorithm>
#include <array>
#include <cassert>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace convopt {

enum class DataType : std::uint8_t {
  f32,
  bf16,
  f16,
  s8,
  u8,
  s32,
  s64,
  boolean,
  f64,
  s16,
  u16,
  u32,
  u64
};

inline constexpr std::array kDataTypes = {
    DataType::f32, DataType::bf16, DataType::f16,     DataType::s8,  DataType::u8,
    DataType::s32, DataType::s64,  DataType::boolean, DataType::f64, DataType::s16,
    DataType::u16, DataType::u32,  DataType::u64};

/// `f32`, `bf16`, …, `bool`.
std::string_view to_string(DataType type);
std::optional<DataType> parse_data_type(std::string_view text);

constexpr std::size_t element_bytes(DataType type) {
  constexpr std::array<std::size_t, kDataTypes.size()> kBytes = {4, 2, 2, 1, 1, 4, 8,
                                                                 1, 8, 2, 2, 4, 8};
  return kBytes[static_cast<std::size_t>(type)];
}

/// How the elements of an image tensor, n x c x h x w, lie in memory, slowest dimension first. In
/// the blocked layouts, channels are split into blocks of 8 or 16 that lie innermost; the last
/// block is filled with zeros, which every writer of a tensor writes and every reader may rely on.
///
/// A tensor of another rank than 4 has the layout `nchw` only, which for it means row-major: the
/// last dimension is the fastest.
enum class Layout : std::uint8_t { nchw, nhwc, nChw8c, nChw16c };

inline constexpr std::array kLayouts = {Layout::nchw, Layout::nhwc, Layout::nChw8c,
                                        Layout::nChw16c};

std::string_view to_string(Layout layout);
std::optional<Layout> parse_layout(std::string_view text);

/// Memory layout and element type of a tensor.
struct TensorFormat {
  Layout layout = Layout::nchw;
  DataType type = DataType::f32;

  constexpr bool operator==(const TensorFormat&) const = default;
  constexpr auto operator<=>(const TensorFormat&) const = default;
};

/// `nhwc`, and `nhwc_bf16` where the type is not f32.
std::string to_string(const TensorFormat& format);

/// Channels in one innermost block: 1 for nchw and nhwc, 8 or 16 for the blocked layouts.
constexpr int channel_block(Layout layout) {
  return layout == Layout::nChw8c ? 8 : layout == Layout::nChw16c ? 16 : 1;
}

/// `channels` rounded up to whole blocks.
constexpr std::int64_t padded_channels(std::int64_t channels, Layout layout) {
  const std::int64_t block = channel_block(layout);
  return (channels + block - 1) / block * block;
}

inline constexpr int kMaxRank = 8;
inline constexpr int kImageRank = 4;

/// The sizes of a tensor, slowest dimension first. Rank 0 is a single value.
class TensorShape {
 public:
  constexpr TensorShape() = default;
  /// At most kMaxRank sizes, e.g. {n, c, h, w} of an image tensor.
  constexpr TensorShape(std::initializer_list<int> sizes)
      : TensorShape(std::span(sizes.begin(), sizes.size())) {}
  constexpr explicit TensorShape(std::span<const int> sizes)
      : rank_(static_cast<int>(sizes.size())) {
    assert(rank_ <= kMaxRank);
    std::ranges::copy(sizes, sizes_.begin());
  }

  constexpr int rank() const { return rank_; }
  constexpr bool is_image() const { return rank_ == kImageRank; }
  constexpr int& operator[](int dimension) { return sizes_[static_cast<std::size_t>(dimension)]; }
  constexpr int operator[](int dimension) const {
    return sizes_[static_cast<std::size_t>(dimension)];
  }
  std::span<const int> sizes() const { return {sizes_.data(), static_cast<std::size_t>(rank_)}; }

  /// Images, channels, rows and columns of an image tensor.
  constexpr int& n() { return sizes_[0]; }
  constexpr int& c() { return sizes_[1]; }
  constexpr int& h() { return sizes_[2]; }
  constexpr int& w() { return sizes_[3]; }
  constexpr int n() const { return sizes_[0]; }
  constexpr int c() const { return sizes_[1]; }
  constexpr int h() const { return sizes_[2]; }
  constexpr int w() const { return sizes_[3]; }

  constexpr std::int64_t elements() const {
    std::int64_t product = 1;
    for (int d = 0; d < rank_; ++d) product *= sizes_[static_cast<std::size_t>(d)];
    return product;
  }
  constexpr bool operator==(const TensorShape&) const = default;

 private:
  std::array<int, kMaxRank> sizes_{};  ///< zero beyond the rank
  int rank_ = 0;
};

/// Elements that a dense tensor occupies, the zeros of the last channel block included.
constexpr std::int64_t padded_elements(const TensorShape& shape, Layout layout) {
  if (layout == Layout::nchw) return shape.elements();
  return shape.n() * padded_channels(shape.c(), layout) * shape.h() * shape.w();
}

/// A tensor, or a part of a larger one, in memory that it does not own. Element (i, j, …)
/// is i * strides[0] + j * strides[1] + … elements behind `data`; in the layouts of images, element
/// (n, c, h, w) is
///   n * batch_stride() + (c / block) * channel_stride() + h * row_stride() + w * column_stride()
///     + c % block      with block = channel_block(layout).
/// `data` need not be aligned beyond an element.
struct TensorView {
  void* data = nullptr;  ///< element 0 of the view; sources are never written to
  DataType type = DataType::f32;
  TensorShape shape;
  Layout layout = Layout::nchw;
  std::array<std::int64_t, kMaxRank> strides{};  ///< in elements

  /// A view of a whole tensor without gaps.
  static TensorView dense(void* data, DataType type, const TensorShape& shape, Layout layout);
  static TensorView dense(float* data, const TensorShape& shape, Layout layout) {
    return dense(data, DataType::f32, shape, layout);
  }
  /// Channels [first, first + count) of an image; `first` is a multiple of the layout's channel
  /// block. Written as a destination, a last partial block is padded with zeros, so channel ranges
  /// are written in ascending order.
  TensorView channels(int first, int count) const;
  /// The view shifted by a number of elements, with the same shape and strides.
  TensorView at_offset(std::int64_t elements) const;

  template <class T>
  T* as() const {
    return static_cast<T*>(data);
  }

  std::int64_t batch_stride() const { return strides[0]; }
  /// Between channel blocks; between channels for nchw and nhwc.
  std::int64_t channel_stride() const { return strides[1]; }
  std::int64_t row_stride() const { return strides[2]; }
  std::int64_t column_stride() const { return strides[3]; }

  bool is_dense() const;
  std::int64_t offset(int n, int c, int h, int w) const {
    const int block = channel_block(layout);
    return n * batch_stride() + (c / block) * channel_stride() + h * row_stride() +
           w * column_stride() + c % block;
  }
  float& at(int n, int c, int h, int w) const { return as<float>()[offset(n, c, h, w)]; }
};

}  // namespace convopt
