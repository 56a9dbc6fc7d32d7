// A row of outputs of max and average pooling.
#pragma once

#include <cstdint>

#include "convopt/platform.hpp"

namespace convopt::pooling {

inline constexpr int kDivisorPadding = 15;

/// Strides are in numbers. Windows may lie beyond the image's left and right; `input` is the first
/// row of the image that they reach.
struct Row {
  const float* input = nullptr;  ///< column 0 of the image
  std::int64_t input_row_stride = 0, input_column_stride = 0;
  int input_columns = 0;
  int window_rows = 0;  ///< those inside the image
  int window_columns = 0;
  int column_stride = 1, left_padding = 0;

  float* output = nullptr;
  std::int64_t output_column_stride = 0;
  int output_columns = 0;
  int channels = 1;  ///< neighbours per pixel

  /// Averages: what every output's sum is divided by, as a factor for the rows and one for the
  /// columns of its window. kDivisorPadding floats after the last column's are read, too.
  float divisor_rows = 1;
  const float* divisor_columns = nullptr;
};

using RowFunction = void (*)(const Row& row);

struct RowFunctions {
  RowFunction channels_last;  ///< lanes are channels, `channels` of them
  RowFunction planar;         ///< lanes are columns, both column strides are 1
};

RowFunctions maximum_functions(Isa isa);
RowFunctions average_functions(Isa isa);

}  // namespace convopt::pooling
