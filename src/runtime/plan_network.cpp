#include "src/runtime/plan_network.h"

#include <algorithm>
#include <string>

#include "core/plan_text.h"
#include "core/text.h"

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
    // A product that absorbs a convolution has the shape of that.
    if (op->kind != OperatorKind::compute || layer.op != to_string(op->workload.op)) continue;
    if (const std::string shape = shape_text(op->workload); shape != layer.shape) {
      return refused("it was made for another input size or batch: layer " + in_quotes(layer.name) +
                     " is " + layer.shape + " in the plan and " + shape + " in the network");
    }
  }
  return refused("it was made for " + plan.network +
                 " before the network changed, or for other operators that take no time");
}

}  // namespace convopt
