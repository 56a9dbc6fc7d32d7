// Values that random numbers do not show.
#pragma once

#include <limits>

namespace convopt {

inline constexpr float kInfinity = std::numeric_limits<float>::infinity();
inline constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();

}  // namespace convopt
