#include "src/cli/models.h"

#include <string>

#include "core/names.h"
#include "src/cli/interrupt.h"

namespace convopt::cli {

Json to_json(const ModelScores& scores) {
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
  json["method"] = model.base().parts().method;
  json["platforms"] = info.platforms;
  json["timing_mode"] = to_string(info.timing_mode);
  json["samples"] = info.samples;
  json["workloads"] = info.workloads;
  json["primitives"] = info.primitives.size();
  json["seed"] = info.seed;
  json["holdout"] = to_json(model.base().parts().holdout);
  json["interval_coverage"] = info.interval_coverage;
  json["types"] = Json::object();
  for (const ModelOfType& own : model.models()) {
    const auto known = own.model.get();
    if (known) json["types"][std::string(to_string(own.type))] = to_json((*known)->parts().holdout);
  }
  return json;
}

Result<void> save(const TrainedModel& model, const std::filesystem::path& path) {
  const FinishWriting finish;
  return model.save(path);
}

}  // namespace convopt::cli
