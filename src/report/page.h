// One self-contained HTML page about a plan: no network access, readable on paper, in a light and a
// dark scheme, and without script except for filtering and sorting. It is well-formed XML, too.
#pragma once

#include <string>

#include "src/report/report.h"

namespace convopt {

std::string to_html(const Report& report);

}  // namespace convopt
