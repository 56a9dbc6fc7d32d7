// Products of a few rows by weights of f32, bf16 or s8.
#pragma once

#include <cstddef>
#include <cstdint>

#include "convopt/platform.hpp"
#include "convopt/tensor.hpp"

namespace convopt::gemv {

inline constexpr int kMostVectors = 4;
/// Weights of a channel by consecutive numbers of the source lie together in words, the first in
/// the lowest bits.
inline constexpr std::size_t kWordBytes = 4;
template <class Number>
inline constexpr int numbers_together = kWordBytes / sizeof(Number);
/// What a number of s8 is multiplied as, so that cutting it out of its word takes fewer
/// instructions: it stays in the highest bits.
inline constexpr float kUnitOfNumber = 0x1p24F;

/// All rows by the weights of some vectors of output channels.
struct Panel {
  const float* source = nullptr;
  std::int64_t source_row = 0;
  int rows = 0, k = 0;
  /// Words, filled up with zeros: [k][vectors * lanes], or [vectors][k][lanes] where
  /// Kernels::streams says so.
  const std::uint32_t* weights = nullptr;
  int vectors = 0;        ///< 1 to kMostVectors
  int last_channels = 0;  ///< channels that exist in the last vector, 1 to lanes
  /// Of s8, over kUnitOfNumber. Whole vectors, as is the bias.
  const float* scales = nullptr;
  const float* bias = nullptr;
  float* result = nullptr;
  std::int64_t result_row = 0;
  const float* residual = nullptr;  ///< null: none
  std::int64_t residual_row = 0;
  float low = 0, high = 0;
};

using ComputePanel = void (*)(const Panel& panel);

struct Kernels {
  int lanes = 0;
  int rows = 0;          ///< most rows that share each load of weights
  bool streams = false;  ///< every vector of a panel is a stream of its own
  ComputePanel f32 = nullptr, bf16 = nullptr, s8 = nullptr;

  ComputePanel of(DataType weights) const {
    return weights == DataType::s8 ? s8 : weights == DataType::bf16 ? bf16 : f32;
  }
};

}  // namespace convopt::gemv
