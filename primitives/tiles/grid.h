// How convolutions by transformed tiles divide the result, for kernels and for their costs.
#pragma once

#include <cstdint>

#include "convopt/workload.hpp"
#include "primitives/division.h"

namespace convopt::tiles {

/// Tiles of `outputs_h` by `outputs_w` results, row by row, image after image. The last ones of a
/// row and of a column may reach over the edge.
struct Grid {
  int outputs_h = 1, outputs_w = 1;
  int oh = 0, ow = 0;  ///< results of an image
  int h = 0, w = 0;    ///< tiles of an image
  std::int64_t count = 0;

  Grid() = default;
  Grid(const ConvShape& shape, int tile_outputs_h, int tile_outputs_w)
      : outputs_h(tile_outputs_h),
        outputs_w(tile_outputs_w),
        oh(shape.oh()),
        ow(shape.ow()),
        h(static_cast<int>(ceil_div(oh, outputs_h))),
        w(static_cast<int>(ceil_div(ow, outputs_w))),
        count(std::int64_t{shape.n} * h * w) {}

  /// Place of a tile's first result.
  struct Position {
    int image, row, column;
  };
  Position position(int tile) const {
    const int in_image = tile % (h * w);
    return {tile / (h * w), in_image / w * outputs_h, in_image % w * outputs_w};
  }
  /// Moves on to the next tile without the divisions of position().
  void advance(Position& at) const {
    at.column += outputs_w;
    if (at.column < ow) return;
    at.column = 0;
    at.row += outputs_h;
    if (at.row < oh) return;
    at.row = 0;
    ++at.image;
  }
};

}  // namespace convopt::tiles
