// Progress display while primitives are timed, and how to interrupt it.
#pragma once

#include <atomic>
#include <chrono>
#include <string>

#include "profiler/profiler.h"

namespace convopt::cli {

/// "1:05", "1:02:03".
std::string format_duration(double seconds);

/// Shows progress on standard error: one line that is drawn again and again on a terminal, else a
/// plain line from time to time.
class Progress {
 public:
  explicit Progress(bool quiet);
  ~Progress() { finish(); }
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  void show(const ProfileProgress& progress);
  void finish();  ///< clears the terminal's line

 private:
  bool quiet_, terminal_;
  bool drawn_ = false;
  std::chrono::steady_clock::time_point last_{};
};

/// From now on, SIGINT and SIGTERM set the flag instead of ending the process; a second one ends
/// it.
const std::atomic<bool>& stop_on_signal();

}  // namespace convopt::cli
