// The two image-side transforms of Winograd convolution, a tile at a time: channels are lanes, so
// nothing is shuffled.
#pragma once

#include <cstdint>
#include <type_traits>

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

/// From an image of such numbers, and to one.
template <class Number>
struct TileFunctions {
  void (*input)(const BasicInputTile<Number>& tile) = nullptr;
  void (*output)(const BasicOutputTile<Number>& tile) = nullptr;
};

struct Transforms {
  TileFunctions<float> of_f32;
  // Computed in float: for AVX-512 alone, and only a processor with AVX512_BF16 can run them.
  TileFunctions<Bfloat16> of_bf16;
  TileFunctions<std::uint8_t> of_u8;
  TileFunctions<std::int8_t> of_s8;
  /// G g G^T in double precision: `filter` is taps_h x taps_w.
  void (*filter)(const float* filter, double* products) = nullptr;

  template <class Number>
  const TileFunctions<Number>& of() const {
    if constexpr (std::is_same_v<Number, float>) return of_f32;
    if constexpr (std::is_same_v<Number, Bfloat16>) return of_bf16;
    if constexpr (std::is_same_v<Number, std::uint8_t>) return of_u8;
    if constexpr (std::is_same_v<Number, std::int8_t>) return of_s8;
  }
};

/// Functions for one variant; null pointers for one that is not compiled. `channel_block` limits
/// the width of vectors where channels lie in short blocks.
Transforms transforms(Isa isa, const Variant& variant, int channel_block);

}  // namespace convopt::winograd
