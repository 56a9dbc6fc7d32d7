// Is it the network that the plan was made for?
#pragma once

#include "convopt/error.hpp"
#include "convopt/network.hpp"
#include "convopt/plan.hpp"

namespace convopt {

/// Fails if the plan was made for another network; the error names the first layer that differs.
Result<void> check_network(const Plan& plan, const Network& network);

}  // namespace convopt
