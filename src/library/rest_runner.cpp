#include "src/library/rest_runner.h"

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <utility>

#include "core/try.h"
#include "src/library/analytic_costs.h"
#include "src/runtime/weights.h"
#include "src/select/select.h"

namespace convopt {

Result<RestRunner::Prepared*> RestRunner::prepare(const std::shared_ptr<const Network>& network) {
  constexpr std::size_t kMostKept = 8;  // with packed weights
  const auto kept = std::ranges::find(prepared_, network, &Prepared::network);
  if (kept != prepared_.end()) {
    prepared_.splice(prepared_.begin(), prepared_, kept);
    return &prepared_.front();
  }
  SelectOptions options;
  options.time_limit = std::chrono::milliseconds(20);
  CONVOPT_TRY(const auto selection,
              select(*network, registry_, AnalyticCosts(platform_), platform_, options));
  Prepared prepared;
  prepared.network = network;
  CONVOPT_TRY(prepared.executor,
              Executor::create(*network, selection.plan, registry_, NetworkWeights(*network, 1)));
  prepared.outputs = std::make_unique<Buffers>(*network, network->outputs);
  prepared_.push_front(std::move(prepared));
  if (prepared_.size() > kMostKept) prepared_.pop_back();
  return &prepared_.front();
}

Result<std::vector<Array>> RestRunner::run(std::shared_ptr<const NetworkRest> rest,
                                           std::vector<Array> outputs) {
  for (;;) {
    CONVOPT_TRY(auto step, rest->next(outputs));
    if (step.network == nullptr) return std::move(step.outputs);
    CONVOPT_TRY(Prepared* const prepared, prepare(step.network));
    std::vector<std::span<const std::byte>> inputs;
    for (const Array& input : step.inputs) inputs.emplace_back(input.data);
    CONVOPT_CHECK(prepared->executor->run(inputs, prepared->outputs->outputs()));
    outputs = arrays_of(*step.network, prepared->outputs->outputs());
    rest = std::move(step.rest);
  }
}

}  // namespace convopt
