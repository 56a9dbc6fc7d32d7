// Calibration: ranges of a network's tensors on representative inputs, which plans in int8 need,
// and how sensitive the outputs are to each tensor and each layer, which error budgets need.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "convopt/error.hpp"
#include "convopt/tensor.hpp"

namespace convopt {

/// Range of one tensor on the calibration inputs. All but `low` and `high` are magnitudes m: values
/// from -m to m are represented, others are clipped.
struct TensorRange {
  std::string name;  ///< of the tensor
  float low = 0, high = 0;
  float percentile = 0;  ///< holds 99.99 % of the values other than zero
  float mse = 0;         ///< with the least mean square error of rounding and clipping
};

/// Which magnitude is used; `max` is that of `low` and `high`.
enum class RangeRule : std::uint8_t { max, percentile, mse };
/// `max`, `percentile`, `mse`.
std::string_view to_string(RangeRule rule);
std::optional<RangeRule> parse_range_rule(std::string_view text);

/// How far the outputs are off if one tensor, or the weights of one operator, alone is rounded.
struct Sensitivity {
  enum class Of : std::uint8_t { tensor, weights };

  DataType type = DataType::bf16;  ///< to which it is rounded; s8 stands for u8, too
  Of of = Of::tensor;
  std::string name;  ///< of the tensor, or of the operator
  /// As in PlanAccuracy, the largest over outputs and inputs; infinite where an output was not
  /// finite.
  double error = 0;
  double cosine = 1;
};

/// Ranges of the f32 tensors whose values were all finite, and sensitivities of what plans may
/// round, if they were measured.
struct Calibration {
  std::string network, network_hash;
  std::size_t samples = 0;  ///< inputs that the ranges are of
  std::vector<TensorRange> tensors;
  std::size_t sensitivity_samples = 0;  ///< of these inputs, those that sensitivities are of
  /// The rule behind the scales to which s8 rounded.
  RangeRule sensitivity_range = RangeRule::max;
  std::vector<Sensitivity> sensitivities = {};
};

/// JSON as documented in docs/reference/plan-format.md, schema `convopt.calibration/1`.
std::string to_json(const Calibration& calibration);
Result<Calibration> parse_calibration(std::string_view json, std::string_view file_name);
Result<Calibration> load_calibration(const std::filesystem::path& path);

}  // namespace convopt
