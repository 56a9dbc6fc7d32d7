// Trials in processes of their own, so that one that crashes ends no other.
#pragma once

#include <filesystem>
#include <functional>
#include <vector>

#include "tests/conformance/trial.h"

namespace convopt::conformance {

/// Tries a case; made once per process, in the process.
using Trial = std::function<Outcome(const Case&)>;

/// The outcomes of the cases, in their order. A process that ends or hangs during a case is
/// replaced by one that goes on with the next.
std::vector<Outcome> try_isolated(const std::vector<Case>& cases,
                                  const std::function<Trial()>& make_trial);

}  // namespace convopt::conformance
