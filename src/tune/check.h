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
#include "convopt/profiling.hpp"
#include "profiler/profiler.h"

namespace convopt {

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
  std::vector<std::string> worker_command;  ///< as in Watch
  Messages messages;
};

/// Writes nothing but a temporary file.
Result<Check> check(const CheckRequest& request);

}  // namespace convopt
