// Ranges of a network's tensors on given inputs, and how sensitive its outputs are to them.
#pragma once

#include <chrono>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "convopt/platform.hpp"
#include "convopt/primitive.hpp"
#include "convopt/weights.hpp"
#include "src/runtime/buffers.h"
#include "src/select/calibration.h"
#include "src/select/costs.h"
#include "src/select/problem.h"

namespace convopt {

/// Runs the network on the samples, twice each, in its own types and without fusion, so that every
/// tensor is stored. Tensors with values that are not finite are left out.
Result<Calibration> calibrate(const Network& network, const Registry& registry,
                              const CostSource& costs, const Platform& platform,
                              const WeightSource& weights, std::span<const Buffers> samples,
                              std::chrono::duration<double> time_limit);

/// Runs the network once for each tensor and each layer's weights that some plan of the problem may
/// round, to each type, on the first kSensitivitySamples samples, with that alone rounded. The plan
/// of these runs is in the network's own types and without fusion, so that every tensor has a value
/// of its own and none depends on what that plan fuses. `note` is called with how long it takes.
Result<std::vector<Sensitivity>> sensitivities(
    const Problem& problem, const Platform& platform, const WeightSource& weights,
    std::span<const Buffers> samples, std::chrono::duration<double> time_limit,
    const std::function<void(const std::string&)>& note = {});

}  // namespace convopt
