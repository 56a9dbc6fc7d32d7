// Offline replay of `select --refine`: a profile answers in place of its machine.
#pragma once

#include <cstddef>
#include <unordered_map>

#include "convopt/measurement.hpp"
#include "convopt/network.hpp"
#include "convopt/primitive.hpp"
#include "core/timing_key.h"
#include "src/select/costs.h"

namespace convopt {

/// Estimated time to repeat each measurement of a profile.
class TimingEffort {
 public:
  TimingEffort(const Profile& profile, const Platform& platform, TimingMode mode);

  /// Seconds to prepare, check and time it as coarsely as refinement does; 0 if it was not timed.
  double seconds(const TimingKey& key) const;

 private:
  std::unordered_map<TimingKey, double> seconds_;
};

struct Replay {
  std::size_t timed = 0;  ///< number of pairs of primitive and workload
  bool settled = false;   ///< as Refinement::settled
  double seconds = 0;     ///< time that measuring would have taken, by `effort`
  double ns = 0;          ///< measured time of the last plan
  bool optimal = true;
};

/// Refines the plan that `predicted` makes for up to `seconds`, with times out of `measured`. The
/// last workload that is begun is finished.
Result<Replay> replay_refinement(const Network& network, const Registry& registry,
                                 const CostSource& predicted, const CostSource& measured,
                                 const TimingEffort& effort, double seconds);

}  // namespace convopt
