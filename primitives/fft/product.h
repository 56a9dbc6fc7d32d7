// The matrix product of complex numbers between the transforms: C = A B with tiles as rows of A,
// input channels as the reduction and output channels as columns.
//
// Three real products make a complex one (Gauss):
//   p0 = a.re * (b.im - b.re)   p1 = a.im * (b.re + b.im)   p2 = (a.re + a.im) * b.re
//   re = p2 - p1                im = p2 + p0
// Rows of A and C hold channels in groups of 16: 16 real parts, 16 imaginary parts and, in A, 16
// sums of the two. The sums of B are formed between its loads and their use: B is what must come
// from far.
#pragma once

#include <cstdint>

#include "convopt/platform.hpp"

namespace convopt::fft {

inline constexpr int kGroup = 16;
/// Offset of the real part of a channel in a row of A or C; its imaginary part is kGroup further
/// and, in A, the sum of both again as far.
constexpr std::int64_t input_offset(std::int64_t channel) {
  return channel / kGroup * (3 * kGroup) + channel % kGroup;
}
constexpr std::int64_t result_offset(std::int64_t channel) {
  return channel / kGroup * (2 * kGroup) + channel % kGroup;
}

/// Some rows and some vectors of columns, both fixed by the function called.
struct ProductTile {
  const float* a = nullptr;
  std::int64_t a_row_stride = 0;
  const float* b = nullptr;
  float* c = nullptr;
  std::int64_t c_row_stride = 0;
  int k = 0;
  bool accumulate = false;
  /// Every row of B asks for the one this many floats further to come to the L2 cache; 0: none.
  std::int64_t prefetch_distance = 0;
};
using ProductFunction = void (*)(const ProductTile& tile);

inline constexpr int kMostVectors = 2;
inline constexpr int kMostRows = 8;

/// The register tiles of one instruction set.
struct ProductFunctions {
  int lanes = 0;
  int vectors = 0;                  ///< width of the widest tile
  int rows[kMostVectors + 1] = {};  ///< most rows of a tile of that many vectors
  ProductFunction complex[kMostVectors + 1][kMostRows + 1] = {};  ///< [vectors][rows], from 1
  /// The same for pairs of unrelated real numbers in place of complex ones.
  ProductFunction real_pairs[kMostVectors + 1][kMostRows + 1] = {};

  /// Offset of the real part of B[row][column] in the packed k x columns matrix; its imaginary
  /// part is `lanes` further.
  std::int64_t packed_offset(int k, int columns, int row, int column) const {
    const int vector = column / lanes, first = vector / vectors * vectors;
    const int width = first + vectors <= columns / lanes ? vectors : columns / lanes - first;
    return std::int64_t{2} * lanes * (std::int64_t{first} * k + row * width + vector - first) +
           column % lanes;
  }
};
ProductFunctions product_functions(Isa isa);

/// A product of any number of rows. `columns` is a multiple of the lanes.
struct Product {
  int rows = 0, columns = 0, k = 0;
  const float* a = nullptr;
  std::int64_t a_row_stride = 0;
  const float* b = nullptr;
  float* c = nullptr;
  std::int64_t c_row_stride = 0;
  bool real_pairs = false;
  bool accumulate = false;
};
void multiply(const ProductFunctions& functions, const Product& product);

}  // namespace convopt::fft
