// How often this process has started a team of threads.
#pragma once

namespace convopt::testing {

/// Whether they are counted: in GCC's runtime, which the library oneDNN uses too.
bool counts_forks();
long fork_count();

}  // namespace convopt::testing
