// A model of profiles: trained, and written.
#pragma once

#include <filesystem>
#include <functional>
#include <memory>

#include "convopt/transfer.hpp"
#include "model/trained_model.h"

namespace convopt {

struct SavedModel {
  std::unique_ptr<TrainedModel> model;
  std::filesystem::path path;
};

/// train_model() with its own way to write.
Result<SavedModel> train_and_save(
    const TrainingSettings& settings,
    const std::function<Result<void>(const TrainedModel&, const std::filesystem::path&)>& save);

}  // namespace convopt
