// The two image-side transforms of FFT convolution, one tile and a few channels at a time: channels
// are lanes, so nothing is shuffled.
//
// A tile of N x N real values has N * N / 2 - 2 complex frequencies and four real ones (both
// directions at zero or at the Nyquist frequency); the others are their conjugates. The real ones
// form two pairs that are kept like complex numbers, which makes N * N / 2 pairs in all.
#pragma once

#include <cstdint>

#include "convopt/platform.hpp"

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

/// One window of points x points pixels, up to one block of channels. A filter counts as a window
/// that is mostly outside the image.
struct InputTile {
  const float* source = nullptr;  ///< the window's first pixel, which may lie outside the image
  std::int64_t row_stride = 0, column_stride = 0;
  int channels = 0;
  int row_begin = 0, row_end = 0;  ///< rows and columns of the window that are inside the image;
  int column_begin = 0, column_end = 0;  ///< the others count as zeros
  float* pairs = nullptr;  ///< to [p * pair_stride] a group of A of product.h goes, from pair p
  std::int64_t pair_stride = 0;
};

/// The first rows x columns results of one tile, up to one block of channels.
struct OutputTile {
  const float* pairs = nullptr;  ///< groups of C of product.h
  std::int64_t pair_stride = 0;
  const float* bias = nullptr;  ///< as many as channels, whole vectors readable
  float* destination = nullptr;
  std::int64_t row_stride = 0, column_stride = 0;
  const float* residual = nullptr;
  std::int64_t residual_row_stride = 0, residual_column_stride = 0;
  int channels = 0;
  int rows = 0, columns = 0;
  bool clamp = false;
  float low = 0, high = 0;
};

struct Transforms {
  void (*input)(const InputTile& tile) = nullptr;
  void (*output)(const OutputTile& tile) = nullptr;
};

/// Functions for tiles of 8, 16 or 32 points in each direction, null pointers otherwise. Vectors
/// are no wider than `channel_block`.
Transforms transforms(Isa isa, int points, int channel_block);

}  // namespace convopt::fft
