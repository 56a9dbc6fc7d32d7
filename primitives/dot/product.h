// Convolutions of short numbers as products of tiles: some pixels by the weights of thirty-two
// output channels, step by step. What multiplies them is another matter: vectors (dot.cpp) or the
// tile registers of AMX (primitives/amx).
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "convopt/platform.hpp"
#include "convopt/primitive.hpp"
#include "convopt/tensor.hpp"
#include "core/quantisation.h"
#include "primitives/own.h"

namespace convopt::dot {

/// Numbers of four bytes in a vector, or in a row of a tile.
inline constexpr int kLanes = 16;
/// Of one pixel or output channel in a lane.
inline constexpr int kLaneBytes = 4;
/// Output channels of a panel of weights: two vectors or tiles.
inline constexpr int kPanelChannels = 2 * kLanes;

/// Whether this processor multiplies numbers of that type, bf16 or s8, in vectors.
bool has_vectors(DataType product, Isa isa);

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

/// The finish of a workload's results, all but the pointers to scales and biases. Scales of sums,
/// those of the weights alone, and biases are turned into what a finish multiplies and adds; there
/// are no scales for bf16. `activation` is what comes before storing, and lives as long as the
/// finish; `most` is the largest magnitude of a sum of whole numbers.
Finish make_finish(const Workload& workload, const Quantisation& scales,
                   const Activation& activation, double most, std::span<float> sum_scales,
                   std::span<float> biases);

/// What sums of each channel start with where sources of s8 are made numbers of u8 by adding 128.
std::vector<std::int32_t> starts_of_shifted(const QuantisedWeights& weights);

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

  int step_bytes = 0;  ///< of a pixel in a step: whole lanes
  /// [panel][step], in a step as the unit wants it: [lane][2][16 channels][4], or by halves of a
  /// panel, [2][lane][16 channels][4].
  const std::byte* weights = nullptr;
  /// What the sums of whole numbers of each of the channels start with; null: zeros.
  const std::int32_t* starts = nullptr;
  int channels = 0;              ///< of these panels, the last of which may not be full
  int tiles_together = 2;        ///< that a panel serves before the next one
  bool fetches_weights = false;  ///< into the second cache, while others are used

  // Of channel 0 of pixel 0, and from one pixel to the next in elements.
  void* result = nullptr;
  const void* residual = nullptr;
  std::int64_t result_pixel = 0, residual_pixel = 0;
  Finish finish;
};

/// C = A B of matrices of bf16, products of two added at a time to sums in float; in vectors, where
/// has_vectors(). A has `rows` rows of whole pairs of numbers, B is packed.
struct MatrixProduct {
  const std::uint16_t* a = nullptr;
  std::int64_t a_row_stride = 0;  ///< in numbers
  /// On a cache line. What lies behind it is fetched into the second cache meanwhile, since it is
  /// what the next product multiplies by, if there is one.
  const std::byte* b = nullptr;
  float* c = nullptr;  ///< rows begin on cache lines and have whole vectors
  std::int64_t c_row_stride = 0;
  int rows = 0, columns = 0, k = 0;
};
void multiply(const MatrixProduct& product);

/// Of B, k by `columns`.
std::int64_t packed_bytes(int k, int columns);
/// Row `row` of B, rounded to bf16, into its place; what is never packed has to be zeros.
void pack_row(int k, int columns, int row, const float* values, std::byte* packed);

using Multiply = void (*)(const Task& task);

/// What multiplies: vectors, or the tile registers of AMX.
struct Unit {
  /// Most pixels of a tile where there is more than one panel of output channels, and where there
  /// is one.
  int tile_rows, panel_rows;
  int step_bytes;        ///< of a pixel in a step of a reduction; 0: all that it has
  bool halves_together;  ///< the order of weights in a step, see Task
  /// Of 64 bytes of a pixel by sixteen output channels: for a tile, and for each of its rows.
  double tile_cycles, row_cycles;
  /// It multiplies u8 only, so that those of s8 become numbers that are larger by 128.
  bool shifts_s8;
  /// For sources of u8, s8 or bf16 and results of these types or f32; null where there is none.
  Multiply (*multiply)(DataType source, DataType result);
};

/// The primitive of that description, which names types and cost structure, with further traits and
/// the factors of the unit. `unit` lives as long as the process.
std::unique_ptr<Primitive> make_convolution(PrimitiveInfo info, const Unit& unit);

}  // namespace convopt::dot
