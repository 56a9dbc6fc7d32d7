#include "src/session/rest.h"

#include <atomic>

namespace convopt {
namespace {

std::atomic<MakeRestExecution> plugged_in = nullptr;

}  // namespace

void plug_in_rest_execution(MakeRestExecution make) { plugged_in = make; }

Result<std::unique_ptr<RestExecution>> make_rest_execution(const Registry& registry,
                                                           const Platform& platform) {
  if (const MakeRestExecution make = plugged_in) return make(registry, platform);
  return make_error(ErrorCode::environment,
                    "the shapes of the model's outputs are data-dependent, which takes the whole "
                    "library, convopt::convopt, not the runtime alone");
}

}  // namespace convopt
