// Ranges of a network's tensors on given inputs.
#pragma once

#include <chrono>
#include <span>

#include "convopt/platform.hpp"
#include "convopt/primitive.hpp"
#include "convopt/weights.hpp"
#include "src/runtime/buffers.h"
#include "src/select/calibration.h"
#include "src/select/costs.h"

namespace convopt {

/// Runs the network on the samples, twice each, in its own types and without fusion, so that every
/// tensor is stored. Tensors with values that are not finite are left out.
Result<Calibration> calibrate(const Network& network, const Registry& registry,
                              const CostSource& costs, const Platform& platform,
                              const WeightSource& weights, std::span<const Buffers> samples,
                              std::chrono::duration<double> time_limit);

}  // namespace convopt
