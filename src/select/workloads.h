// Workloads of all plans for a network.
#pragma once

#include <vector>

#include "convopt/network.hpp"
#include "convopt/workload.hpp"

namespace convopt {

/// The distinct workloads, in the order of the network: every operator by itself and with the
/// operators that it may absorb, and the layout conversion of every tensor. Times for all of them
/// are what `select` needs to decide by measurements alone.
std::vector<Workload> network_workloads(const Network& network);

}  // namespace convopt
