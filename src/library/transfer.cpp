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

using SaveModel = std::function<Result<void>(const TrainedModel&, const std::filesystem::path&)>;

/// Fails for settings that cannot be met, before time is spent on samples.
Result<void> check_settings(const TransferSettings& settings) {
  if (settings.profile.empty() && !(settings.budget > 0)) {
    return make_error(ErrorCode::usage, "--budget is not above 0 seconds");
  }
  for (const auto& network : settings.networks) CONVOPT_CHECK(load_network(network));
  return {};
}

TransferRequest request_of(const TransferSettings& settings, const Context& context,
                           const Measure& measure) {
  TransferRequest request;
  request.context = context;
  // Half of the time goes to representative shapes, half to the networks' plans.
  request.budget_seconds = settings.networks.empty() ? settings.budget : settings.budget / 2;
  request.seed = settings.seed;
  request.profile = settings.profile;
  request.progress = settings.watch.progress;
  request.measure = measure;
  request.messages = settings.messages;
  return request;
}

std::filesystem::path output_of(const TransferSettings& settings, const Platform& platform) {
  return settings.output.empty() ? local_model_path(platform) : settings.output;
}

/// Where the model cannot be written, its times can still be used, and the error says how.
Result<void> save_outcome(const TransferOutcome& outcome, const std::filesystem::path& path,
                          const SaveModel& save) {
  const auto saved = save(*outcome.transfer.model, path);
  if (saved) return {};
  return make_error(saved.error().code, saved.error().message + "; the times are kept in '" +
                                            outcome.profile.string() +
                                            "', of which --profile makes the model");
}

/// Times the primitives that could change the networks' plans by this model, into this machine's
/// profile.
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

/// The same by the model of the first samples, in a temporary file: it may not be the one that is
/// kept.
Result<void> time_contested(const TransferSettings& settings, const Context& context,
                            const Measure& measure, const TransferOutcome& first,
                            const SaveModel& save) {
  std::filesystem::path file = output_of(settings, first.platform);
  file += ".first";
  CONVOPT_CHECK(save_outcome(first, file, save));
  const auto timed = time_contested(settings, context, measure, file);
  std::error_code ignored;
  std::filesystem::remove(file, ignored);
  return timed;
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
  CONVOPT_TRY(const Context context, checked_context(settings.isa, settings.threads));
  CONVOPT_CHECK(check_settings(settings));
  CONVOPT_TRY(const auto source,
              TrainedModel::load(settings.from.empty() ? default_model_path() : settings.from));
  // Two at once would disturb each other's times, and the last model would win.
  FileDescriptor lock;
  if (settings.profile.empty()) {
    CONVOPT_TRY(lock, lock_out_other_transfers());
  }
  TransferRequest request = request_of(settings, context, measure);
  SavedTransfer result;
  result.source = source->info().id;
  CONVOPT_TRY(result.outcome, transfer(*source, request));
  settings.messages.warn_of(result.outcome.warnings);
  if (!settings.networks.empty()) {
    const double start = budget_seconds();
    CONVOPT_CHECK(time_contested(settings, context, measure, result.outcome, save));
    const double seconds = result.outcome.profile_seconds + budget_seconds() - start;
    request.profile = result.outcome.profile;
    CONVOPT_TRY(result.outcome, transfer(*source, request));
    result.outcome.profile_seconds = seconds;
  }
  if (settings.output.empty() && !result.outcome.transfer.beats_source()) return result;
  result.model = output_of(settings, result.outcome.platform);
  CONVOPT_CHECK(save_outcome(result.outcome, result.model, save));
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
      report.methods.push_back({std::string(to_string(candidate.method)),
                                std::string(description(candidate.method)), candidate.scores,
                                candidate.loss, candidate.chosen});
    }
    return report;
  });
}

}  // namespace convopt
