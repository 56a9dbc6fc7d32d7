#include "model/train.h"

#include <cstdio>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/try.h"
#include "profiler/store.h"
#include "src/cli/cli.h"
#include "src/cli/log.h"
#include "src/cli/models.h"
#include "src/cli/outputs.h"
#include "src/cli/values.h"
#include "src/tune/model_paths.h"

namespace convopt::cli {
namespace {

// With fewer, cross-validation itself says nothing, and a transferred model has always been better.
constexpr std::size_t kFewShapes = 30;

struct TrainArguments {
  std::vector<std::filesystem::path> profiles;
  std::filesystem::path output;
  std::optional<TimingMode> timing_mode;
  std::uint64_t seed = 1;
  bool json = false;
};

void print(const TrainedModel& model, const std::filesystem::path& output) {
  const ModelInfo& info = model.info();
  const HoldoutScores& scores = model.base().parts().holdout;
  std::printf("model %s, from %zu times of %zu workloads and %zu primitives\n", info.id.c_str(),
              info.samples, info.workloads, info.primitives.size());
  for (const std::string& platform : info.platforms) std::printf("  %s\n", platform.c_str());
  std::printf("on workloads held out:\n");
  std::printf("  median error       %5.1f %%\n", 100 * scores.mdrae);
  std::printf("  within 10 %%        %5.1f %%\n", 100 * scores.within_10_percent);
  std::printf("  rank correlation   %.3f\n", scores.spearman);
  std::printf("  90 %% intervals     %5.1f %% covered\n", 100 * info.interval_coverage);
  std::printf("  regret             %.4f  (chosen primitives over fastest, all layouts)\n",
              scores.regret);
  for (const ModelOfType& other : model.models().subspan(1)) {
    const auto known = other.model.get();
    if (!known) continue;
    const ModelInfo& own = (*known)->parts().info;
    std::printf("of these, %s: %zu times, median error %.1f %%, regret %.4f\n",
                std::string(to_string(other.type)).c_str(), own.samples, 100 * own.holdout_mdrae,
                (*known)->parts().holdout.regret);
  }
  std::printf("written to %s\n", output.string().c_str());
}

Result<void> train_action(const TrainArguments& request) {
  std::vector<Profile> profiles;
  for (const auto& path : request.profiles) {
    CONVOPT_TRY(auto loaded, load_profile(path));
    warn(loaded.warnings);
    profiles.push_back(std::move(loaded.profile));
  }
  TrainOptions options;
  options.seed = request.seed;
  options.threads = default_threads();
  options.timing_mode = request.timing_mode;
  CONVOPT_TRY(const auto data, make_dataset(profiles, options.timing_mode));
  std::filesystem::path output = request.output;
  if (output.empty()) {
    const auto info = describe(data, request.seed);
    for (const std::string& platform : info.platforms) {
      if (platform == info.platforms.front()) continue;
      return make_error(ErrorCode::usage,
                        "the profiles are of several platforms; name the model with -o");
    }
    output = local_model_path(data.platforms.front());
  }
  if (data.skipped > 0) {
    warn(std::to_string(data.skipped) +
         " records are left out: without a usable time or a described primitive");
  }
  CONVOPT_TRY(const auto model, train(data, options));
  CONVOPT_CHECK(save(*model, output));
  if (data.groups.size() < kFewShapes) {
    warn("learnt from " + counted(data.groups.size(), "shape") +
         " only: too few to rank primitives on others; transfer adapts the shipped model to them");
  }
  if (request.json) return write_output("", to_json(*model, output).dump(2) + "\n");
  print(*model, output);
  return {};
}

}  // namespace

void add_train(CLI::App& app, Action& action) {
  auto request = std::make_shared<TrainArguments>();
  CLI::App* verb = app.add_subcommand("train", "Trains a performance model from profiles.");
  verb->add_option("profiles", request->profiles, "Profiles of one or several platforms.")
      ->required();
  add_output(*verb, "-o,--output", request->output,
             "The model to write (.ubj). Default: the profiled platform's own model.");
  add_timing_mode(*verb, request->timing_mode,
                  "Uses only times in this mode; needed if the profiles hold both.");
  add_seed(*verb, request->seed, "Seed of the folds and of the trees.");
  verb->add_flag("--json", request->json, "Prints one JSON document instead of the table.");
  verb->callback([&action, request] { action = [request] { return train_action(*request); }; });
}

}  // namespace convopt::cli
