#include "src/tune/plan_regret.h"

#include "core/try.h"
#include "model/dataset.h"
#include "src/select/problem.h"

namespace convopt {
namespace {

constexpr std::chrono::seconds kSolveLimit(5);

}  // namespace

PlanRegrets::PlanRegrets(const Profile& profile, const Platform& platform, TimingMode mode,
                         std::span<const Network> networks)
    : registry_(profile, platform), measured_(profile, platform, mode, registry_.libraries()) {
  for (const Network& network : networks) {
    const auto truth = build_problem(network, registry_, measured_);
    const auto best = truth ? solve(*truth, kSolveLimit) : Result<Solution>(truth.error());
    if (!best) {
      skipped_.push_back(network.name + ": " + best.error().message);
      continue;
    }
    networks_.push_back(&network);
    best_.push_back({best->ns, best->optimal});
    for (const Workload& workload : truth->workloads) shapes_.insert(shape_group(workload));
  }
}

Result<NetworkRegret> PlanRegrets::of_network(std::size_t index,
                                              const CostSource& predicted) const {
  const Best& best = best_[index];
  CONVOPT_TRY(const Problem expectation,
              build_problem(*networks_[index], registry_, CostsWhereKnown(predicted, measured_)));
  CONVOPT_TRY(const Solution choice, solve(expectation, kSolveLimit));
  CONVOPT_TRY(const double chosen_ns, price_ns(expectation, choice.assignment, measured_));
  NetworkRegret regret;
  regret.name = networks_[index]->name;
  regret.optimum_ms = best.ns / 1e6;
  regret.chosen_ms = chosen_ns / 1e6;
  regret.regret = best.ns > 0 ? chosen_ns / best.ns : 1;
  regret.optimal = best.optimal && choice.optimal;
  return regret;
}

}  // namespace convopt
