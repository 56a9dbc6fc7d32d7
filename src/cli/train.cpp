#include <cstdio>
#include <memory>
#include <string>

#include "core/try.h"
#include "src/cli/cli.h"
#include "src/cli/log.h"
#include "src/cli/models.h"
#include "src/cli/outputs.h"
#include "src/cli/values.h"
#include "src/library/training.h"

namespace convopt::cli {
namespace {

struct TrainArguments {
  TrainingSettings training;
  bool json = false;
};

void print(const TrainedModel& model, const std::filesystem::path& output) {
  const ModelInfo& info = model.info();
  const ModelScores& scores = model.base().parts().holdout;
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

Result<void> train_action(TrainingSettings& settings, bool json) {
  settings.messages = messages();
  CONVOPT_TRY(const SavedModel saved, train_and_save(settings, save));
  if (json) return write_output("", to_json(*saved.model, saved.path).dump(2) + "\n");
  print(*saved.model, saved.path);
  return {};
}

}  // namespace

void add_train(CLI::App& app, Action& action) {
  auto request = std::make_shared<TrainArguments>();
  CLI::App* verb = app.add_subcommand("train", "Trains a performance model from profiles.");
  verb->add_option("profiles", request->training.profiles, "Profiles of one or several platforms.")
      ->required();
  add_output(*verb, "-o,--output", request->training.output,
             "The model to write (.ubj). Default: the profiled platform's own model.");
  add_timing_mode(*verb, request->training.timing_mode,
                  "Uses only times in this mode; needed if the profiles hold both.");
  verb->add_option(
          "--base", request->training.base,
          "A model that keeps what it has learnt of f32, and of types that the profiles do not "
          "hold: only the others are learnt, as corrections of it.")
      ->type_name("MODEL");
  add_seed(*verb, request->training.seed, "Seed of the folds and of the trees.");
  verb->add_flag("--json", request->json, "Prints one JSON document instead of the table.");
  verb->callback([&action, request] {
    action = [request] { return train_action(request->training, request->json); };
  });
}

}  // namespace convopt::cli
