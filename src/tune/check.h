// Do the times of this machine still hold? A kernel update, another library, dust in the cooling:
// re-times a few points of the local profile and compares.
#pragma once

#include <atomic>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "convopt/measurement.hpp"
#include "convopt/model.hpp"
#include "profiler/profiler.h"

namespace convopt {

struct CheckPoint {
  std::string workload, primitive;
  double before_ns = 0, now_ns = 0;
  double predicted_ns = 0;  ///< 0 without a model

  double ratio() const { return now_ns / before_ns; }
};

enum class Verdict : std::uint8_t {
  holds,    ///< times are as they were
  shifted,  ///< all changed by much the same factor: choices hold, predicted times do not
  changed,  ///< primitives changed against each other: profile and transfer again
};
std::string_view to_string(Verdict verdict);

struct Check {
  std::vector<CheckPoint> points;
  double median_ratio = 1;                     ///< now over before
  double spread = 0;                           ///< median distance from that, relative
  double model_mdrae = 0;                      ///< of the model on these points; 0 without one
  std::vector<std::string> updated_libraries;  ///< "onednn 2.6.3+a -> 2.7.0+b"
  Verdict verdict = Verdict::holds;
};

/// Points that are worth timing again: of `count` convolutions spread over the range of times, the
/// fastest primitive each. Deterministic.
std::vector<const Measurement*> points_to_check(const Profile& profile, const Platform& platform,
                                                TimingMode mode, std::size_t count);

/// What the ratios mean.
Check judge(std::vector<CheckPoint> points, std::vector<std::string> updated_libraries);

struct CheckRequest {
  Context context;
  std::optional<TimingMode> timing_mode;    ///< null: that of the profile's latest run here
  std::filesystem::path profile;            ///< empty: this machine's place
  const PerformanceModel* model = nullptr;  ///< may be null
  std::size_t points = 10;
  std::function<void(const ProfileProgress&)> progress;
  const std::atomic<bool>* stop = nullptr;
};

/// Writes nothing but a temporary file.
Result<Check> check(const CheckRequest& request);

}  // namespace convopt
