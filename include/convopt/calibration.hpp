// Calibration: ranges of a network's tensors on representative inputs, which plans in int8 need.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "convopt/error.hpp"

namespace convopt {

/// Range of one tensor on the calibration inputs. All but `low` and `high` are magnitudes m: values
/// from -m to m are represented, others are clipped.
struct TensorRange {
  std::string name;  ///< of the tensor
  float low = 0, high = 0;
  float percentile = 0;  ///< holds 99.99 % of the values other than zero
  float mse = 0;         ///< with the least mean square error of rounding and clipping
};

/// Ranges of the f32 tensors whose values were all finite.
struct Calibration {
  std::string network, network_hash;
  std::size_t samples = 0;  ///< inputs that it was made with
  std::vector<TensorRange> tensors;
};

/// JSON as documented in docs/reference/plan-format.md, schema `convopt.calibration/1`.
std::string to_json(const Calibration& calibration);
Result<Calibration> parse_calibration(std::string_view json, std::string_view file_name);
Result<Calibration> load_calibration(const std::filesystem::path& path);

/// Which magnitude is used; `max` is that of `low` and `high`.
enum class RangeRule : std::uint8_t { max, percentile, mse };

}  // namespace convopt
