#include "src/select/plan_check.h"

#include <algorithm>

#include "core/text.h"
#include "core/try.h"
#include "src/select/select.h"

namespace convopt {

Result<void> check_network(const Plan& plan, const Network& network) {
  if (plan.network_hash == network.hash()) return {};
  const auto refused = [&](const std::string& sentence) {
    return make_error(ErrorCode::bad_input,
                      "the plan does not fit the network " + network.name + ": " + sentence);
  };
  for (const PlanLayer& layer : plan.layers) {
    const auto op = std::ranges::find(network.operators, layer.name, &Operator::name);
    if (op == network.operators.end()) {
      return refused("it was made for " + plan.network + " with a layer " + in_quotes(layer.name) +
                     ", which the network does not have");
    }
    if (op->kind != OperatorKind::compute) continue;
    if (const std::string shape = shape_text(op->workload); shape != layer.shape) {
      return refused("it was made for another input size or batch: layer " + in_quotes(layer.name) +
                     " is " + layer.shape + " in the plan and " + shape + " in the network");
    }
  }
  return refused("it was made for " + plan.network +
                 " before the network changed, or for other operators that take no time");
}

Result<void> check_limits(const Plan& plan, const Registry& registry, const Limits& limits) {
  for (const PlanLayer& layer : plan.layers) {
    const Primitive* primitive = registry.find(layer.primitive);
    if (primitive == nullptr) continue;  // the executor says so
    CONVOPT_TRY(const Workload workload, Workload::parse(layer.workload));
    std::string reason = excluded_by(limits, workload, primitive->info());
    if (reason.empty() && primitive->applicability(workload, registry.context())) {
      reason = over_workspace(limits, workload, *primitive, registry.context());
    }
    if (reason.empty()) continue;
    return make_error(ErrorCode::usage, "layer " + in_quotes(layer.name) + " of the plan is " +
                                            layer.primitive + ", which is " + reason);
  }
  return {};
}

}  // namespace convopt
