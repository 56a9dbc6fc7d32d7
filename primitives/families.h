// Names of convopt's own families.
#pragma once

#include <string>
#include <vector>

namespace convopt {

/// Those with convolutions in primitives.inc, in its order, whatever this processor can run.
std::vector<std::string> convolution_families();

}  // namespace convopt
