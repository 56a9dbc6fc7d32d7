// The file of a model: a checksum, a directory, and a section for everything that is read by
// itself. Also reads files of former versions, which are XGBoost's own with everything else as JSON
// in an attribute.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "model/trained_model.h"

namespace convopt {

struct ModelContent {
  ModelInfo info;
  std::vector<ModelOfType> models;
};

/// The bytes of the file. Sets the identifier in `info`, which follows from the content.
Result<std::string> write_model(ModelInfo& info, std::span<const ModelOfType> models);

/// `what` names the file in errors. Models share the bytes.
Result<ModelContent> read_model(const std::shared_ptr<const std::string>& bytes,
                                const std::string& what);

/// Of a file, whatever stands in the place of its checksum: what has to stand there.
std::string model_checksum(std::string_view file);
/// Where it stands.
inline constexpr std::size_t kModelChecksumAt = 16;

}  // namespace convopt
