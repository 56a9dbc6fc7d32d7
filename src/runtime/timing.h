// How long does a whole network take? Several executors are timed in turns, so that whatever the
// machine does meanwhile befalls them all.
#pragma once

#include <chrono>
#include <span>
#include <vector>

#include "convopt/error.hpp"
#include "src/runtime/executor.h"

namespace convopt {

struct TimingOptions {
  std::chrono::duration<double> time{2};  ///< for all executors together
  int repeats = 0;                        ///< if > 0, this many runs of each instead
  bool steps = false;                     ///< of the first executor, too
};

struct RunTimes {
  std::vector<double> runs_ns;   ///< in the order taken, warm-up not among them
  std::vector<double> steps_ns;  ///< median of each step, if asked for

  double median_ns() const;
  /// Nearest rank.
  double quantile_ns(double quantile) const;
  double min_ns() const;
};

/// All executors compute the same network. One entry per executor.
Result<std::vector<RunTimes>> time_in_turns(std::span<Executor* const> executors,
                                            Executor::Inputs inputs, Executor::Outputs outputs,
                                            const TimingOptions& options);

}  // namespace convopt
