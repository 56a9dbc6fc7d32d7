// The two image-side transforms of Winograd convolution, a tile at a time: channels are lanes, so
// nothing is shuffled.
#pragma once

#include <cstdint>

#include "convopt/platform.hpp"
#include "primitives/tiles/tiles.h"

namespace convopt::winograd {

using tiles::BasicInputTile;
using tiles::BasicOutputTile;
using tiles::Bfloat16;
using tiles::InputTile;
using tiles::OutputTile;

/// Outputs and taps per dimension.
struct Variant {
  int outputs_h = 1, outputs_w = 1, taps_h = 1, taps_w = 1;
  constexpr int window_h() const { return outputs_h + taps_h - 1; }
  constexpr int window_w() const { return outputs_w + taps_w - 1; }
  constexpr int products() const { return window_h() * window_w(); }
  constexpr bool operator==(const Variant&) const = default;
};

struct Transforms {
  void (*input)(const InputTile& tile) = nullptr;
  void (*output)(const OutputTile& tile) = nullptr;
  /// The same from and to bf16, computed in float: for AVX-512 alone, and only a processor with
  /// AVX512_BF16 can run them.
  void (*input_bf16)(const BasicInputTile<Bfloat16>& tile) = nullptr;
  void (*output_bf16)(const BasicOutputTile<Bfloat16>& tile) = nullptr;
  /// G g G^T in double precision: `filter` is taps_h x taps_w.
  void (*filter)(const float* filter, double* products) = nullptr;
};

/// Functions for one variant; null pointers for one that is not compiled. `channel_block` limits
/// the width of vectors where channels lie in short blocks.
Transforms transforms(Isa isa, const Variant& variant, int channel_block);

}  // namespace convopt::winograd
