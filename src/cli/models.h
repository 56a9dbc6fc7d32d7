// What the verbs that make or judge models share.
#pragma once

#include <filesystem>

#include "model/trained_model.h"
#include "core/json.h"

namespace convopt::cli {

Json to_json(const HoldoutScores& scores);
/// Schema convopt.model_summary/1.
Json to_json(const TrainedModel& model, const std::filesystem::path& path);

}  // namespace convopt::cli
