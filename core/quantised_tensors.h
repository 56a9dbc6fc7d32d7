// Tensors of a network whose numbers are whole ones times a scale, because the model says so.
#pragma once

#include <span>
#include <vector>

#include "convopt/network.hpp"

namespace convopt {

/// For every tensor the `quantise` activation whose results its numbers are, perhaps moved by other
/// operators; of kind none for all others.
std::vector<Activation> quantised_tensors(std::size_t tensors, std::span<const Operator> operators);

/// Whether `quantise` after the other activation has the results of `quantise` alone, as after relu
/// where no result is negative.
bool makes_needless(const Activation& quantise, const Activation& before);

}  // namespace convopt
