// What a network computes, by the definitions of its operators.
#pragma once

#include <vector>

#include "convopt/network.hpp"
#include "convopt/weights.hpp"

namespace convopt::testing {

using Tensors = std::vector<std::vector<float>>;

/// The network's operators one by one, each by its definition, in nchw.
Tensors reference_outputs(const Network& network, const WeightSource& weights,
                          const Tensors& inputs);

}  // namespace convopt::testing
