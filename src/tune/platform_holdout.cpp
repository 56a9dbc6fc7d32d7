#include "src/tune/platform_holdout.h"

#include <algorithm>
#include <iterator>
#include <memory>
#include <set>
#include <unordered_set>
#include <utility>

#include "core/try.h"
#include "model/train.h"
#include "src/tune/plan_regret.h"
#include "src/tune/transfer.h"

namespace convopt {
namespace {

Profile without(const Profile& profile, const std::unordered_set<std::string>& shapes) {
  Profile result;
  result.runs = profile.runs;
  for (const Measurement& m : profile.measurements) {
    if (!shapes.contains(shape_group(m.workload))) result.measurements.push_back(m);
  }
  return result;
}

}  // namespace

std::vector<PlatformProfile> by_platform(std::span<const Profile> profiles) {
  std::vector<PlatformProfile> parts;
  for (const Profile& profile : profiles) {
    std::set<std::string> seen;
    for (const RunHeader& header : profile.runs) {
      const std::string id = header.platform.id();
      if (!seen.insert(id).second) continue;
      Profile own = only_platform(profile, id);
      auto part = std::ranges::find_if(
          parts, [&](const PlatformProfile& known) { return known.platform.id() == id; });
      if (part == parts.end()) part = parts.insert(parts.end(), {header.platform, {}});
      for (RunHeader& run : own.runs) {
        // Bandwidths measured on another day make it no other machine.
        run.platform = part->platform;
        part->profile.runs.push_back(std::move(run));
      }
      std::ranges::move(own.measurements, std::back_inserter(part->profile.measurements));
    }
  }
  return parts;
}

Result<std::unique_ptr<TrainedModel>> train_without(const PlatformProfile& target,
                                                    std::span<const PlatformProfile> all,
                                                    const CurveOptions& options) {
  // The plans of the networks are new everywhere only if no platform's times of them are learnt.
  const PlanRegrets regrets(target.profile, target.platform,
                            target.profile.runs.front().timing_mode, options.networks);
  std::vector<Profile> sources;
  for (const PlatformProfile& part : all) {
    // Other numbers of threads at the same level are the same machine.
    if (part.platform.machine_id() != target.platform.machine_id() ||
        part.platform.isa != target.platform.isa) {
      sources.push_back(without(part.profile, regrets.shapes()));
    }
  }
  if (sources.empty()) {
    return make_error(
        ErrorCode::usage,
        "leaving out " + target.platform.id() +
            " leaves nothing to learn from; give profiles of other platforms as well");
  }
  TrainOptions training;
  training.seed = options.seed;
  training.threads = options.threads;
  training.folds = 0;  // its intervals are not used
  return train(sources, training);
}

Result<std::vector<Curve>> transfer_curves(const TrainedModel* source,
                                           std::span<const PlatformProfile> all,
                                           const std::string& only, const CurveOptions& options) {
  std::vector<Curve> curves;
  for (const PlatformProfile& target : all) {
    if (!only.empty() && target.platform.id() != only) continue;
    std::unique_ptr<TrainedModel> trained;
    if (source == nullptr) {
      CONVOPT_TRY(trained, train_without(target, all, options));
    }
    CONVOPT_TRY(Curve curve,
                transfer_curve(source != nullptr ? *source : *trained, target.profile, options));
    curves.push_back(std::move(curve));
  }
  return curves;
}

}  // namespace convopt
