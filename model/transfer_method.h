// The methods by which a model that learnt elsewhere is adapted to a machine.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>

namespace convopt {

/// Up to `affine` each contains the ones before it as special cases.
enum class TransferMethod : std::uint8_t {
  zero_shot,
  one_factor,
  factor_per_primitive,
  affine,
  residual_gp,
  linear_cost,
  linear_cost_scratch,
  linear_cost_and_source,
  linear_cost_gp,
  residual_trees,
  trees_scratch,
  ensemble,
};
inline constexpr std::array kTransferMethods = {TransferMethod::zero_shot,
                                                TransferMethod::one_factor,
                                                TransferMethod::factor_per_primitive,
                                                TransferMethod::affine,
                                                TransferMethod::residual_gp,
                                                TransferMethod::linear_cost,
                                                TransferMethod::linear_cost_scratch,
                                                TransferMethod::linear_cost_and_source,
                                                TransferMethod::linear_cost_gp,
                                                TransferMethod::residual_trees,
                                                TransferMethod::trees_scratch,
                                                TransferMethod::ensemble};

/// `zero-shot`, `one-factor`, ...
std::string_view to_string(TransferMethod method);
/// One line for readers who know machine learning.
std::string_view description(TransferMethod method);
/// Also by the name that files and commands of earlier versions use.
std::optional<TransferMethod> method_named(std::string_view name);

}  // namespace convopt
