// NumPy's .npy format for tensors: little-endian numbers in C order.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "convopt/error.hpp"
#include "convopt/tensor.hpp"

namespace convopt {

struct NpyArray {
  std::vector<std::int64_t> shape;
  std::vector<float> values;
  DataType type = DataType::f32;  ///< in the file; integers beyond 2^24 are rounded
};

/// Reads format versions 1 to 3 with floats of 16, 32 or 64 bits, integers of 8 (also unsigned), 32
/// or 64 bits, or booleans. Anything else than C order is refused.
Result<NpyArray> parse_npy(std::string_view bytes, std::string_view file_name);
Result<NpyArray> load_npy(const std::filesystem::path& path);
/// Format version 1, in the array's type; bfloat16, which NumPy lacks, as float32.
std::string to_npy(const NpyArray& array);

}  // namespace convopt
