// Which workloads say most about a machine for the time that they take?
#pragma once

#include <vector>

#include "convopt/workload.hpp"

namespace convopt {

/// The pool in an order of which every beginning stands for the whole as well as so few can: of
/// each operation, the workload comes next that brings the pool's workloads closest to one already
/// taken, per second that timing it takes. (Greedy maximisation of a facility-location function, at
/// least 1 - 1/e of what is possible; Nemhauser, Wolsey, Fisher 1978.) Deterministic.
std::vector<Workload> order_by_coverage(const std::vector<Workload>& pool);

}  // namespace convopt
