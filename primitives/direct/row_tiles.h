// The register tiles of a row of outputs, and which kernel columns lie inside the image for each.
#pragma once

#include <cstdint>
#include <vector>

#include "convopt/workload.hpp"
#include "primitives/own.h"

namespace convopt::direct {

/// The half-open range [first, last).
struct Range {
  int first, last;
  int size() const { return last - first; }
  bool operator==(const Range&) const = default;
};

/// Neighbouring tiles of one size that read the same kernel columns.
struct Step {
  int first, pixels, repeat;  ///< first pixel, pixels of a tile, number of tiles
  Range kernel_columns;
  int inside = -1;  ///< index of the masks of these columns in RowTiles::inside; -1: every pixel
};

struct RowTiles {
  std::vector<Step> steps;
  std::vector<std::uint32_t> inside;  ///< as Tile::inside
};

/// The tiles of a row of at most `most_pixels` pixels each. Kernel columns that reach the image
/// from no pixel of a tile are left out.
RowTiles row_tiles(const ConvShape& shape, int most_pixels);

/// Splits [first, last) into tiles of at most `most` pixels, larger ones first, neighbours of one
/// size together. Calls body(first pixel, pixels, repeat) at most twice.
template <class Body>
void for_each_tile_size(int first, int last, int most, const Body& body) {
  const int tiles = static_cast<int>(ceil_div(last - first, most));
  if (tiles == 0) return;
  const int small = (last - first) / tiles;
  const int large_tiles = (last - first) % tiles;
  if (large_tiles > 0) body(first, small + 1, large_tiles);
  body(first + large_tiles * (small + 1), small, tiles - large_tiles);
}

}  // namespace convopt::direct
