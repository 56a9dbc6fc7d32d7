// Whether the times of a profile still hold.
#include "src/tune/check.h"

#include <filesystem>
#include <memory>
#include <string>
#include <utility>

#include "convopt/profiling.hpp"
#include "core/text.h"
#include "core/try.h"
#include "profiler/machine.h"
#include "src/library/context.h"
#include "src/session/guard.h"
#include "src/tune/model_paths.h"

namespace convopt {

Result<Check> check_profile(const CheckSettings& settings) {
  return guarded([&]() -> Result<Check> {
    if (settings.points < kPointsToTell) {
      return make_error(ErrorCode::usage, "--points: fewer than " + std::to_string(kPointsToTell) +
                                              " do not tell whether times hold");
    }
    CheckRequest request;
    CONVOPT_TRY(request.context, checked_context(settings.isa, settings.threads));
    std::filesystem::path path = settings.model;
    if (path.empty()) {
      path = local_model_path({machine_facts(), request.context.isa, request.context.threads});
      std::error_code ignored;
      if (!std::filesystem::exists(path, ignored)) path.clear();
    }
    std::unique_ptr<PerformanceModel> model;
    if (!path.empty()) {
      CONVOPT_TRY(model, load_model(path));
      request.model = model.get();
      request.timing_mode = model->info().timing_mode;
    }
    request.profile = settings.profile;
    request.points = settings.points;
    request.progress = settings.watch.progress;
    request.stop = settings.watch.stop;
    request.worker_command = settings.watch.worker_command;
    request.messages = settings.messages;
    return check(request);
  });
}

}  // namespace convopt
