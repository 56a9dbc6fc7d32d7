// The fastest plan within a memory limit, by Lagrangian relaxation.
#pragma once

#include <chrono>
#include <cstddef>
#include <functional>

#include "src/select/problem.h"

namespace convopt {

/// Bytes that executing the assignment holds. The executor computes it, because tensors share
/// memory by their lifetimes.
using MemoryOf = std::function<Result<std::size_t>(const Solution&)>;

/// Like solve(), with an assignment that needs at most `max_bytes`. Peak memory is no sum over the
/// operators, so time plus a multiplier times the packed bytes is minimised, under several limits
/// of the workspace, with the lowest multiplier at which the best assignment fits. The result may
/// be slightly slower than the fastest plan that fits, and never counts as proven optimal. Fails if
/// not even the assignments with the fewest packed bytes fit.
Result<Solution> solve_within(const Problem& problem, std::chrono::duration<double> time_limit,
                              std::size_t max_bytes, const MemoryOf& memory);

}  // namespace convopt
