// ONNX models made in a few lines, as bytes.
#pragma once

#include <onnx/onnx_pb.h>

#include <cstdint>
#include <filesystem>
#include <initializer_list>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "convopt/network.hpp"
#include "tests/support/reference_network.h"

namespace convopt::testing {

using Dims = std::vector<std::int64_t>;

class OnnxModel {
 public:
  using Attribute =
      std::variant<std::int64_t, float, std::string, Dims, std::vector<float>, ::onnx::TensorProto>;
  using Attributes = std::vector<std::pair<std::string, Attribute>>;

  explicit OnnxModel(int opset = 17);

  /// Sizes below 0 are left open, under the name `open`.
  OnnxModel& input(const std::string& name, const Dims& dims, const std::string& open = "open");
  OnnxModel& output(const std::string& name);
  OnnxModel& initializer(const ::onnx::TensorProto& tensor);
  OnnxModel& floats(const std::string& name, const Dims& dims, const std::vector<float>& values);
  /// Different ones for different names, the same in every run.
  OnnxModel& random(const std::string& name, const Dims& dims);
  /// A vector, or a single number if `scalar`.
  OnnxModel& integers(const std::string& name, const Dims& values, bool scalar = false);
  /// Called like its first output.
  OnnxModel& node(const std::string& type, const std::vector<std::string>& inputs,
                  const std::vector<std::string>& outputs, const Attributes& attributes = {});

  ::onnx::ModelProto& proto() { return model_; }
  std::string bytes() const { return model_.SerializeAsString(); }
  Result<Network> read(const InputShapes& shapes = {}, const std::filesystem::path& folder = {},
                       int batch = 0, const InputValues& values = {}) const;

 private:
  ::onnx::ModelProto model_;
};

::onnx::TensorProto float_tensor(const std::string& name, const Dims& dims,
                                 const std::vector<float>& values);
::onnx::TensorProto integer_tensor(const std::string& name, const Dims& dims, const Dims& values);

Result<Network> read_bytes(const std::string& bytes, const std::filesystem::path& folder = {});

/// Values in [-1, 1) that depend on `seed` only.
std::vector<float> random_values(std::int64_t count, std::uint64_t seed);

/// What the network computes of random inputs, and the inputs.
struct Computed {
  Network network;
  Tensors inputs, outputs;
};
/// Fails the test if the model is refused.
Computed compute(const OnnxModel& model, const InputShapes& shapes = {},
                 const InputValues& values = {});

/// The outputs of a model for these inputs, its rest included.
Result<std::vector<convopt::Array>> compute_with_rest(const OnnxModel& model,
                                                      const Tensors& inputs);
std::vector<float> floats_of(const convopt::Array& array);

}  // namespace convopt::testing
