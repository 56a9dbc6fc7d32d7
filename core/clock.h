// The date as text.
#pragma once

#include <string>

namespace convopt {

/// The present moment in universal time, written as strftime's format says: in files
/// "2026-01-31T12:00:00Z".
std::string utc_now(const char* format = "%Y-%m-%dT%H:%M:%SZ");

}  // namespace convopt
