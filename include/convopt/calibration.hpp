// What the tensors of a network hold on typical inputs, which plans in int8 need.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "convopt/error.hpp"

namespace convopt {

/// What one tensor held on the calibration inputs. All but `low` and `high` are sizes: numbers from
/// -size to size are represented, larger ones cut off.
struct TensorRange {
  std::string name;  ///< of the tensor
  float low = 0, high = 0;
  float percentile = 0;  ///< holds 99.99 % of the numbers that are not zero
  float mse = 0;         ///< least mean square of what rounding and cutting off change
};

/// Of the tensors of floats whose numbers were all finite.
struct Calibration {
  std::string network, network_hash;
  std::size_t samples = 0;  ///< inputs that it was made with
  std::vector<TensorRange> tensors;
};

/// JSON as documented in docs/reference/plan-format.md, schema `convopt.calibration/1`.
std::string to_json(const Calibration& calibration);
Result<Calibration> parse_calibration(std::string_view json, std::string_view file_name);
Result<Calibration> load_calibration(const std::filesystem::path& path);

/// Which of the sizes counts.
enum class RangeRule : std::uint8_t { max, percentile, mse };

}  // namespace convopt
