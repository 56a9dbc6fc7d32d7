// The two image-side transforms of Winograd convolution, a tile at a time: channels are lanes, so
// nothing is shuffled.
#pragma once

#include <cstdint>

#include "convopt/platform.hpp"

namespace convopt::winograd {

/// One window of the image, channels that lie side by side.
struct InputTile {
  const float* source = nullptr;  ///< the window's first pixel, which may lie outside the image
  std::int64_t row_stride = 0, column_stride = 0;
  int channels = 0;
  int row_begin = 0, row_end = 0;  ///< rows and columns of the window that are inside the image;
  int column_begin = 0, column_end = 0;  ///< the others count as zeros
  float* products = nullptr;             ///< product p, channel c goes to [p * product_stride + c]
  std::int64_t product_stride = 0;
};

/// One tile of results, channels that lie side by side.
struct OutputTile {
  const float* products = nullptr;
  std::int64_t product_stride = 0;
  const float* bias = nullptr;  ///< as many as channels, whole vectors readable
  float* destination = nullptr;
  std::int64_t row_stride = 0, column_stride = 0;
  const float* residual = nullptr;
  std::int64_t residual_row_stride = 0, residual_column_stride = 0;
  int channels = 0;
  int rows = 0, columns = 0;  ///< of the tile, that exist
  /// From this tile's place in the destination to that of the next one, whose lines are fetched
  /// meanwhile: the short rows of a tile lie where no hardware prefetcher looks. 0: no next tile.
  std::int64_t next_distance = 0;
  bool clamp = false;
  float low = 0, high = 0;
};

/// Outputs and taps per dimension.
struct Variant {
  int outputs_h = 1, outputs_w = 1, taps_h = 1, taps_w = 1;
  constexpr int window_h() const { return outputs_h + taps_h - 1; }
  constexpr int window_w() const { return outputs_w + taps_w - 1; }
  constexpr int products() const { return window_h() * window_w(); }
  constexpr bool operator==(const Variant&) const = default;
};

struct Transforms {
  void (*input)(const InputTile& tile) = nullptr;
  void (*output)(const OutputTile& tile) = nullptr;
  /// G g G^T in double precision: `filter` is taps_h x taps_w.
  void (*filter)(const float* filter, double* products) = nullptr;
};

/// Functions for one variant; null pointers for one that is not compiled. `channel_block` limits
/// the width of vectors where channels lie in short blocks.
Transforms transforms(Isa isa, const Variant& variant, int channel_block);

}  // namespace convopt::winograd
