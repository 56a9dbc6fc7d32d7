// Where kernels are to run, as a user asks for it.
#pragma once

#include "convopt/error.hpp"
#include "convopt/platform.hpp"

namespace convopt {

/// Refuses more threads than this process has processors, and levels that this CPU has not.
/// `threads` 0: default_threads().
Result<Context> checked_context(Isa isa, int threads);

}  // namespace convopt
