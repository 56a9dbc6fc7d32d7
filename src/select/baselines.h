// What a plan is compared with.
#pragma once

#include <chrono>
#include <optional>
#include <string>

#include "src/select/problem.h"

namespace convopt {

/// Other ways to choose, each an optimum of the same problem with fewer options, so none is faster
/// than the plan unless the limits keep the plan from what the library would do. Generous to the
/// other ways: whatever they leave open (fusing, conversions, the layouts of other operators) is
/// solved to the optimum. Each is missing if it is impossible or some of its costs are unknown.
struct Baselines {
  /// Every convolution by what the library takes for it, all other operators by the same library.
  std::optional<Solution> library_default;
  /// Every convolution by one primitive, by the library's default where it does not apply; the best
  /// such primitive.
  std::optional<Solution> best_single;
  std::string best_single_primitive;
  /// Every convolution by what is fastest there, whatever conversions that asks for.
  std::optional<Solution> greedy;
};

Baselines solve_baselines(const Problem& problem, std::chrono::duration<double> time_limit);

}  // namespace convopt
