#include "src/library/context.h"

#include <algorithm>
#include <cmath>
#include <string>

#include "core/text.h"
#include "profiler/affinity.h"

namespace convopt {

Result<Context> checked_context(Isa isa, int threads) {
  Context context;
  context.isa = isa;
  context.threads = threads > 0 ? threads : default_threads();
  // Threads that share a processor wait for each other by spinning: times mean nothing, and
  // hundreds of them compute for minutes.
  if (const int processors = available_processors(); context.threads > processors) {
    return make_error(ErrorCode::usage,
                      "--threads " + std::to_string(context.threads) + " is more than the " +
                          counted(static_cast<std::size_t>(processors), "processor") +
                          " that this process may use");
  }
  const auto supported = supported_isas();
  if (isa != Isa::scalar && std::ranges::find(supported, isa) == supported.end()) {
    std::vector<std::string> names;
    for (const Isa level : supported) names.emplace_back(to_string(level));
    return make_error(ErrorCode::environment, "--isa " + std::string(to_string(isa)) +
                                                  " is not supported by this CPU, which has " +
                                                  listed(names));
  }
  return context;
}

Result<void> check_seconds(const std::string& option, double seconds) {
  if (seconds >= 0 && std::isfinite(seconds)) return {};
  return make_error(ErrorCode::usage, option + " is not a time of 0 or more seconds");
}

}  // namespace convopt
