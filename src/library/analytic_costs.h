// Times without a model or measurements.
#pragma once

#include <vector>

#include "core/work.h"
#include "model/analytic.h"
#include "src/select/costs.h"

namespace convopt {

/// What a primitive takes by its operation counts. That of a library's secret is not told from its
/// slowest one, so others are preferred.
class AnalyticCosts final : public CostSource {
 public:
  explicit AnalyticCosts(const Platform& platform) : machine_(Capabilities::of(platform)) {}

  Result<std::vector<Cost>> costs(std::span<const Query> queries) const override {
    constexpr double kSecret = 4;
    std::vector<Cost> costs;
    for (const Query& query : queries) {
      const WorkEstimate work = estimate_work(*query.workload, *query.primitive, machine_.vector);
      const bool is_secret = query.primitive->traits.algorithm == Algorithm::unknown;
      const double ns =
          analytic_time(work, machine_, TimingMode::warm).ns * (is_secret ? kSecret : 1);
      costs.push_back({Cost::Source::predicted, {ns, ns, ns}, {}});
    }
    return costs;
  }

 private:
  Capabilities machine_;
};

}  // namespace convopt
