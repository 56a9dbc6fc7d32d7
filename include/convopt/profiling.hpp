// Timing primitives on this machine.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "convopt/error.hpp"
#include "convopt/measurement.hpp"
#include "convopt/network.hpp"
#include "convopt/platform.hpp"
#include "convopt/tensor.hpp"
#include "convopt/workload.hpp"

namespace convopt {

/// Where sentences go that are no errors. Null: nowhere.
struct Messages {
  std::function<void(const std::string&)> note, warn;

  void say(const std::string& sentence) const {
    if (note) note(sentence);
  }
  void warn_of(const std::string& sentence) const {
    if (warn) warn(sentence);
  }
  void warn_of(const std::vector<std::string>& sentences) const {
    for (const std::string& sentence : sentences) warn_of(sentence);
  }
};

/// How a profiling run stands; told a few times per second at most.
struct ProfileProgress {
  std::size_t workloads_done = 0, workloads_total = 0;
  std::size_t measurements = 0;
  double elapsed_seconds = 0;
  double remaining_seconds = 0;  ///< estimate; never more than what is left of the budget
  std::string workload;          ///< being timed
};

/// How measuring is followed and stopped.
struct Watch {
  std::function<void(const ProfileProgress&)> progress;
  /// Becomes true when the user wants to stop; times measured so far are kept.
  const std::atomic<bool>* stop = nullptr;
  /// Primitives are timed in a child process, which a crash of one ends. The program and the
  /// arguments that end in run_profile_worker(). Empty: this program with the argument
  /// `profile-worker`.
  std::vector<std::string> worker_command;
};

struct ProfileSummary {
  std::size_t workloads_done = 0, workloads_total = 0;
  std::size_t ok = 0, censored = 0, inapplicable = 0, failed = 0, timeout = 0, crashed = 0;
  std::size_t already_done = 0;  ///< found in the output and not timed again
  std::size_t disturbed = 0;     ///< times taken although the sentinel said the machine was busy
  bool budget_exhausted = false;
  double seconds = 0;
  std::vector<std::string> warnings;
};

/// What profile_machine() would do, without timing anything.
struct ProfileEstimate {
  std::size_t workloads = 0;     ///< with something left to do
  std::size_t measurements = 0;  ///< of applicable primitives
  std::size_t already_done = 0;
  double seconds = 0;
};

/// The child's side of measuring: serves its parent until that is gone. Nothing else may have used
/// convopt in this process.
Result<void> run_profile_worker();

}  // namespace convopt
