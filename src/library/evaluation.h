// What an evaluation is made on.
#pragma once

#include <filesystem>
#include <vector>

#include "convopt/network.hpp"

namespace convopt {

/// These networks, or the shipped ones if there are none.
Result<std::vector<Network>> evaluation_networks(const std::vector<std::filesystem::path>& paths);

}  // namespace convopt
