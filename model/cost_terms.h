// The terms of linear cost models: ten costs of a kernel, counted from its work.
#pragma once

#include <array>
#include <span>
#include <string_view>

#include "model/analytic.h"

namespace convopt {

inline constexpr int kCostTerms = 10;

/// Time of each cost by first principles, in nanoseconds. A cost model's coefficients say how many
/// times that long it takes.
using CostTerms = std::array<double, kCostTerms>;

/// `call`, `arithmetic`, ...: the order of the terms, and of the coefficients in a model file.
std::span<const std::string_view> cost_term_names();

CostTerms cost_terms(const WorkEstimate& work, const Capabilities& machine, TimingMode mode);

}  // namespace convopt
