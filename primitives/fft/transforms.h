// The two image-side transforms of FFT convolution, one tile and a few channels at a time: channels
// are lanes, so nothing is shuffled.
//
// A tile of N x N real values has N * N / 2 - 2 complex frequencies and four real ones (both
// directions at zero or at the Nyquist frequency); the others are their conjugates. The real ones
// form two pairs that are kept like complex numbers, which makes N * N / 2 pairs in all.
#pragma once

#include <cstdint>

#include "convopt/platform.hpp"
#include "primitives/tiles/tiles.h"

namespace convopt::fft {

constexpr int pairs(int points) { return points * points / 2; }

/// Pairs of vertical frequency u and horizontal frequencies from 0 on begin here. u goes from 0 to
/// points / 2. The first pair of the first and the last u are two real frequencies: horizontally
/// zero and Nyquist's; these two u have half as many pairs as the others.
constexpr int first_pair(int points, int u) {
  const int half = points / 2;
  if (u == 0) return points * (half - 1);
  return u == half ? points * (half - 1) + half : points * (u - 1);
}
constexpr bool is_real_pair(int points, int pair) {
  return pair == first_pair(points, 0) || pair == first_pair(points, points / 2);
}

using tiles::InputTile;
using tiles::OutputTile;

/// Tiles are up to one block of channels. `transformed` points to groups of A of product.h for a
/// window and of C for results, a pair after the other.
struct Transforms {
  void (*input)(const InputTile& tile) = nullptr;
  void (*output)(const OutputTile& tile) = nullptr;
};

/// Functions for tiles of 8, 16 or 32 points in each direction, null pointers otherwise. Vectors
/// are no wider than `channel_block`.
Transforms transforms(Isa isa, int points, int channel_block);

}  // namespace convopt::fft
