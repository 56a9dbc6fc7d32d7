// Reads ONNX models into a Network.
#pragma once

#include <filesystem>
#include <istream>
#include <string_view>
#include <vector>

#include "convopt/network.hpp"

namespace convopt {

Result<Network> load_onnx(const std::filesystem::path& path, int batch, const InputShapes& shapes);

/// The types of all operators that are read, in alphabetical order.
std::vector<std::string_view> onnx_operators();

/// `folder` is where external data may lie; empty: nowhere.
Result<Network> read_onnx(std::istream& stream, std::string_view file_name,
                          const std::filesystem::path& folder, int batch = 0,
                          const InputShapes& shapes = {});

}  // namespace convopt
