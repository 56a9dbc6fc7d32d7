// Counts the allocations of this program, so that a run can prove it makes none.
#pragma once

namespace convopt::testing {

/// Calls of any operator new so far, on all threads.
long allocation_count();

}  // namespace convopt::testing
