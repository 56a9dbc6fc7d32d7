// A model for this machine in half a minute: times a few workloads, then adapts.
#pragma once

#include <atomic>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "convopt/profiling.hpp"
#include "model/transfer.h"
#include "profiler/profiler.h"

namespace convopt {

struct TransferRequest {
  Context context;
  double budget_seconds = 30;  ///< of profiling
  std::uint64_t seed = 1;
  /// Existing times. Empty: profiles this machine, into its own place, where the times of earlier
  /// calls count as well.
  std::filesystem::path profile;
  std::function<void(const ProfileProgress&)> progress;
  const std::atomic<bool>* stop = nullptr;
  Messages messages;  ///< of what is told while it measures
  /// Times the workloads into the options' output.
  std::function<Result<ProfileSummary>(const std::vector<Workload>&, const ProfileOptions&)>
      measure = convopt::profile;
};

struct TransferOutcome {
  Transfer transfer;
  Platform platform;
  std::filesystem::path profile;
  double profile_seconds = 0;
  std::vector<std::string> warnings;
};

/// Fails with `partial` if the budget ended before anything was timed.
Result<TransferOutcome> transfer(const TrainedModel& source, const TransferRequest& request);

/// The runs on one platform and their measurements.
Profile only_platform(const Profile& profile, const std::string& platform_id);

}  // namespace convopt
