// Scales and zero points of a network's tensors in int8, from their ranges.
#pragma once

#include <vector>

#include "convopt/calibration.hpp"
#include "convopt/error.hpp"
#include "convopt/network.hpp"
#include "src/select/tensor_scale.h"

namespace convopt {

/// Fails if the calibration names tensors or operators that the network does not have.
Result<void> check_fits(const Network& network, const Calibration& calibration);

/// The type, scale and zero point of every tensor of the network that may be stored in int8: f32
/// images whose values need not stay exact and whose range is known. u8 where the tensor was never
/// negative, or with a zero point where its range is asymmetric; else s8. Tensors between operators
/// that only move or select elements share all three.
/// Fails as check_fits() does.
Result<std::vector<TensorScale>> tensor_scales(const Network& network,
                                               const Calibration& calibration, RangeRule rule);

/// The type, scale and zero point of every tensor of a quantised model that may be stored in int8
/// as the model says: results of `quantise` whose range includes zero. s8 where 128 would be the
/// zero point of u8, else u8.
std::vector<TensorScale> model_scales(const Network& network);

/// Operations on tensors in int8: those that keeps_scale() is true of, and those that are scaled to
/// their result.
bool has_int8_form(Op op);

}  // namespace convopt
