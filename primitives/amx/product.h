// Products by the tile registers of AMX: sixteen rows of 64 bytes, a pixel each, by tiles of
// weights for sixteen output channels. Nothing outside product.cpp knows an instruction.
#pragma once

#include <cstddef>
#include <cstdint>

#include "convopt/platform.hpp"
#include "convopt/primitive.hpp"
#include "convopt/tensor.hpp"
#include "primitives/own.h"

namespace convopt::amx {

/// Of a tile register; a step of a reduction is a row's bytes.
inline constexpr int kTileRows = 16, kRowBytes = 64;
/// Output channels of a panel of weights: two tiles.
inline constexpr int kPanelChannels = 32;
/// Of a panel, for a step: [16 channels][kRowBytes / 4][16 channels' next 4 bytes], twice.
inline constexpr int kStepBytes = 2 * kTileRows * kRowBytes;

/// Whether this processor and its kernel multiply numbers of that type, bf16 or s8, in tiles. Asks
/// the kernel for them once per process.
bool has_tiles(DataType product, Isa isa);

/// How sums become results: activation(scale * sum + bias + residual_scale * residual).
struct Finish {
  DataType residual_type = DataType::f32;
  /// Of the channels, as many as an even number of panels has; none for bf16.
  const float* scales = nullptr;
  const float* bias = nullptr;  ///< likewise
  float residual_scale = 1;
  bool clamps_low = false, clamps_high = false;  ///< to these, in steps of a quantised result
  float low = 0, high = 0;
  /// Another activation than a clamp, of real numbers; then they are multiplied by `steps`, and the
  /// result's zero point is added.
  ActivateFunction activate = nullptr;
  const Activation* activation = nullptr;
  float steps = 1, zero_point = 0;
};

/// Tiles of pixels by panels of output channels, all in one thread.
struct Task {
  // Row r of tile t lies at image + first_pixels[t] * pixel_bytes + r * row_bytes, in the n-th step
  // of the reduction so much further as steps[n] says.
  const std::byte* image = nullptr;
  std::int64_t pixel_bytes = 0, row_bytes = 0;
  const std::int32_t* first_pixels = nullptr;
  const std::int64_t* steps = nullptr;
  int step_count = 0;
  int tiles = 0, rows = 0;  ///< rows of each tile
  /// Number of the result's pixel that each row of each tile is for; negative for none.
  const std::int32_t* places = nullptr;

  const std::byte* weights = nullptr;  ///< [panel][step][kStepBytes]
  int channels = 0;                    ///< of these panels, the last of which may not be full
  int tiles_together = 2;              ///< that a panel serves before the next one

  // Of channel 0 of pixel 0, and from one pixel to the next in elements.
  void* result = nullptr;
  const void* residual = nullptr;
  std::int64_t result_pixel = 0, residual_pixel = 0;
  Finish finish;
};

using Multiply = void (*)(const Task& task);
/// For sources of u8, s8 or bf16 and results of these types or f32; null where there is none.
Multiply multiply_function(DataType source, DataType result);

}  // namespace convopt::amx
