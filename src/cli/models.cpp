#include "src/cli/models.h"

#include <string>
#include <system_error>

#include "src/core/files.h"

namespace convopt::cli {

Result<void> save_model(const TrainedModel& model, const std::filesystem::path& path) {
  if (path.parent_path() == local_data_dir() / "models") {
    std::error_code error;
    std::filesystem::create_directories(path.parent_path(), error);
    if (error) {
      return make_error(
          ErrorCode::environment,
          "cannot create the folder '" + path.parent_path().string() + "': " + error.message());
    }
  }
  return model.save(path);
}

Json to_json(const HoldoutScores& scores) {
  return {{"mdrae", scores.mdrae},
          {"within_10_percent", scores.within_10_percent},
          {"spearman", scores.spearman},
          {"regret", scores.regret}};
}

Json to_json(const TrainedModel& model, const std::filesystem::path& path) {
  const ModelInfo& info = model.info();
  Json json;
  json["schema"] = "convopt.model_summary/1";
  json["model"] = info.id;
  json["path"] = path.string();
  json["method"] = model.parts().method;
  json["platforms"] = info.platforms;
  json["timing_mode"] = to_string(info.timing_mode);
  json["samples"] = info.samples;
  json["workloads"] = info.workloads;
  json["primitives"] = info.primitives.size();
  json["seed"] = info.seed;
  json["holdout"] = to_json(model.parts().holdout);
  json["interval_coverage"] = info.interval_coverage;
  return json;
}

}  // namespace convopt::cli
