// Evaluation of a model on a profile. Regret is the headline: the measured time of the model's
// choices over that of the best ones. Errors are the diagnosis.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "convopt/measurement.hpp"
#include "convopt/model.hpp"
#include "convopt/network.hpp"
#include "src/tune/plan_regret.h"

namespace convopt {

/// Regrets of single workloads: the measured time of the primitive with the lowest prediction over
/// that of the fastest one, over all layouts.
struct RegretSummary {
  double mean = 1, p95 = 1, max = 1;
  double sum = 1;  ///< sum of chosen over sum of best times: large layers count more
  std::size_t workloads = 0;
};

struct PrimitiveError {
  std::string name;
  double mdrae = 0;
  std::size_t samples = 0;
};

struct Evaluation {
  Platform platform;
  std::string model;
  std::size_t samples = 0;
  double mdrae = 0, within_10_percent = 0, spearman = 0, interval_coverage = 0;
  RegretSummary regret;
  std::vector<NetworkRegret> networks;
  std::vector<PrimitiveError> primitives;  ///< largest error first
  std::vector<std::string> skipped;        ///< networks, each with the reason
};

/// Platforms of the profile's runs in the model's timing mode, most measurements first.
std::vector<Platform> measured_platforms(const Profile& profile, TimingMode mode);

/// Skips and names networks for which the profile lacks a time. With `refine_seconds` > 0, the
/// plans are also refined for that long (offline replay).
Result<Evaluation> evaluate(const PerformanceModel& model, const Profile& profile,
                            const Platform& platform, std::span<const Network> networks,
                            double refine_seconds = 0);

}  // namespace convopt
