#include "src/tune/memory_budget.h"

#include <utility>

#include "core/try.h"
#include "src/runtime/executor.h"
#include "src/runtime/schedule.h"
#include "src/select/memory.h"

namespace convopt {

Result<void> fit_memory(Selection& selection, const Platform& platform, std::size_t max_bytes,
                        std::chrono::duration<double> time_limit) {
  const Problem& problem = selection.problem;
  const auto memory = [&](const Solution& solution) -> Result<std::size_t> {
    const Plan plan = make_plan(problem, solution, platform);
    CONVOPT_TRY(const auto schedule, make_schedule(*problem.network, plan, *problem.registry));
    return memory_of(schedule, problem.registry->context()).total();
  };
  CONVOPT_TRY(const std::size_t now, memory(selection.solution));
  if (now <= max_bytes) return {};
  CONVOPT_TRY(Solution solution, solve_within(problem, time_limit, max_bytes, memory));
  choose(selection, std::move(solution), platform);
  return {};
}

}  // namespace convopt
