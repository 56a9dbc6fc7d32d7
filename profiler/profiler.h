// Times primitives on workloads in a child process and keeps the results in a profile.
#pragma once

#include <atomic>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "convopt/error.hpp"
#include "convopt/measurement.hpp"
#include "convopt/profiling.hpp"

namespace convopt {

struct ProfileOptions {
  Context context;
  TimingMode timing_mode = TimingMode::cold_weights;
  std::uint64_t seed = 0;
  double budget_seconds = 0;   ///< everything included; 0: no limit
  double timeout_seconds = 0;  ///< one step of one primitive; 0: 20 s, less with a small budget
  std::filesystem::path output;
  /// Timing of a primitive ends when the relative standard error of its median is below this.
  double target_uncertainty = 0.01;
  /// Times to find the fastest only: fewer runs of each primitive, fewest of clear losers.
  bool race = false;
  /// Which primitives to time on which workload; null: all.
  std::function<bool(const Workload&, const PrimitiveInfo&)> filter;
  /// Times again what the output already holds.
  bool again = false;
  /// Program and arguments that end in run_worker(). Empty: this program with the argument
  /// `kWorkerVerb`.
  std::vector<std::string> worker_command;
  std::function<void(const ProfileProgress&)> progress;
  /// Becomes true when the user wants to stop; may be set by a signal handler.
  const std::atomic<bool>* stop = nullptr;
};

/// The distinct workloads, convolutions alternating with everything else: first one of every
/// operation, then each operation in proportion to its number.
std::vector<Workload> interleaved(const std::vector<Workload>& workloads);

/// Times every primitive on every workload and appends to `options.output`; what that file already
/// holds is skipped, so the same call resumes. The order is that of interleaved(), so that a
/// short budget covers all operations. Measurements already written stay valid whatever
/// error is returned.
Result<ProfileSummary> profile(const std::vector<Workload>& workloads,
                               const ProfileOptions& options);

/// A warning if more runs were disturbed than on a quiet machine. Callers of profile() report it,
/// since several calls may belong to one measurement.
std::optional<std::string> busy_warning(const ProfileSummary& summary);

/// What profile() would do, without timing anything.
Result<ProfileEstimate> estimate_profile(const std::vector<Workload>& workloads,
                                         const ProfileOptions& options);

/// Argument that makes `convopt` the child of a profiling run.
inline constexpr const char* kWorkerVerb = "profile-worker";

class Timer;
using RegistryFactory = std::function<Result<std::unique_ptr<Registry>>(const Context&)>;
using TimerFactory = std::function<std::unique_ptr<Timer>(const Context&, TimingMode, double)>;

/// The child's side: serves requests on inherited descriptors until its parent is gone. Nothing
/// else may have used oneDNN in this process.
Result<void> run_worker();
/// The same with other primitives and another source of times; see make_timer().
Result<void> run_worker(const RegistryFactory& registry_for, const TimerFactory& timer_for);

}  // namespace convopt
