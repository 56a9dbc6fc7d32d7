// Selection of the workloads to profile: those that represent most others per second of timing.
#pragma once

#include <vector>

#include "convopt/workload.hpp"

namespace convopt {

/// The pool, reordered so that every prefix represents the whole pool well: greedy maximisation of
/// a facility-location function (at least 1 - 1/e of the optimum; Nemhauser, Wolsey, Fisher 1978).
/// For each operation, the next workload is the one that most reduces the pool's distances to the
/// nearest selected workload, per second of timing. Deterministic.
std::vector<Workload> order_by_representativeness(const std::vector<Workload>& pool);

}  // namespace convopt
