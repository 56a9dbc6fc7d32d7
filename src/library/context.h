// Where kernels are to run and for how long, as a user asks for it.
#pragma once

#include <string>

#include "convopt/error.hpp"
#include "convopt/platform.hpp"

namespace convopt {

/// Refuses more threads than this process has processors, and levels that this CPU has not.
/// `threads` 0: default_threads().
Result<Context> checked_context(Isa isa, int threads);

/// Refuses negative, infinite and undefined times, in the name of the option.
Result<void> check_seconds(const std::string& option, double seconds);

}  // namespace convopt
