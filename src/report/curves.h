// Transfer curves as `convopt evaluate --transfer-curve --json` writes them, the schema
// `convopt.transfer_curve/1`.
#pragma once

#include <filesystem>

#include "convopt/error.hpp"
#include "src/report/report.h"

namespace convopt {

/// Fails with `bad_input` for other files and for numbers that no curve can have.
Result<ReportCurves> load_curves(const std::filesystem::path& path);

}  // namespace convopt
