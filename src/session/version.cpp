#include "convopt/version.hpp"

namespace convopt {

std::string_view version() { return CONVOPT_VERSION; }

}  // namespace convopt
