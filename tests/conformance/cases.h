// The conformance tests of ONNX, as Debian's package libonnx-testdata installs them.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "tests/conformance/array.h"

namespace convopt::conformance {

/// A model, its inputs and what it computes of them.
struct Case {
  std::string name;                   ///< folder and test, e.g. "node/test_abs"
  std::filesystem::path folder = {};  ///< with model.onnx and test_data_set_0
  std::string op = {};     ///< the operator that it is about; empty if it is about several
  bool spelt_out = false;  ///< as a graph of simpler operators
  std::optional<std::string> left_out = {};  ///< why no network with convolutions needs it
};

/// All cases below `root`, by name. Empty if the package is not installed.
std::vector<Case> find_cases(const std::filesystem::path& root);

/// A file with one message, or nothing.
template <class Message>
std::optional<Message> read_message(const std::filesystem::path& path);
extern template std::optional<::onnx::ModelProto> read_message(const std::filesystem::path&);
extern template std::optional<::onnx::TensorProto> read_message(const std::filesystem::path&);

/// `KIND_0.pb`, `KIND_1.pb`, … of a case; KIND is "input" or "output".
std::vector<::onnx::TensorProto> read_tensors(const Case& test, const std::string& kind);

}  // namespace convopt::conformance
