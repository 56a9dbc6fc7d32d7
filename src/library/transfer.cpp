#include "src/library/transfer.h"

#include <fcntl.h>
#include <sys/file.h>

#include <cerrno>
#include <utility>

#include "core/file_descriptor.h"
#include "core/files.h"
#include "core/try.h"
#include "profiler/machine.h"
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

/// A lock that one process of this user holds at a time. Where a file system knows no locks,
/// nothing is locked.
Result<FileDescriptor> lock_out_other_transfers() {
  const std::filesystem::path folder = local_data_dir();
  std::error_code ignored;
  std::filesystem::create_directories(folder, ignored);
  FileDescriptor lock(open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!lock.ok() || flock(lock.get(), LOCK_EX | LOCK_NB) == 0 || errno != EWOULDBLOCK) return lock;
  return make_error(ErrorCode::environment, "another transfer is measuring into '" +
                                                folder.string() +
                                                "'; start this one when it has ended");
}

}  // namespace

Result<std::filesystem::path> forget_transfer(Isa isa, int threads) {
  return guarded([&]() -> Result<std::filesystem::path> {
    CONVOPT_TRY(const Context context, checked_context(isa, threads));
    const std::filesystem::path model =
        local_model_path({machine_facts(), context.isa, context.threads});
    std::error_code error;
    if (std::filesystem::remove(model, error)) return model;
    if (!error) return std::filesystem::path();
    return make_error(ErrorCode::environment,
                      "cannot remove '" + model.string() + "': " + error.message());
  });
}

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
  what.messages = settings.messages;
  // Two at once would disturb each other's times, and the last model would win.
  FileDescriptor lock;
  if (settings.profile.empty()) {
    CONVOPT_TRY(lock, lock_out_other_transfers());
  }
  SavedTransfer result;
  result.source = source->info().id;
  const auto adapt = [&]() -> Result<void> {
    CONVOPT_TRY(result.outcome, transfer(*source, what));
    return {};
  };
  const auto save_if_better = [&]() -> Result<void> {
    if (settings.output.empty() && !result.outcome.transfer.beats_source()) return {};
    result.model =
        settings.output.empty() ? local_model_path(result.outcome.platform) : settings.output;
    return save_outcome(result.outcome, result.model);
  };
  CONVOPT_CHECK(adapt());
  settings.messages.warn_of(result.outcome.warnings);
  if (settings.networks.empty()) {
    CONVOPT_CHECK(save_if_better());
    return result;
  }
  const double start = budget_seconds();
  // What is contested is asked of the model so far, which may not be the one that stays.
  std::filesystem::path so_far =
      settings.output.empty() ? local_model_path(result.outcome.platform) : settings.output;
  so_far += ".first";
  CONVOPT_CHECK(save_outcome(result.outcome, so_far));
  const auto timed = time_contested(settings, context, measure, so_far);
  std::error_code ignored;
  std::filesystem::remove(so_far, ignored);
  CONVOPT_CHECK(timed);
  const double seconds = result.outcome.profile_seconds + budget_seconds() - start;
  what.profile = result.outcome.profile;
  CONVOPT_CHECK(adapt());
  result.outcome.profile_seconds = seconds;
  CONVOPT_CHECK(save_if_better());
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
