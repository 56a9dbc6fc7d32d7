// Plans within a memory budget.
#pragma once

#include <chrono>
#include <cstddef>

#include "src/select/select.h"

namespace convopt {

/// Replaces the selection by the fastest plan found (solve_within) that holds at most `max_bytes`
/// when executed, unless its plan already does. Fails if there is none.
Result<void> fit_memory(Selection& selection, const Platform& platform, std::size_t max_bytes,
                        std::chrono::duration<double> time_limit);

}  // namespace convopt
