// Files and JSON summaries of models, shared by the verbs that make or evaluate them.
#pragma once

#include <filesystem>

#include "core/json.h"
#include "model/trained_model.h"

namespace convopt::cli {

Json to_json(const ModelScores& scores);
/// Schema convopt.model_summary/1.
Json to_json(const TrainedModel& model, const std::filesystem::path& path);
/// Writes the whole file or leaves the old one, whatever signals come.
Result<void> save(const TrainedModel& model, const std::filesystem::path& path);

}  // namespace convopt::cli
