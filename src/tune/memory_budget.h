// Plans within a memory budget.
#pragma once

#include <chrono>
#include <cstddef>

#include "src/select/select.h"

namespace convopt {

/// Replaces the selection by the fastest plan found (solve_within) that holds at most `max_bytes`
/// when executed, unless its plan already does. Returns the bytes of its plan or, if none fits, of
/// the smallest plan found: more than `max_bytes`.
Result<std::size_t> fit_memory(Selection& selection, const Platform& platform,
                               std::size_t max_bytes, std::chrono::duration<double> time_limit);

/// The lowest limit of the workspace under which every operator of the problem can be computed.
std::size_t least_workspace(const Problem& problem);

}  // namespace convopt
