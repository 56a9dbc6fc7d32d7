// Binding of threads to processors.
#pragma once

#include <string>
#include <vector>

namespace convopt {

/// Number of processors (hardware threads) that this process may run on.
int available_processors();

/// Gives each OpenMP thread of teams of this size a processor of its own among those that the
/// process may use, cores before their second hardware threads. Two threads on one processor wait
/// for each other by spinning until the time slice ends: a kernel of 0.2 ms was seen to take 8 ms
/// where a neighbour kept the other processor busy. Does nothing for one thread, or with fewer
/// processors than threads.
void bind_threads(int threads);

/// Restricts this process, and those that it starts, to `count` of its processors: one per core
/// first, and not the first core, which handles most interrupts, unless all are needed. Does
/// nothing with fewer processors.
void keep_to_processors(int count);

/// Processors in the order in which threads get them: `siblings[i]` is the list of hardware threads
/// of the core of `processors[i]`, as Linux writes it (`0,64` or `0-1`).
std::vector<int> binding_order(const std::vector<int>& processors,
                               const std::vector<std::string>& siblings);

}  // namespace convopt
