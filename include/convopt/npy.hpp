// NumPy's file format, as far as tensors need it: little-endian float32 in C order.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "convopt/error.hpp"

namespace convopt {

struct NpyArray {
  std::vector<std::int64_t> shape;
  std::vector<float> values;
};

/// Reads format versions 1 to 3. Anything else than float32 in C order is refused.
Result<NpyArray> parse_npy(std::string_view bytes, std::string_view file_name);
Result<NpyArray> load_npy(const std::filesystem::path& path);
/// Format version 1.
std::string to_npy(const NpyArray& array);

}  // namespace convopt
