// A few rows of outputs of a depthwise convolution for a few channels.
#pragma once

#include <cstdint>

#include "convopt/platform.hpp"
#include "convopt/workload.hpp"
#include "primitives/own.h"
#include "primitives/tiles/tiles.h"

namespace convopt::depthwise {

using tiles::Bfloat16;

/// Channels of one call, and the unit in which weights are packed:
/// [unit][kh][input channel of a group][kw][kUnit].
inline constexpr int kUnit = 16;

/// Of numbers of type `Source` and results of type `Destination`: float, or Bfloat16. Products and
/// sums are floats. Steps are in numbers. Channels are neighbours everywhere.
template <class Source, class Destination>
struct BasicBand {
  using Input = Source;
  using Output = Destination;

  const Source* input = nullptr;  ///< row 0 and column 0 of the image
  std::int64_t input_row_step = 0, input_column_step = 0;
  int input_rows = 0, input_columns = 0;

  const float* weights = nullptr;
  const float* bias = nullptr;
  int kernel_rows = 0, kernel_columns = 0;
  /// Channels of a group. Where they are several, `spread` + i * kUnit says for every lane of a
  /// vector which lane holds the i-th input of its group.
  int group = 1;
  const std::int32_t* spread = nullptr;
  int row_stride = 1, column_stride = 1;
  int row_dilation = 1, column_dilation = 1;
  int top_padding = 0, left_padding = 0;

  Destination* output = nullptr;          ///< row 0 and column 0 of the output
  const Destination* residual = nullptr;  ///< may be null or the output
  std::int64_t output_row_step = 0, output_column_step = 0;
  std::int64_t residual_row_step = 0, residual_column_step = 0;
  int first_row = 0, last_row = 0;  ///< outputs to compute: these rows,
  int output_columns = 0;           ///< all their columns

  int channels = 0;  ///< at most kUnit
  float low = 0, high = 0;
  /// Unless null, what comes instead of the clamp, to the first `existing` channels: of floats
  /// after every row of tiles, which is in L1 then, else before a tile is stored.
  ActivateRowsFunction activate = nullptr;
  const Activation* activation = nullptr;
  int existing = 0;
};

template <class Source, class Destination>
using BandFunction = void (*)(const BasicBand<Source, Destination>& band);

/// Kernels of 3, 5 or 7 columns with stride 1 or 2, no dilation and less padding than columns have
/// code of their own; for groups of several channels, which are of floats, those of 3 columns.
/// Bfloat16 asks for AVX512_BF16.
template <class Source, class Destination>
BandFunction<Source, Destination> band_function(Isa isa, const ConvShape& shape);

}  // namespace convopt::depthwise
