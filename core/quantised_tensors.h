// Tensors that a quantised model stores as integers times a scale.
#pragma once

#include <span>
#include <vector>

#include "convopt/network.hpp"

namespace convopt {

/// Per tensor, the `quantise` activation that made its elements, perhaps moved by other operators
/// since; of kind none for tensors that are not quantised.
std::vector<Activation> quantised_tensors(std::size_t tensors, std::span<const Operator> operators);

/// Whether `quantise` after the other activation has the results of `quantise` alone, as after relu
/// where no result is negative.
bool makes_needless(const Activation& quantise, const Activation& before);

}  // namespace convopt
