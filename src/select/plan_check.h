// Checks of a plan that was made earlier, perhaps elsewhere.
#pragma once

#include "convopt/network.hpp"
#include "convopt/plan.hpp"
#include "convopt/primitive.hpp"
#include "src/select/problem.h"

namespace convopt {

/// Fails if the plan was made for another network; the error names the first layer that differs.
Result<void> check_network(const Plan& plan, const Network& network);

/// Fails if a convolution of the plan exceeds the limits, or any layer the limit of workspace.
Result<void> check_limits(const Plan& plan, const Registry& registry, const Limits& limits);

}  // namespace convopt
