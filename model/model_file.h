// The file of a model: XGBoost's own, with everything else as JSON in one of its attributes and a
// checksum in another.
#pragma once

#include <string>

#include "model/model_parts.h"

namespace convopt {

struct ModelContent {
  ModelParts parts;
  Booster booster;
};

/// The bytes of the file. Sets the identifier in `parts`, which follows from the content.
Result<std::string> write_model(ModelParts& parts, const Booster& booster);

/// `what` names the file in errors.
Result<ModelContent> read_model(const std::string& bytes, const std::string& what);

}  // namespace convopt
