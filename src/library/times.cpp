#include "src/library/times.h"

#include <algorithm>
#include <utility>

#include "core/try.h"
#include "profiler/store.h"
#include "src/tune/refine.h"

namespace convopt {

Result<std::unique_ptr<Times>> Times::load(const TimesFiles& files, const Platform& platform,
                                           const Libraries& libraries) {
  if (files.model.empty() && files.profile.empty()) {
    return make_error(ErrorCode::usage, "times need a model, a profile, or both");
  }
  std::unique_ptr<Times> times(new Times);
  if (!files.model.empty()) {
    CONVOPT_TRY(times->model_, load_model(files.model));
    times->timing_mode_ = times->model_->info().timing_mode;
    times->predicted_ = std::make_unique<PredictedCosts>(*times->model_, platform);
    times->costs_ = times->predicted_.get();
  }
  if (files.profile.empty()) return times;

  const LoadOptions options{.workloads = files.workloads, .keep_index = files.keep_index};
  CONVOPT_TRY(LoadedProfile loaded, load_profile(files.profile, options));
  const auto measured_here = [&] {
    return std::ranges::find_if(loaded.profile.runs, [&](const RunHeader& header) {
      return header.platform.id() == platform.id();
    });
  };
  // Only headers of runs that have these workloads were read.
  if (measured_here() == loaded.profile.runs.end() && files.workloads != nullptr) {
    CONVOPT_TRY(loaded, load_profile(files.profile));
  }
  times->warnings_ = std::move(loaded.warnings);
  const std::vector<RunHeader>& runs = loaded.profile.runs;
  const auto here = measured_here();
  if (here == runs.end()) {
    const std::string elsewhere = runs.empty() ? "nothing" : runs.front().platform.id();
    return make_error(ErrorCode::environment, "profile '" + files.profile.string() +
                                                  "' was measured on " + elsewhere +
                                                  ", not on this platform, " + platform.id());
  }
  if (times->model_ == nullptr) times->timing_mode_ = here->timing_mode;
  times->measured_ =
      std::make_unique<MeasuredCosts>(loaded.profile, platform, times->timing_mode_, libraries);
  times->costs_ = times->measured_.get();
  if (times->predicted_ != nullptr) {
    times->combined_ = std::make_unique<MeasuredOrPredicted>(*times->measured_, *times->predicted_);
    times->costs_ = times->combined_.get();
  }
  return times;
}

Result<std::shared_ptr<const CostSource>> Times::corrected_costs(
    const Network& network, const Registry& registry, const std::set<DataType>& types) const {
  if (combined_ == nullptr || measured() == 0) return std::shared_ptr<const CostSource>();
  return corrected_by_times(network, registry, types, *combined_, *predicted_, *measured_);
}

}  // namespace convopt
