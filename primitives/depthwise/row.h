// One row of outputs of a depthwise convolution for a few channels.
#pragma once

#include "convopt/platform.hpp"

#include <cstdint>

namespace convopt::depthwise {

/// Channels of one call, and the unit in which weights are packed: [unit][kh][kw][kUnit].
inline constexpr int kUnit = 16;

/// Steps are in floats. Channels are neighbours everywhere.
struct Row {
  const float* input = nullptr;     ///< column 0 in the first row that lies inside the image
  std::int64_t input_row_step = 0;  ///< between kernel rows, dilation included
  std::int64_t input_column_step = 0;
  int input_columns = 0;

  const float* weights = nullptr;  ///< of the first kernel row inside
  const float* bias = nullptr;
  int kernel_rows = 0;  ///< inside the image
  int kernel_columns = 0;
  int stride = 1, dilation = 1, padding = 0;

  float* output = nullptr;
  const float* residual = nullptr;  ///< may be null or the output
  std::int64_t output_column_step = 0, residual_column_step = 0;
  int output_columns = 0;
  int first_whole = 0, last_whole = 0;  ///< outputs [first, last) that no padding touches

  int channels = 0;  ///< at most kUnit
  float low = 0, high = 0;
};

using RowFunction = void (*)(const Row& row);

/// Kernels of 3, 5 or 7 columns with stride 1 or 2 and no dilation have code of their own.
RowFunction row_function(Isa isa, int kernel_columns, int stride, int dilation);

}  // namespace convopt::depthwise
