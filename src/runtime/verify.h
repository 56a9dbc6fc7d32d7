// Does a plan compute what its network means?
#pragma once

#include <span>
#include <string>
#include <vector>

#include "convopt/error.hpp"
#include "convopt/network.hpp"
#include "src/runtime/difference.h"
#include "src/runtime/executor.h"
#include "src/runtime/weights.h"

namespace convopt {

/// One tensor that the plan made, compared with the reference.
struct TensorCheck {
  std::string name;       ///< of the step
  std::string primitive;  ///< empty for an output of the network
  double error = 0;       ///< max|error| / max|reference|; infinity if not finite
  double bound = 0;
  bool tail_is_zero = true;  ///< the filling of the last channel block

  bool ok() const { return error <= bound && tail_is_zero; }
};

/// An output of the network, compared with what the reference makes of the same inputs: every
/// operator in double precision, its result rounded to single. Here errors do add up through the
/// depth, and some networks amplify them.
struct OutputError {
  std::string name;
  Difference difference;
};

struct Verification {
  std::vector<TensorCheck> checks;  ///< in the order of execution
  std::vector<OutputError> output_errors;

  double max_error() const;
  /// The first step that failed, from which later errors may follow; null if all is well.
  const TensorCheck* first_failure() const;
};

/// Runs the executor once and compares every tensor that it makes with the reference computation of
/// the network's own operators. What an operator reads is looked up in the network, as the plan
/// computed it: so errors do not add up through the depth and each step answers to its own bound,
/// and a tensor that was mixed up or overwritten before it was read is found as well.
Result<Verification> verify(Executor& executor, const Network& network, const WeightSource& weights,
                            Executor::Inputs inputs);

}  // namespace convopt
