// The matrix product of a few rows with a matrix that lies transposed: dot products of rows. A
// matrix that is used by few rows only is not worth packing.
#pragma once

#include <cstdint>

#include "convopt/platform.hpp"

namespace convopt::gemm {

/// C[i][j] = sum of a[i][k] * b[j][k], plus the residual, between `low` and `high`. Strides are in
/// floats.
struct Dots {
  int rows = 0, columns = 0, k = 0;
  const float* a = nullptr;
  std::int64_t a_row_stride = 0;
  const float* b = nullptr;
  std::int64_t b_row_stride = 0;
  float* c = nullptr;
  std::int64_t c_row_stride = 0;
  const float* residual = nullptr;
  std::int64_t residual_row_stride = 0;
  float low = 0, high = 0;
};

using DotsFunction = void (*)(const Dots& dots);
DotsFunction dots_function(Isa isa);

}  // namespace convopt::gemm
