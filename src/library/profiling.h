// Parts of profiling that the command line asks about.
#pragma once

#include <filesystem>

#include "convopt/profiling.hpp"

namespace convopt {

/// Where the times go.
std::filesystem::path profile_path(const ProfileSettings& settings);

}  // namespace convopt
