// A model for this machine: measured, adapted, and written.
#pragma once

#include <filesystem>
#include <functional>
#include <string>

#include "convopt/transfer.hpp"
#include "src/library/planning.h"
#include "src/tune/transfer.h"

namespace convopt {

struct SavedTransfer {
  TransferOutcome outcome;
  std::filesystem::path model;  ///< empty: none was written, see TransferReport
  std::string source;           ///< id of the model that it started from
};

/// transfer_model() with its own way to measure and to write. `measure` need not heed the
/// settings' watch, except that progress is told where the options of a measurement ask for it.
Result<SavedTransfer> transfer_and_save(
    const TransferSettings& settings, const Measure& measure,
    const std::function<Result<void>(const TrainedModel&, const std::filesystem::path&)>& save);

}  // namespace convopt
