// What recurrent layers do between their products: gates, cells and states of one step.
#pragma once

#include <cstdint>

#include "convopt/platform.hpp"

namespace convopt::recurrent {

/// One step of some rows of a batch, `hidden` values each. Rows of gates hold the sums of products
/// [gate][hidden]; all strides are in floats.
struct Step {
  int rows = 0, hidden = 0;
  float* gates = nullptr;
  std::int64_t gates_row = 0;
  const float* before = nullptr;  ///< the state before the step
  std::int64_t before_row = 0;
  float* after = nullptr;  ///< becomes the state after it
  std::int64_t after_row = 0;
  /// lstm: the cells. gru: where the reset gate comes first, becomes the state times it; where it
  /// comes after the weights, is what these made of the state.
  float* cell = nullptr;
  std::int64_t cell_row = 0;
};

using StepFunction = void (*)(const Step& step);

struct StepFunctions {
  StepFunction lstm;
  /// Of gru, by Workload::reset_after: what follows the sums of the first two gates, and what
  /// follows those of the third.
  StepFunction gru_gates[2], gru_state[2];
};

StepFunctions step_functions(Isa isa);

}  // namespace convopt::recurrent
