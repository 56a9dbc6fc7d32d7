// Calibration samples from files.
#pragma once

#include <string>
#include <vector>

#include "src/library/planning.h"

namespace convopt::cli {

/// The samples in .npy files, FILE or NAME=FILE as `option` gives them: each of an input's shape,
/// or several such along the first dimension. An input without a file is an error; all inputs have
/// as many samples.
MakeSamples samples_in(const std::string& option, const std::vector<std::string>& files);

}  // namespace convopt::cli
