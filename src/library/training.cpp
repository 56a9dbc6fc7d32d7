#include "src/library/training.h"

#include <string>
#include <utility>
#include <vector>

#include "core/files.h"
#include "core/text.h"
#include "core/try.h"
#include "model/train.h"
#include "profiler/store.h"
#include "src/session/guard.h"
#include "src/tune/model_paths.h"

namespace convopt {
namespace {

// With fewer, cross-validation itself says nothing, and a transferred model has always been better.
constexpr std::size_t kFewShapes = 30;

TrainingReport report_of(const TrainedModel& model, const std::filesystem::path& path) {
  const ModelInfo& info = model.info();
  TrainingReport report;
  report.model_id = info.id;
  report.model = path;
  report.platforms = info.platforms;
  report.samples = info.samples;
  report.workloads = info.workloads;
  report.primitives = info.primitives.size();
  report.scores = model.base().parts().holdout;
  report.interval_coverage = info.interval_coverage;
  for (const ModelOfType& own : model.models()) {
    const auto known = own.model.get();
    if (!known) continue;
    const ModelParts& parts = (*known)->parts();
    report.types.push_back({own.type, parts.info.samples, parts.holdout});
  }
  return report;
}

}  // namespace

Result<SavedModel> train_and_save(
    const TrainingSettings& settings,
    const std::function<Result<void>(const TrainedModel&, const std::filesystem::path&)>& save) {
  if (settings.profiles.empty())
    return make_error(ErrorCode::usage, "a model needs a profile to learn from");
  std::vector<Profile> profiles;
  for (const auto& path : settings.profiles) {
    CONVOPT_TRY(LoadedProfile loaded, load_profile(path));
    settings.messages.warn_of(loaded.warnings);
    profiles.push_back(std::move(loaded.profile));
  }
  TrainOptions options;
  options.seed = settings.seed;
  options.threads = default_threads();
  options.timing_mode = settings.timing_mode;
  std::unique_ptr<TrainedModel> base;
  if (!settings.base.empty()) {
    CONVOPT_TRY(base, TrainedModel::load(settings.base));
    options.former = base.get();
  }
  CONVOPT_TRY(const auto data, make_dataset(profiles, options.timing_mode));
  SavedModel result;
  result.path = settings.output;
  if (result.path.empty()) {
    const auto info = describe(data, settings.seed);
    for (const std::string& platform : info.platforms) {
      if (platform == info.platforms.front()) continue;
      return make_error(ErrorCode::usage,
                        "the profiles are of several platforms; name the model with -o");
    }
    result.path = local_model_path(data.platforms.front());
  }
  // Minutes of work must not end in an error.
  CONVOPT_CHECK(check_writable(result.path));
  if (data.skipped > 0) {
    settings.messages.warn_of(
        std::to_string(data.skipped) +
        " records are left out: without a usable time or a described primitive");
  }
  CONVOPT_TRY(result.model, train(data, options));
  CONVOPT_CHECK(save(*result.model, result.path));
  if (data.groups.size() < kFewShapes) {
    settings.messages.warn_of(
        "learnt from " + counted(data.groups.size(), "shape") +
        " only: too few to rank primitives on others; transfer adapts the shipped model to them");
  }
  return result;
}

Result<TrainingReport> train_model(const TrainingSettings& settings) {
  return guarded([&]() -> Result<TrainingReport> {
    CONVOPT_TRY(
        const SavedModel saved,
        train_and_save(settings, [](const TrainedModel& model, const std::filesystem::path& path) {
          return model.save(path);
        }));
    return report_of(*saved.model, saved.path);
  });
}

}  // namespace convopt
