// Workloads of all plans for a network.
#pragma once

#include <set>
#include <vector>

#include "convopt/network.hpp"
#include "convopt/workload.hpp"

namespace convopt {

/// The workload and, where it is of f32 images, the same in every other combination of these types
/// for its sources, its result and its residual.
std::vector<Workload> in_types(const Workload& workload, const std::set<DataType>& types);

/// The distinct workloads, in the order of the network: every operator by itself and with the
/// operators that it may absorb, and the conversions of every tensor, all of them in the network's
/// own types and in the given ones (see Limits::types). Times for all of them are what `select`
/// needs to decide by measurements alone.
std::vector<Workload> network_workloads(const Network& network,
                                        const std::set<DataType>& types = {});

}  // namespace convopt
