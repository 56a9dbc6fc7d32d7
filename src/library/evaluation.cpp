#include "src/library/evaluation.h"

#include <algorithm>
#include <memory>
#include <string>
#include <utility>

#include "convopt/transfer.hpp"
#include "core/files.h"
#include "core/try.h"
#include "profiler/store.h"
#include "src/library/context.h"
#include "src/session/guard.h"
#include "src/tune/evaluate.h"
#include "src/tune/recorded_model.h"

namespace convopt {
namespace {

std::vector<std::filesystem::path> shipped_networks() {
  std::vector<std::filesystem::path> paths;
  std::error_code error;
  for (const auto& entry :
       std::filesystem::directory_iterator(shipped_data_dir() / "networks", error)) {
    if (entry.path().extension() == ".json") paths.push_back(entry.path());
  }
  std::ranges::sort(paths);
  return paths;
}

Result<Platform> choose_platform(const Profile& profile, TimingMode mode,
                                 const EvaluationSettings& settings) {
  const std::vector<Platform> platforms = measured_platforms(profile, mode);
  if (platforms.empty()) {
    return make_error(ErrorCode::bad_input, "profile '" + settings.profile.string() +
                                                "' holds no times in the model's timing mode, " +
                                                std::string(to_string(mode)));
  }
  if (settings.platform.empty()) {
    if (platforms.size() > 1) {
      settings.messages.say("the profile holds " + std::to_string(platforms.size()) +
                            " platforms; taken is " + platforms.front().id() + " (--platform)");
    }
    return platforms.front();
  }
  std::string names;
  for (const Platform& platform : platforms) {
    if (platform.id() == settings.platform) return platform;
    names += (names.empty() ? "" : ", ") + platform.id();
  }
  return make_error(ErrorCode::usage, "--platform " + settings.platform +
                                          " is not in the profile, which has " + names);
}

/// A model, or an earlier profile in its place; then `profile` keeps only the times that it can
/// predict.
Result<std::unique_ptr<PerformanceModel>> load_evaluated(const std::filesystem::path& path,
                                                         Profile& profile,
                                                         const Messages& messages) {
  auto model = load_model(path);
  if (model) return model;
  const auto earlier = load_profile(path);
  if (!earlier) return model.error();
  messages.warn_of(earlier->warnings);
  CONVOPT_TRY(auto recorded, RecordedModel::create(earlier->profile));
  profile = recorded->known_part(profile);
  return std::unique_ptr<PerformanceModel>(std::move(recorded));
}

}  // namespace

Result<std::vector<Network>> evaluation_networks(const std::vector<std::filesystem::path>& paths) {
  std::vector<Network> networks;
  for (const auto& path : paths.empty() ? shipped_networks() : paths) {
    CONVOPT_TRY(Network network, load_network(path));
    networks.push_back(std::move(network));
  }
  return networks;
}

Result<Evaluation> evaluate_model(const EvaluationSettings& settings) {
  return guarded([&]() -> Result<Evaluation> {
    CONVOPT_CHECK(check_seconds("--refine", settings.refine));
    CONVOPT_TRY(LoadedProfile loaded, load_profile(settings.profile));
    settings.messages.warn_of(loaded.warnings);
    CONVOPT_TRY(const auto model,
                load_evaluated(settings.model, loaded.profile, settings.messages));
    CONVOPT_TRY(const Platform platform,
                choose_platform(loaded.profile, model->info().timing_mode, settings));
    CONVOPT_TRY(const std::vector<Network> networks, evaluation_networks(settings.networks));
    CONVOPT_TRY(Evaluation evaluation,
                evaluate(*model, loaded.profile, platform, networks, settings.refine));
    if (!settings.networks.empty() && !evaluation.skipped.empty()) {
      return make_error(ErrorCode::bad_input,
                        "the profile lacks times of the network " + evaluation.skipped.front());
    }
    return evaluation;
  });
}

}  // namespace convopt
