// The fastest plan that fits into so much memory.
#pragma once

#include <chrono>
#include <cstddef>
#include <functional>

#include "src/select/problem.h"

namespace convopt {

/// Bytes that executing the assignment holds. Only the executor knows: tensors share memory by
/// their lives.
using MemoryOf = std::function<Result<std::size_t>(const Solution&)>;

/// Like solve(), with an assignment that needs at most `max_bytes`. Memory is no sum over the
/// operators, so a price is put on every packed byte, under several limits of the workspace, and
/// the lowest price is sought at which the best assignment fits. What that finds may miss the
/// fastest one that fits by a little, and never counts as proven optimal. Fails if not even those
/// assignments fit that pack least.
Result<Solution> solve_within(const Problem& problem, std::chrono::duration<double> time_limit,
                              std::size_t max_bytes, const MemoryOf& memory);

}  // namespace convopt
