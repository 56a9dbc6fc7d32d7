// Which convopt is linked.
#pragma once

#include <string_view>

namespace convopt {

/// Of the library that is linked, such as "0.1.0".
std::string_view version();

}  // namespace convopt
