// The matrix product of complex numbers between the transforms: C = A B with tiles as rows of A,
// input channels as the reduction and output channels as columns.
//
// Rows of A and C hold channels in groups of 16, the 16 real parts of a group before its 16
// imaginary parts. B is packed in panels of one vector of columns; each of its rows is the vector
// of real parts and the vector of imaginary parts.
#pragma once

#include <cstdint>

#include "convopt/platform.hpp"

namespace convopt::fft {

inline constexpr int kGroup = 16;
/// Where the real part of a channel stands in a row; its imaginary part is kGroup further.
constexpr std::int64_t real_part(std::int64_t channel) {
  return channel / kGroup * (2 * kGroup) + channel % kGroup;
}

/// Some rows, one vector of columns.
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

inline constexpr int kMostRows = 8;

/// The register tiles of one instruction set, by rows from 1.
struct ProductFunctions {
  int lanes = 0;
  int rows = 0;  ///< of the largest tile
  ProductFunction complex[kMostRows + 1] = {};
  /// The same for pairs of unrelated real numbers in place of complex ones.
  ProductFunction real_pairs[kMostRows + 1] = {};
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
