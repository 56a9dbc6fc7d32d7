// Paths of performance models.
#pragma once

#include <filesystem>

#include "convopt/platform.hpp"

namespace convopt {

/// local_data_dir()/models/<platform id>.ubj, with `-` for every `/` of the id.
std::filesystem::path local_model_path(const Platform& platform);
/// shipped_data_dir()/models/default.ubj
std::filesystem::path default_model_path();

}  // namespace convopt
