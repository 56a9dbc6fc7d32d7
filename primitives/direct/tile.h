// The inner product of direct convolution: a few neighbouring pixels times a few vectors of output
// channels, added up over input channels and kernel positions in registers.
#pragma once

#include <cstdint>

#include "convopt/platform.hpp"

namespace convopt::direct {

inline constexpr int kMaxPixels = 14;  ///< of one tile, over all ISA levels
inline constexpr int kMaxVectors = 4;  ///< likewise

/// One call: `repeat` neighbouring tiles of a row, one after the other. All steps are in floats.
///
/// For r < chunks, y < rows, x < columns, c < channels (last_channels in the last chunk), weights
/// of one (r, y, x, c) are a row of `vectors * lanes` values. What a pixel reads for it lies at
///   input + pixel * pixel_step + r * chunk_step + y * row_step + x * column_step + c *
///   channel_step.
struct Tile {
  int repeat = 1;
  bool prefetch = false;  ///< of the next tile's input, which hardware prefetchers miss
  const float* input = nullptr;
  std::int64_t pixel_step = 0;
  int chunks = 0, rows = 0, columns = 0, channels = 0, last_channels = 0;
  std::int64_t chunk_step = 0, row_step = 0, column_step = 0, channel_step = 0;
  /// Bit p of inside[x]: pixel p has column x inside the image; what it would read for the others
  /// is left out. Null: all of them.
  const std::uint32_t* inside = nullptr;
  bool columns_are_channels = false;  ///< then these are the bits of inside[c]

  const float* weights = nullptr;
  std::int64_t weight_chunk_step = 0, weight_row_step = 0, weight_column_step = 0;

  /// Every (r, y, x) of every tile asks for the next `fetch_lines` cache lines from `fetch` on:
  /// weights that come next travel to L2 meanwhile.
  const float* fetch = nullptr;
  int fetch_lines = 0;

  /// Vector v of pixel p is written to output + p * output_pixel_step + output_vector[v].
  float* output = nullptr;
  std::int64_t output_pixel_step = 0;
  std::int64_t output_vector[kMaxVectors] = {};

  /// Sums start from these `vectors * lanes` values, and unless `addend` is null from what stands
  /// there: a residual, or the output itself to go on with.
  const float* bias = nullptr;
  const float* addend = nullptr;
  std::int64_t addend_pixel_step = 0;
  std::int64_t addend_vector[kMaxVectors] = {};

  float low = 0, high = 0;  ///< clamps what is written
};

using TileFunction = void (*)(const Tile& tile);

/// The tiles of one ISA level.
struct TileSet {
  int lanes = 1;
  int vectors = 1;  ///< of the tile that is best for long reductions
  /// Eighths of L2 for the weights of a tile of output channels that are gone through before the
  /// next pixels. More are split into parts of the reduction.
  int part_eighths = 0;
  /// Pixels times vectors of the best tile for short reductions.
  int short_accumulators = 0;
  /// Most pixels of a tile with this many vectors of output channels; 0: there is none.
  int pixels[kMaxVectors + 1] = {};
  TileFunction function[kMaxVectors + 1][kMaxPixels + 1] = {};  ///< [vectors][pixels]
};

const TileSet& tile_set(Isa isa);

}  // namespace convopt::direct
