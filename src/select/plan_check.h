// Checks of a plan that was made earlier, perhaps elsewhere.
#pragma once

#include "convopt/plan.hpp"
#include "convopt/primitive.hpp"
#include "src/select/problem.h"

namespace convopt {

/// Fails if a convolution of the plan exceeds the limits, or any layer the limit of workspace.
Result<void> check_limits(const Plan& plan, const Registry& registry, const Limits& limits);

}  // namespace convopt
