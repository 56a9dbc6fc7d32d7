#include "src/tune/fit.h"

#include <utility>

#include "src/runtime/executor.h"
#include "src/runtime/schedule.h"
#include "src/select/memory.h"

namespace convopt {

Result<void> fit_memory(Selection& selection, const Platform& platform, std::size_t max_bytes,
                        std::chrono::duration<double> time_limit) {
  const Problem& problem = selection.problem;
  const auto memory = [&](const Solution& solution) -> Result<std::size_t> {
    const Plan plan = make_plan(problem, solution, platform);
    const auto schedule = make_schedule(*problem.network, plan, *problem.registry);
    if (!schedule) return schedule.error();
    return memory_of(*schedule, problem.registry->context()).total();
  };
  const auto now = memory(selection.solution);
  if (!now) return now.error();
  if (*now <= max_bytes) return {};
  auto solution = solve_within(problem, time_limit, max_bytes, memory);
  if (!solution) return solution.error();
  choose(selection, std::move(*solution), platform);
  return {};
}

}  // namespace convopt
