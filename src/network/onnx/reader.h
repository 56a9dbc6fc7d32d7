// Reads ONNX models into a Network.
#pragma once

#include <filesystem>
#include <memory>
#include <string_view>
#include <vector>

#include "convopt/network.hpp"

namespace convopt {

struct OnnxOptions {
  std::filesystem::path folder;  ///< where external data may lie; empty: nowhere
  int batch = 0;                 ///< 0: as the model says
  InputShapes shapes;
  InputValues values;
  std::shared_ptr<const void> owner;  ///< of the bytes; null: what is needed of them is copied
};

/// The types of all operators that are read, in alphabetical order.
std::vector<std::string_view> onnx_operators();

Result<Network> load_onnx(const std::filesystem::path& path, OnnxOptions options);
Result<Network> read_onnx(std::string_view bytes, std::string_view file_name,
                          const OnnxOptions& options);

Result<NetworkBorder> onnx_border(const std::filesystem::path& path);

}  // namespace convopt
