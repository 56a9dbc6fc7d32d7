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
#include "convopt/precision.hpp"
#include "convopt/tensor.hpp"
#include "convopt/workload.hpp"

namespace convopt {

/// Callbacks for notes and warnings. Null: dropped.
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

/// State of a profiling run, reported a few times per second at most.
struct ProfileProgress {
  std::size_t workloads_done = 0, workloads_total = 0;
  std::size_t measurements = 0;
  double elapsed_seconds = 0;
  double remaining_seconds = 0;  ///< estimate; never more than what is left of the budget
  std::string workload;          ///< being timed
};

/// Progress and cancellation of measuring.
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
  std::size_t samples = 0;       ///< timed runs, lost ones included
  std::size_t lost_samples = 0;  ///< during which another process took a processor; do not count
  std::size_t given_up = 0;      ///< pairs without a time because of that
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

struct ProfileSettings {
  Isa isa = default_isa();
  int threads = default_threads();
  std::filesystem::path output;  ///< continued where it exists; empty: this machine's own profile
  TimingMode timing_mode = TimingMode::cold_weights;
  double budget = 0;   ///< seconds, everything included; 0: no limit
  double timeout = 0;  ///< seconds after which a primitive counts as hung; 0: 20
  /// Everything that plans for these may consist of is timed.
  std::vector<Network> networks;
  /// Sampled workloads, two thirds of them convolutions. Nothing: 300, or none with networks.
  std::optional<std::size_t> configs;
  int batch = 1;                 ///< of the samples
  std::vector<std::string> ops;  ///< only these operations; empty: all
  Precision precision = Precision::f32;
  std::vector<std::string> allow, exclude;  ///< primitives or families
  std::size_t shard = 1, shards = 1;        ///< part of the workloads, from 1
  std::uint64_t seed = 1;
  bool again = false;  ///< times again what the output holds
  Watch watch;
};

/// Times primitives on this machine and appends to the output; what is there already is skipped, so
/// the same call resumes. Times written stay valid whatever error is returned.
Result<ProfileSummary> profile_machine(const ProfileSettings& settings);
/// What that would do, without timing anything.
Result<ProfileEstimate> estimate_profile(const ProfileSettings& settings);

struct MergeSettings {
  std::vector<std::filesystem::path> profiles;
  /// Replaced as a whole; compressed if its name ends in .gz. May be one of the profiles.
  std::filesystem::path output;
  /// Of several times of a primitive the lowest counts, since disturbances make times longer; else
  /// the one that comes last.
  bool fastest = false;
  Messages messages;  ///< warned of what was left out
};

/// Joins profiles without duplicates and damaged lines. Fails if one of them is no profile.
Result<void> merge_profiles(const MergeSettings& settings);

/// A time of a profile, taken again.
struct CheckPoint {
  std::string workload, primitive;
  double before_ns = 0, now_ns = 0;
  double predicted_ns = 0;  ///< 0 without a model

  double ratio() const { return now_ns / before_ns; }
};

enum class Verdict : std::uint8_t {
  holds,    ///< times are as before
  shifted,  ///< all times changed by about one factor: choices hold, predicted times do not
  changed,  ///< times changed by different factors: profile and transfer again
  unknown,  ///< fewer than kPointsToTell points could be compared
};
std::string_view to_string(Verdict verdict);

/// Fewer points give no verdict: one disturbed measurement would decide it.
inline constexpr std::size_t kPointsToTell = 3;

struct Check {
  std::vector<CheckPoint> points;
  std::string missing;                         ///< why there are fewer points than asked for
  double median_ratio = 1;                     ///< now over before
  double spread = 0;                           ///< median relative distance from that ratio
  double model_mdrae = 0;                      ///< the model's error on these points; 0 without one
  std::vector<std::string> updated_libraries;  ///< "onednn 2.6.3+a -> 2.7.0+b"
  Verdict verdict = Verdict::holds;
};

struct CheckSettings {
  Isa isa = default_isa();
  int threads = default_threads();
  std::filesystem::path profile;  ///< empty: this machine's own
  std::filesystem::path model;    ///< empty: this machine's own, if there is one
  std::size_t points = 10;        ///< at least kPointsToTell
  Messages messages;
  Watch watch;
};

/// Measures a few points of a profile again, a few seconds altogether, and says whether its times
/// still hold. Keeps nothing of what it measures, but stores the machine's peak and bandwidths
/// where they are not known. Fails with `bad_input` if the profile has no times of this machine.
Result<Check> check_profile(const CheckSettings& settings);

/// The child's side of measuring: serves its parent until that is gone. Nothing else may have used
/// convopt in this process.
Result<void> run_profile_worker();

}  // namespace convopt
