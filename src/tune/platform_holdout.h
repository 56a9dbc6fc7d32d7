// Leave-one-platform-out evaluation: how well a model of other machines transfers to an unseen one.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "convopt/measurement.hpp"
#include "model/trained_model.h"
#include "src/tune/transfer_curve.h"

namespace convopt {

/// All runs and measurements of one platform.
struct PlatformProfile {
  Platform platform;
  Profile profile;
};

/// The measurements of the profiles by platform, in order of first occurrence.
std::vector<PlatformProfile> by_platform(std::span<const Profile> profiles);

/// A model of all other machines and ISA levels than the target's, without the shapes of
/// `options.networks`. Fails with `usage` if no other is left.
Result<std::unique_ptr<TrainedModel>> train_without(const PlatformProfile& target,
                                                    std::span<const PlatformProfile> all,
                                                    const CurveOptions& options);

/// One curve per platform, or that of the platform with the id `only` unless it is empty: the
/// source adapted to it, or a model trained without it if `source` is null.
Result<std::vector<Curve>> transfer_curves(const TrainedModel* source,
                                           std::span<const PlatformProfile> all,
                                           const std::string& only, const CurveOptions& options);

}  // namespace convopt
