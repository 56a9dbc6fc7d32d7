// Attempts at a task, each with files of its own. A task that is started again, by a queue that
// lost sight of it or by hand, is another attempt: it begins with what earlier ones have measured,
// and what two attempts measured at once is one measurement when they are merged.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "convopt/error.hpp"
#include "convopt/profiling.hpp"
#include "src/fleet/fleet.h"

namespace convopt::fleet {

/// How an attempt stood when it last wrote.
struct AttemptState {
  std::string name, node, state, reason;  ///< state: running, interrupted, failed or done
  std::size_t workloads_done = 0, workloads_total = 0;
  std::size_t times = 0;         ///< measurements of this attempt, without those it began with
  double seconds = 0, left = 0;  ///< spent, and expected until it ends
  double age = 0;                ///< seconds since it wrote
};

/// The finished marker of a task.
struct Done {
  std::string attempt, node;
  std::size_t workloads = 0, times = 0;  ///< times: all that the task's attempts hold
  double seconds = 0;
  bool budget_exhausted = false;
};

/// Writes how one attempt stands, at most every few seconds. That it cannot write is no reason to
/// end the attempt.
class AttemptWriter {
 public:
  AttemptWriter(std::filesystem::path folder, std::string node);
  std::filesystem::path profile() const { return folder_ / (state_.name + ".jsonl"); }
  const std::string& name() const { return state_.name; }

  void progress(const ProfileProgress& progress);
  void end(const std::string& state, const std::string& reason);

 private:
  void write();

  std::filesystem::path folder_;
  AttemptState state_;
  double started_ = 0, written_ = 0;
};

/// The oldest first. Files that cannot be read are left out.
std::vector<AttemptState> attempts(const std::filesystem::path& task);
/// The profiles of all attempts that hold at least the header of a run.
std::vector<std::filesystem::path> attempt_profiles(const std::filesystem::path& task);

/// Seconds since the file was written, by the clock of its file system.
double age_of(const std::filesystem::path& file);

std::optional<Done> done(const std::filesystem::path& task);
Result<void> write_done(const std::filesystem::path& task, const Done& done);

}  // namespace convopt::fleet
