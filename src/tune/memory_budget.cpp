#include "src/tune/memory_budget.h"

#include <algorithm>
#include <utility>

#include "core/try.h"
#include "src/runtime/executor.h"
#include "src/runtime/schedule.h"
#include "src/select/memory.h"

namespace convopt {

Result<std::size_t> fit_memory(Selection& selection, const Platform& platform,
                               std::size_t max_bytes, std::chrono::duration<double> time_limit) {
  const Problem& problem = selection.problem;
  std::size_t least = SIZE_MAX;  // of all plans that were looked at
  const auto memory = [&](const Solution& solution) -> Result<std::size_t> {
    const Plan plan = make_plan(problem, solution, platform);
    CONVOPT_TRY(const auto schedule, make_schedule(*problem.network, plan, *problem.registry));
    const std::size_t bytes = memory_of(schedule, problem.registry->context()).total();
    least = std::min(least, bytes);
    return bytes;
  };
  CONVOPT_TRY(const std::size_t now, memory(selection.solution));
  if (now <= max_bytes) return now;
  auto solution = solve_within(problem, time_limit, max_bytes, memory);
  if (solution) {
    CONVOPT_TRY(const std::size_t bytes, memory(*solution));
    choose(selection, std::move(*solution), platform);
    return bytes;
  }
  if (least <= max_bytes) return solution.error();
  // Under a limit that is far too low not even small plans are looked at.
  (void)solve_within(problem, time_limit, least - 1, memory).ok();
  return least;
}

std::size_t least_workspace(const Problem& problem) {
  std::size_t result = 0;
  for (const std::vector<Option>& options : problem.operators) {
    std::size_t least = SIZE_MAX;
    for (const Option& option : options) {
      std::size_t bytes = 0;
      if (option.candidate >= 0) {
        const Candidate& c = problem.candidates[option.candidate];
        if (c.baseline_only) continue;
        bytes = c.primitive->workspace_bytes(problem.workloads[c.workload], problem.context);
      }
      least = std::min(least, bytes);
    }
    result = std::max(result, least);
  }
  return result;
}

}  // namespace convopt
