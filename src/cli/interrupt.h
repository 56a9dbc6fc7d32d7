// What SIGINT (Ctrl-C) and SIGTERM do. Files are written as a whole or line by line, so a verb may
// end at any moment; it says what is left.
#pragma once

#include <atomic>
#include <string>

#include "convopt/error.hpp"
#include "profiler/profiler.h"

namespace convopt::cli {

/// From now on they end the process at once, with this sentence and the exit code of an
/// interruption. A signal that came since stop_on_signal() ends it now.
void exit_on_signal(const std::string& sentence);

/// From now on they set the flag, for work that looks at it and ends by itself; a second one ends
/// the process.
const std::atomic<bool>& stop_on_signal();

/// Guards the writing of a file: signals wait until it is complete.
class FinishWriting {
 public:
  FinishWriting();
  ~FinishWriting();
  FinishWriting(const FinishWriting&) = delete;
  FinishWriting& operator=(const FinishWriting&) = delete;

 private:
  bool waited_before_;
};

/// profile() as a part of a verb's work: it can be stopped, and what it has measured is kept
/// whatever happens later.
Result<ProfileSummary> profile_first(const std::vector<Workload>& workloads,
                                     ProfileOptions options);

}  // namespace convopt::cli
