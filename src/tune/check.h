// Check of a profile: measures a few of its points again and compares, since an update of the
// kernel, a library or the firmware can change times.
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
  holds,    ///< times are as before
  shifted,  ///< all times changed by about one factor: choices hold, predicted times do not
  changed,  ///< times changed by different factors: profile and transfer again
  unknown,  ///< fewer than kPointsToTell points could be compared
};
std::string_view to_string(Verdict verdict);

/// Of fewer points the median is too easily one that met a bad moment.
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

/// Points to measure again: the fastest primitives of `count` convolutions spread over the range of
/// times. Deterministic.
std::vector<const Measurement*> points_to_check(const Profile& profile, const Platform& platform,
                                                TimingMode mode, std::size_t count);

/// The verdict by the ratios of the points.
Check compare_times(std::vector<CheckPoint> points, std::vector<std::string> updated_libraries);

struct CheckRequest {
  Context context;
  std::optional<TimingMode> timing_mode;    ///< null: that of the profile's latest run here
  std::filesystem::path profile;            ///< empty: this machine's own
  const PerformanceModel* model = nullptr;  ///< may be null
  std::size_t points = 10;
  std::function<void(const ProfileProgress&)> progress;
  const std::atomic<bool>* stop = nullptr;
};

/// Writes nothing but a temporary file.
Result<Check> check(const CheckRequest& request);

}  // namespace convopt
