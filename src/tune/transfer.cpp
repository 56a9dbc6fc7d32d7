#include "src/tune/transfer.h"

#include <algorithm>
#include <unordered_set>
#include <utility>

#include "core/text.h"
#include "core/try.h"
#include "profiler/machine.h"
#include "profiler/sampler.h"
#include "profiler/store.h"
#include "src/tune/evaluate.h"
#include "src/tune/sample_selection.h"

namespace convopt {
namespace {

// More than fit into any budget; the profiler stops when time is up.
constexpr std::size_t kMostWorkloads = 2000;

bool holds_times(const Profile& profile, const Platform& platform, TimingMode mode) {
  return std::ranges::any_of(measured_platforms(profile, mode), [&](const Platform& measured) {
    return measured.id() == platform.id();
  });
}

}  // namespace

Profile only_platform(const Profile& profile, const std::string& platform_id) {
  Profile result;
  std::unordered_set<std::string_view> runs;
  for (const RunHeader& header : profile.runs) {
    if (header.platform.id() != platform_id) continue;
    runs.insert(header.run);
    result.runs.push_back(header);
  }
  for (const Measurement& m : profile.measurements) {
    if (runs.contains(m.run)) result.measurements.push_back(m);
  }
  return result;
}

Result<TransferOutcome> transfer(const TrainedModel& source, const TransferRequest& request) {
  TransferOutcome outcome;
  outcome.profile = request.profile;
  const TimingMode mode = source.info().timing_mode;
  if (request.profile.empty()) {
    CONVOPT_TRY(outcome.platform,
                cached_platform(request.context.isa, request.context.threads, request.messages));
    outcome.profile = local_profile_path(outcome.platform);
    ProfileOptions options;
    options.context = request.context;
    options.timing_mode = mode;
    options.seed = request.seed;
    options.budget_seconds = request.budget_seconds;
    options.output = outcome.profile;
    options.progress = request.progress;
    options.stop = request.stop;
    const auto pool = order_by_representativeness(sample_workloads(kMostWorkloads, request.seed));
    CONVOPT_TRY(const ProfileSummary summary, request.measure(pool, options));
    outcome.profile_seconds = summary.seconds;
    outcome.warnings = summary.warnings;
    if (auto busy = busy_warning(summary)) outcome.warnings.push_back(*std::move(busy));
  }
  auto loaded = load_profile(outcome.profile);
  if (request.profile.empty() &&
      !(loaded && holds_times(loaded->profile, outcome.platform, mode))) {
    return make_error(ErrorCode::partial,
                      "no primitive was timed within " + significant(request.budget_seconds, 3) +
                          " s: the budget is too short for a machine as busy as this one, and the "
                          "model stays as it was");
  }
  if (!loaded) return loaded.error();
  outcome.warnings.insert(outcome.warnings.end(), loaded->warnings.begin(), loaded->warnings.end());
  if (!request.profile.empty()) {
    const auto platforms = measured_platforms(loaded->profile, mode);
    if (platforms.empty()) {
      return make_error(ErrorCode::bad_input, "profile '" + outcome.profile.string() +
                                                  "' holds no times in the model's timing mode, " +
                                                  std::string(to_string(mode)));
    }
    outcome.platform = platforms.front();
    if (platforms.size() > 1) {
      outcome.warnings.push_back("the profile holds several platforms; taken is " +
                                 outcome.platform.id());
    }
  }
  TransferOptions options;
  options.seed = request.seed;
  options.threads = default_threads();
  auto transferred = adapt(source, only_platform(loaded->profile, outcome.platform.id()), options);
  if (!transferred) {
    return make_error(transferred.error().code,
                      "profile '" + outcome.profile.string() + "': " + transferred.error().message);
  }
  outcome.transfer = std::move(*transferred);
  return outcome;
}

}  // namespace convopt
