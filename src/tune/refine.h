// Which times would change the plan? Times the primitives that a plan hangs on, so that it is
// decided by measurement where it matters and by prediction where it does not.
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "convopt/network.hpp"
#include "convopt/primitive.hpp"
#include "src/select/select.h"

namespace convopt {

/// Gets times of these, the most important first, and returns the costs as known thereafter; null
/// if there was no time left for any. Costs that it returned before are not used again.
using MeasureContested = std::function<Result<const CostSource*>(std::span<const Query> contested)>;

struct Refinement {
  std::size_t asked = 0;  ///< primitives on workloads that were to be timed
  std::size_t timed = 0;  ///< of those
  int rounds = 0;         ///< of measuring and planning anew
  /// Nothing without a time could make a better plan, as far as the intervals of its prediction
  /// are right.
  bool settled = false;
  /// By which the network is to be planned now: times, and predictions that learnt from them and
  /// are raised, so that what is certain is preferred. Uses what was measured last.
  std::shared_ptr<const CostSource> costs;
};

/// Plans, asks for times of whatever the plan uses and nobody has timed and of what might well be
/// faster there, and plans again. The model learns on the way: predictions of what is left are
/// corrected by the times that arrive. When the best plan consists of measured times, predictions
/// are taken to be ever more optimistic, down to the lower ends of their intervals, and whatever
/// would then be chosen is timed, too; last whatever the uncorrected predictions would choose. That
/// is how bandit algorithms find the best arm by their confidence bounds (Kalyanakrishnan et al.,
/// ICML 2012), with a whole plan as the arm, so that layouts and fusions are weighed as well. What
/// takes less than a five-hundredth of the plan's time is left to predictions.
Result<Refinement> refine(const Network& network, const Registry& registry, const CostSource& costs,
                          const SelectOptions& options, const MeasureContested& measure);

}  // namespace convopt
