// Inputs on which ranges and a plan's error are measured.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "convopt/network.hpp"
#include "src/runtime/buffers.h"

namespace convopt::cli {

/// The samples in .npy files, FILE or NAME=FILE as `option` gives them: each of an input's shape,
/// or several such along the first dimension. An input without a file, but none at all, is an
/// error; all inputs have as many samples. Without files, two random samples.
Result<std::vector<Buffers>> calibration_samples(const std::string& option,
                                                 const std::vector<std::string>& files,
                                                 const Network& network, std::uint64_t seed);

}  // namespace convopt::cli
