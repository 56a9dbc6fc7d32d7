// Plans that must fit into memory.
#pragma once

#include <chrono>
#include <cstddef>

#include "src/select/select.h"

namespace convopt {

/// Keeps the selection if executing its plan holds at most `max_bytes`, else takes the fastest plan
/// that does (solve_within). Fails if there is none.
Result<void> fit_memory(Selection& selection, const Platform& platform, std::size_t max_bytes,
                        std::chrono::duration<double> time_limit);

}  // namespace convopt
