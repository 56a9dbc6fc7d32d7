#include "src/library/transfer.h"

#include <utility>

#include "core/try.h"
#include "profiler/timer.h"
#include "src/library/context.h"
#include "src/session/guard.h"
#include "src/tune/model_paths.h"

namespace convopt {
namespace {

/// Measures primitives that could change the plans of these networks by the model of the first
/// samples. The times go into this machine's profile.
Result<void> time_contested(const TransferSettings& settings, const Context& context,
                            const Measure& measure, const std::filesystem::path& model) {
  const double seconds = settings.budget / 2 / static_cast<double>(settings.networks.size());
  for (const auto& network : settings.networks) {
    PlanningRequest request;
    request.context = context;
    request.model = model;
    request.rates = MachineRates::kept;
    request.messages = settings.messages;
    request.measure = measure;
    CONVOPT_TRY(const auto planning,
                Planning::load([&] { return load_network(network); }, request));
    CONVOPT_TRY(const auto refined, planning->refine(seconds));
    settings.messages.say(network.filename().string() + ": timed " + std::to_string(refined.timed) +
                          " primitives that could change its plan");
  }
  return {};
}

}  // namespace

Result<SavedTransfer> transfer_and_save(
    const TransferSettings& settings, const Measure& measure,
    const std::function<Result<void>(const TrainedModel&, const std::filesystem::path&)>& save) {
  if (settings.profile.empty() && !(settings.budget > 0)) {
    return make_error(ErrorCode::usage, "--budget is not above 0 seconds");
  }
  CONVOPT_TRY(const Context context, checked_context(settings.isa, settings.threads));
  CONVOPT_TRY(const auto source,
              TrainedModel::load(settings.from.empty() ? default_model_path() : settings.from));
  // An unreadable network is refused before time is spent on samples.
  for (const auto& network : settings.networks) {
    CONVOPT_CHECK(load_network(network));
  }
  // Where the model cannot be written, its times can still be used.
  const auto save_outcome = [&](const TransferOutcome& outcome,
                                const std::filesystem::path& path) -> Result<void> {
    const auto saved = save(*outcome.transfer.model, path);
    if (saved) return {};
    return make_error(saved.error().code, saved.error().message + "; the times are kept in '" +
                                              outcome.profile.string() +
                                              "', of which --profile makes the model");
  };
  TransferRequest what;
  what.context = context;
  // Half of the time goes to representative shapes, half to the networks' plans.
  what.budget_seconds = settings.networks.empty() ? settings.budget : settings.budget / 2;
  what.seed = settings.seed;
  what.profile = settings.profile;
  what.progress = settings.watch.progress;
  what.measure = measure;
  SavedTransfer result;
  result.source = source->info().id;
  CONVOPT_TRY(result.outcome, transfer(*source, what));
  settings.messages.warn_of(result.outcome.warnings);
  result.model =
      settings.output.empty() ? local_model_path(result.outcome.platform) : settings.output;
  CONVOPT_CHECK(save_outcome(result.outcome, result.model));
  if (settings.networks.empty()) return result;
  const double start = budget_seconds();
  CONVOPT_CHECK(time_contested(settings, context, measure, result.model));
  const double seconds = result.outcome.profile_seconds + budget_seconds() - start;
  what.profile = result.outcome.profile;
  CONVOPT_TRY(result.outcome, transfer(*source, what));
  result.outcome.profile_seconds = seconds;
  CONVOPT_CHECK(save_outcome(result.outcome, result.model));
  return result;
}

Result<TransferReport> transfer_model(const TransferSettings& settings) {
  return guarded([&]() -> Result<TransferReport> {
    CONVOPT_TRY(const SavedTransfer saved,
                transfer_and_save(settings, watched_by(settings.watch),
                                  [](const TrainedModel& model, const std::filesystem::path& path) {
                                    return model.save(path);
                                  }));
    const TransferOutcome& outcome = saved.outcome;
    TransferReport report;
    report.platform = outcome.platform.id();
    report.model_id = outcome.transfer.model->info().id;
    report.model = saved.model;
    report.profile = outcome.profile;
    report.seconds = outcome.profile_seconds;
    report.shapes = outcome.transfer.shapes;
    report.samples = outcome.transfer.samples;
    for (const TransferCandidate& candidate : outcome.transfer.candidates) {
      const HoldoutScores& s = candidate.scores;
      report.methods.push_back({std::string(to_string(candidate.method)),
                                std::string(description(candidate.method)),
                                {s.mdrae, s.within_10_percent, s.spearman, s.regret},
                                candidate.loss,
                                candidate.chosen});
    }
    return report;
  });
}

}  // namespace convopt
