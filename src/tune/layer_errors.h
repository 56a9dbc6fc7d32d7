// Error at a network's outputs from computing one layer in another type.
#pragma once

#include <chrono>
#include <span>
#include <vector>

#include "convopt/weights.hpp"
#include "src/runtime/buffers.h"
#include "src/runtime/difference.h"
#include "src/select/problem.h"

namespace convopt {

struct LayerError {
  DataType type = DataType::bf16;  ///< s8 stands for u8, too
  /// If its weights alone are rounded to that type, one of its sources, or its result, that of what
  /// is computed in its epilogue.
  Difference weights, sources, result;
};

/// One for each type of the problem but f32, by running the plan in the network's own types.
Result<std::vector<LayerError>> layer_errors(const Problem& problem, int op,
                                             const Platform& platform, const WeightSource& weights,
                                             std::span<const Buffers> samples,
                                             std::chrono::duration<double> time_limit);

}  // namespace convopt
