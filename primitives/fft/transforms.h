// The two image-side transforms of FFT convolution, one tile and a few channels at a time: channels
// are lanes, so nothing is shuffled.
//
// A tile of N x N real values has N * N / 2 - 2 complex frequencies and four real ones (both
// directions at zero or at the Nyquist frequency); the others are their conjugates. A product of
// two complex numbers takes three real ones (Gauss):
//   p0 = a.re * (b.im - b.re)   p1 = a.im * (b.re + b.im)   p2 = (a.re + a.im) * b.re
//   re = p2 - p1                im = p2 + p0
// so the image side of frequency f is three values, products 3 f, 3 f + 1 and 3 f + 2, and a matrix
// product over channels is three real ones. The four real frequencies come last.
#pragma once

#include <cstdint>

#include "convopt/platform.hpp"

namespace convopt::fft {

constexpr int complex_frequencies(int points) { return points * points / 2 - 2; }
inline constexpr int kRealFrequencies = 4;
constexpr int products(int points) { return 3 * complex_frequencies(points) + kRealFrequencies; }

/// One window of points x points pixels, up to one block of channels. A filter counts as a window
/// that is mostly outside the image.
struct InputTile {
  const float* source = nullptr;  ///< the window's first pixel, which may lie outside the image
  std::int64_t row_stride = 0, column_stride = 0;
  int channels = 0;
  int row_begin = 0, row_end = 0;  ///< rows and columns of the window that are inside the image;
  int column_begin = 0, column_end = 0;  ///< the others count as zeros
  float* products = nullptr;             ///< product p, channel c goes to [p * product_stride + c]
  std::int64_t product_stride = 0;
};

/// The first rows x columns results of one tile, up to one block of channels.
struct OutputTile {
  const float* products = nullptr;
  std::int64_t product_stride = 0;
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
