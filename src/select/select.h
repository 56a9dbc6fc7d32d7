// Selection of a primitive for each operator: the plan and its baselines.
#pragma once

#include <chrono>
#include <string>
#include <vector>

#include "convopt/error.hpp"
#include "convopt/network.hpp"
#include "convopt/plan.hpp"
#include "convopt/primitive.hpp"
#include "src/select/baselines.h"
#include "src/select/costs.h"
#include "src/select/problem.h"

namespace convopt {

struct SelectOptions {
  Limits limits;
  std::chrono::duration<double> time_limit = std::chrono::seconds(5);
};

struct Selection {
  Problem problem;
  Solution solution;
  Baselines baselines;
  Plan plan;  ///< without `model`, `seed` and `load_ms`, which the caller knows
};

/// Network and registry outlive the selection.
Result<Selection> select(const Network& network, const Registry& registry, const CostSource& costs,
                         const Platform& platform, const SelectOptions& options = {});

/// The assignment in words. Layers stand in an order in which they can be executed: a layer that
/// absorbs others at the place of the last of them.
Plan make_plan(const Problem& problem, const Solution& solution, const Platform& platform);

/// The selection with another assignment of the same problem.
void choose(Selection& selection, Solution solution, const Platform& platform);

/// Every name must be a convolution primitive or a family of some; the error suggests one.
Result<void> check_names(const Registry& registry, const std::vector<std::string>& names);

}  // namespace convopt
