// What would `select --refine` reach on a machine that is not at hand? Its profile answers for it.
#pragma once

#include <cstddef>
#include <string>
#include <unordered_map>

#include "convopt/measurement.hpp"
#include "convopt/network.hpp"
#include "convopt/primitive.hpp"
#include "src/select/costs.h"

namespace convopt {

/// What timing took when a profile was taken, and so would take again.
class TimingEffort {
 public:
  TimingEffort(const Profile& profile, const Platform& platform, TimingMode mode);

  /// Seconds to prepare, check and time it as coarsely as refinement does; 0 if it was not timed.
  double seconds(const std::string& workload, const std::string& primitive) const;

 private:
  std::unordered_map<std::string, double> seconds_;  // by workload and primitive
};

struct Rehearsal {
  std::size_t timed = 0;  ///< primitives on workloads
  bool settled = false;   ///< as Refinement::settled
  double seconds = 0;     ///< that measuring would have taken, by `effort`
  double ns = 0;          ///< of the plan it ends with, in measured times
  bool optimal = true;
};

/// Refines the plan that `predicted` makes for up to `seconds`, with the times that `measured`
/// holds and only those. The last workload that is begun is finished.
Result<Rehearsal> rehearse(const Network& network, const Registry& registry,
                           const CostSource& predicted, const CostSource& measured,
                           const TimingEffort& effort, double seconds);

}  // namespace convopt
