// Evaluation of a model on a profile: regret first (the measured time of the model's choices over
// that of the best ones), then prediction errors.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "convopt/measurement.hpp"
#include "convopt/model.hpp"
#include "convopt/network.hpp"
#include "convopt/transfer.hpp"
#include "src/tune/plan_regret.h"

namespace convopt {

/// Platforms of the profile's runs in the model's timing mode, most measurements first.
std::vector<Platform> measured_platforms(const Profile& profile, TimingMode mode);

/// Skips and names networks for which the profile lacks a time. With `refine_seconds` > 0, the
/// plans are also refined for that long (offline replay).
Result<Evaluation> evaluate(const PerformanceModel& model, const Profile& profile,
                            const Platform& platform, std::span<const Network> networks,
                            double refine_seconds = 0);

}  // namespace convopt
