// How Winograd's algorithm cuts the result into tiles, for the kernel and for its cost.
#pragma once

#include <cstdint>

#include "convopt/workload.hpp"

namespace convopt::winograd {

struct TileGrid {
  std::int64_t h = 0, w = 0, tiles = 0;  ///< per image, and of all images

  static TileGrid of(const ConvShape& shape, int outputs_h, int outputs_w) {
    const auto cut = [](std::int64_t outputs, std::int64_t step) {
      return (outputs + step - 1) / step;
    };
    TileGrid grid{cut(shape.oh(), outputs_h), cut(shape.ow(), outputs_w)};
    grid.tiles = shape.n * grid.h * grid.w;
    return grid;
  }
};

}  // namespace convopt::winograd
