// The terms of linear cost models: eleven costs of a kernel, counted from its work.
#pragma once

#include <array>
#include <span>
#include <string_view>

#include "model/analytic.h"

namespace convopt {

inline constexpr int kCostTerms = 11;

/// Analytic time of each cost in nanoseconds. A cost model's coefficients are factors of these.
using CostTerms = std::array<double, kCostTerms>;

/// `call`, `arithmetic`, ...: the order of the terms, and of the coefficients in a model file.
std::span<const std::string_view> cost_term_names();

/// `unaligned`: see unaligned_results().
CostTerms cost_terms(const WorkEstimate& work, double unaligned, const Capabilities& machine,
                     TimingMode mode);

/// Results of a workload if its runs of contiguous results do not end with a register tile, else 0.
/// Some kernels then store all tiles value by value, not only the last of each run.
double unaligned_results(const Workload& workload, const PrimitiveInfo& primitive);

}  // namespace convopt
