#include "src/tune/confirm.h"

#include <memory>
#include <span>
#include <utility>

#include "core/try.h"
#include "src/runtime/buffers.h"
#include "src/runtime/executor.h"

namespace convopt {

std::string_view baseline_name(std::string_view name) {
  return name == "onednn_default" ? kDefaultName : name;
}

const Solution* baseline(const Selection& selection, std::string_view name) {
  const Baselines& all = selection.baselines;
  name = baseline_name(name);
  const std::optional<Solution>* found = name == kDefaultName  ? &all.library_default
                                         : name == kSingleName ? &all.best_single
                                         : name == kGreedyName ? &all.greedy
                                                               : nullptr;
  return found != nullptr && found->has_value() ? &**found : nullptr;
}

/// For proving that the plan in own types is the fastest, which counts for little here.
constexpr std::chrono::duration<double> kProofTime(1);

Result<Confirmation> confirm(Selection& selection, const Platform& platform,
                             const WeightSource& weights, const TimingOptions& options,
                             std::size_t max_bytes) {
  const Problem& problem = selection.problem;
  const Network& network = *problem.network;
  Confirmation result;
  std::vector<Solution> solutions;
  std::vector<std::unique_ptr<Executor>> executors;
  const auto enter = [&](std::string_view name, const Solution& solution) -> Result<void> {
    // The same plan twice would only split the time.
    for (const Solution& known : solutions)
      if (known.assignment == solution.assignment) return {};
    CONVOPT_TRY(auto executor, Executor::create(network, make_plan(problem, solution, platform),
                                                *problem.registry, weights, max_bytes));
    result.contestants.push_back({std::string(name), {}});
    solutions.push_back(solution);
    executors.push_back(std::move(executor));
    return {};
  };
  CONVOPT_CHECK(enter("plan", selection.solution));
  if (problem.types.size() > 1) {
    if (auto own = solve_in_own_types(problem, kProofTime)) (void)enter(kOwnTypesName, *own).ok();
  }
  for (const std::string_view name : {kDefaultName, kSingleName}) {
    // One that cannot be executed, for want of memory, is no competition.
    if (const Solution* solution = baseline(selection, name)) (void)enter(name, *solution).ok();
  }

  Buffers inputs(network, network.inputs), outputs(network, network.outputs);
  inputs.fill_random(1);
  std::vector<Executor*> pointers;
  for (const auto& executor : executors) pointers.push_back(executor.get());
  CONVOPT_TRY(auto times, time_in_turns(pointers, inputs.inputs(), outputs.outputs(), options));
  for (std::size_t i = 0; i < times.size(); ++i) {
    result.contestants[i].times = std::move(times[i]);
    const RunTimes& mine = result.contestants[i].times;
    const RunTimes& best = result.contestants[result.winner].times;
    if (mine.median_ns() < best.median_ns() && mine.min_ns() < best.min_ns()) result.winner = i;
  }
  if (result.winner != 0) choose(selection, std::move(solutions[result.winner]), platform);
  return result;
}

}  // namespace convopt
