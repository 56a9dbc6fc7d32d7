// Plans that a chosen plan is compared with.
#pragma once

#include <chrono>
#include <optional>
#include <string>

#include "src/select/problem.h"

namespace convopt {

/// Each baseline is an optimum of the same problem with fewer options, so none is faster than the
/// plan unless the limits exclude the library's choice. Everything that a baseline leaves open
/// (fusing, conversions, the layouts of other operators) is solved to the optimum. A baseline is
/// missing if it is impossible or some of its costs are unknown.
struct Baselines {
  /// Every convolution by the library's own choice, all other operators by the same library.
  std::optional<Solution> library_default;
  std::string library;  ///< family of these primitives; several are separated by commas
  /// Every convolution by one primitive, by the library's default where it does not apply; the best
  /// such primitive.
  std::optional<Solution> best_single;
  std::string best_single_primitive;
  /// Every convolution by the primitive that is fastest for it alone; conversions as that demands.
  std::optional<Solution> greedy;
};

Baselines solve_baselines(const Problem& problem, std::chrono::duration<double> time_limit);

}  // namespace convopt
