// Stacking: the weighted mean of predictors whose errors on held-out shapes are smallest together
// (Wolpert 1992; Breiman 1996).
#pragma once

#include <span>
#include <vector>

#include "model/dataset.h"

namespace convopt {

/// Weights of the predictors: none negative, their sum is 1. `errors` of each predictor:
/// log(measured / predicted) of row `rows[i]`, held out. A choice depends on the differences
/// between predictions of one workload's primitives, so an error that they have in common counts
/// little. The weights are shrunk to `prior`, which sums to 1, the more the fewer samples there
/// are.
std::vector<double> stacking_weights(const Dataset& data, std::span<const std::size_t> rows,
                                     std::span<const std::span<const double>> errors,
                                     std::span<const double> prior);

}  // namespace convopt
