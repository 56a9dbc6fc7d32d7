// How an FFT convolution divides kernel and image in one direction, for the kernel and for its
// cost.
#pragma once

#include <algorithm>

#include "primitives/division.h"

namespace convopt::fft {

/// One direction of the image.
struct Split {
  int taps = 1;   ///< of a part of the kernel
  int parts = 1;  ///< of the kernel
  int step = 1;   ///< outputs per tile
  int tiles = 1;
};

/// The split with the fewest products. Of tiles of `points` values, a whole kernel leaves those
/// outputs that do not wrap around; parts of half a tile leave one more than half of them.
inline Split choose_split(int points, int taps, int outputs) {
  const auto split = [&](int part_taps, int step) {
    return Split{part_taps, static_cast<int>(ceil_div(taps, part_taps)), step,
                 static_cast<int>(ceil_div(outputs, step))};
  };
  const Split parts = split(std::max(points / 2, 1), points / 2 + 1);
  if (taps > points) return parts;
  const Split whole = split(taps, points - taps + 1);
  return whole.tiles <= parts.tiles * parts.parts ? whole : parts;
}

}  // namespace convopt::fft
