// A problem for others to solve.
#pragma once

#include <string>

#include "src/select/problem.h"

namespace convopt {

/// The problem with its solution, schema `convopt.pbqp/1` (docs/reference/plan-format.md), in
/// microseconds.
std::string export_problem(const Problem& problem, const Solution& solution);

}  // namespace convopt
