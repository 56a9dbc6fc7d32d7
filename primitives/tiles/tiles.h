// The image's side of convolutions by transformed tiles, Winograd's and FFT: windows of the image
// that go into a transform, and tiles of results that come out of one. Channels are lanes.
#pragma once

#include <algorithm>
#include <cstdint>
#include <type_traits>

#include "convopt/primitive.hpp"
#include "primitives/own.h"
#include "primitives/tiles/grid.h"

namespace convopt::tiles {

/// bf16 in memory.
using Bfloat16 = std::uint16_t;

/// One window of the image, channels that lie side by side. `Number` is float, or Bfloat16,
/// std::uint8_t or std::int8_t, and then the transformed image is of bf16.
template <class Number>
struct BasicInputTile {
  using Transformed = std::conditional_t<std::is_same_v<Number, float>, float, Bfloat16>;

  const Number* source = nullptr;  ///< the window's first pixel, which may lie outside the image
  std::int64_t row_stride = 0, column_stride = 0;
  int channels = 0;
  int row_begin = 0, row_end = 0;  ///< rows and columns of the window that are inside the image;
  int column_begin = 0, column_end = 0;  ///< the others count as zeros
  float zero_point = 0;                  ///< std::uint8_t: the number that stands for zero
  Transformed* transformed = nullptr;  ///< value p, channel c goes to [p * transformed_stride + c]
  std::int64_t transformed_stride = 0;

  /// A window of `rows` by `columns` pixels from (top, left) on.
  void set_window(const ConvShape& shape, int top, int left, int rows, int columns) {
    row_begin = std::clamp(-top, 0, rows);
    row_end = std::clamp(shape.ih - top, row_begin, rows);
    column_begin = std::clamp(-left, 0, columns);
    column_end = std::clamp(shape.iw - left, column_begin, columns);
  }
  bool is_inside(int rows, int columns) const {
    return row_begin == 0 && row_end == rows && column_begin == 0 && column_end == columns;
  }
};

using InputTile = BasicInputTile<float>;

/// The first rows x columns results of one tile, channels that lie side by side. `Number` is that
/// of an input tile.
template <class Number>
struct BasicOutputTile {
  const float* transformed = nullptr;
  std::int64_t transformed_stride = 0;
  const float* bias = nullptr;  ///< as many as channels, whole vectors readable
  Number* destination = nullptr;
  std::int64_t row_stride = 0, column_stride = 0;
  const Number* residual = nullptr;
  std::int64_t residual_row_stride = 0, residual_column_stride = 0;
  int channels = 0;
  int rows = 0, columns = 0;
  /// Distance of the next tile in the destination, whose lines Winograd's transforms fetch
  /// meanwhile: the short rows of a tile lie where no hardware prefetcher looks.
  /// 0: no next tile.
  std::int64_t next_distance = 0;
  bool clamp = false;
  float low = 0, high = 0;
  /// Where results are rounded: an activation that is no clamp, before that. Null: none.
  ActivateFunction activate = nullptr;
  const Activation* activation = nullptr;
  // std::uint8_t and std::int8_t: what dot::Finish says, always with a clamp. A residual may be of
  // the other one of the two.
  bool residual_is_other = false;
  float residual_scale = 1, steps = 1, zero_point = 0;
};
using OutputTile = BasicOutputTile<float>;

/// The last step of a tile: what follows from the arguments of a run and the epilogue.
class Writer {
 public:
  Writer(const Epilogue& epilogue, Isa isa)
      : activation_(epilogue.activation),
        last_write_(last_write(activation_)),
        activate_(activate_function(isa)),
        activate_rows_(activate_rows_function(isa)),
        residual_(epilogue.residual) {}

  bool has_residual() const { return residual_; }

  /// Sets what all tiles of a run share.
  template <class Number = float>
  BasicOutputTile<Number> shared(const RunArgs& args) const {
    BasicOutputTile<Number> tile;
    tile.row_stride = args.destination.row_stride();
    tile.column_stride = args.destination.column_stride();
    if (residual_) {
      tile.residual_row_stride = args.residual.row_stride();
      tile.residual_column_stride = args.residual.column_stride();
    }
    tile.clamp = last_write_.clamps();
    tile.low = last_write_.low;
    tile.high = last_write_.high;
    if (!std::is_same_v<Number, float> && last_write_.needs_pass) {
      tile.activate = activate_;
      tile.activation = &activation_;
    }
    return tile;
  }

  /// Applies an activation that is no clamp to the first `channels` channels of a written tile.
  void finish(const OutputTile& tile, int channels) const {
    if (!last_write_.needs_pass) return;
    for (int i = 0; i < tile.rows; ++i) {
      activate_rows_(activation_,
                     ActivatedRows::in_place(tile.destination + i * tile.row_stride, channels,
                                             tile.columns, tile.column_stride));
    }
  }

 private:
  Activation activation_;
  LastWrite last_write_;
  ActivateFunction activate_;
  ActivateRowsFunction activate_rows_;
  bool residual_;
};

/// Distance of matrices of `floats` that are written value by value: an odd number of cache lines,
/// so that the stores of one tile's values do not all fall into the same cache sets.
constexpr std::int64_t matrix_stride(std::int64_t floats) {
  constexpr std::int64_t kLineFloats = 16;
  return (ceil_div(floats, kLineFloats) | 1) * kLineFloats;
}

}  // namespace convopt::tiles
