#include "src/select/plan_check.h"

#include "core/text.h"
#include "core/try.h"
#include "src/select/select.h"

namespace convopt {

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
