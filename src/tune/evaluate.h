// How good is a model on a profile? Regret first: what choosing by the model costs, in measured
// times. Errors are the diagnosis.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "convopt/measurement.hpp"
#include "convopt/model.hpp"
#include "convopt/network.hpp"
#include "src/tune/judge.h"

namespace convopt {

/// Regrets of single workloads: the time of the primitive predicted fastest over that of the
/// fastest one, over all layouts.
struct RegretSummary {
  double mean = 1, p95 = 1, max = 1;
  double sum = 1;  ///< of all chosen over the sum of all best: large layers count more
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

/// A network of which the profile lacks a needed time is skipped and named. With
/// `refine_seconds` > 0 the plans are also refined for so long.
Result<Evaluation> evaluate(const PerformanceModel& model, const Profile& profile,
                            const Platform& platform, std::span<const Network> networks,
                            double refine_seconds = 0);

}  // namespace convopt
