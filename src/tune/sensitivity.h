// Sensitivity of a network's outputs to rounding one tensor or one layer's weights.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "convopt/calibration.hpp"
#include "convopt/weights.hpp"
#include "src/runtime/buffers.h"
#include "src/runtime/difference.h"
#include "src/runtime/executor.h"
#include "src/select/problem.h"
#include "src/select/tensor_scale.h"

namespace convopt {

/// Sensitivities are averages over many numbers; two samples say nearly as much as all.
inline constexpr std::size_t kSensitivitySamples = 2;

/// Differences of the outputs, the largest over outputs and samples; none where nothing is asked.
struct Sensitivities {
  std::vector<Difference> tensors;    ///< if the tensor alone is rounded
  std::vector<Difference> operators;  ///< if its weights alone are rounded
};

/// Tensors and weights to round, and the type.
struct RoundedPlaces {
  std::vector<char> tensors, operators;  ///< of the network
  DataType type = DataType::bf16;        ///< s8: to the tensor's own type and scale
  std::vector<TensorScale> scales = {};  ///< of tensors, for s8
};

/// `int8` or `bf16`: the type of places in words.
std::string name_of_rounding(DataType type);
/// Where some plan of the problem rounds to the type; s8 stands for u8, too.
RoundedPlaces rounded_places(const Problem& problem, DataType type);
/// Whether rounding can change the operator: it has weights.
bool is_weighted(const Operator& op);

/// What the calibration records of these places; nothing if it lacks one of them.
std::optional<Sensitivities> recorded_sensitivities(const Calibration& calibration,
                                                    const Network& network,
                                                    const RoundedPlaces& places);

/// The outputs that the executor computes from a sample.
Result<std::vector<std::vector<float>>> outputs_of(Executor& executor, const Network& network,
                                                   const Buffers& sample);

/// Runs a plan in the network's own types once per place and sample, rounding there.
/// `exact` are its outputs of each sample. Of a tensor that the plan never stores, the difference
/// is that of the next one that it does, or of the parts that it is concatenated from.
Result<Sensitivities> measure_sensitivities(Executor& executor, const Network& network,
                                            const Registry& registry, const WeightSource& weights,
                                            std::span<const Buffers> samples,
                                            std::span<const std::vector<std::vector<float>>> exact,
                                            const RoundedPlaces& places);

}  // namespace convopt
