// An ONNX model as protobuf has it, without the values of its large tensors, which stay where they
// are in the file.
#pragma once

#include <memory>
#include <string_view>
#include <unordered_map>

#include "convopt/error.hpp"
#include "src/network/onnx/tensor.h"

namespace onnx {
class ModelProto;
class TensorProto;
}  // namespace onnx

namespace convopt::onnx_reader {

struct ModelFile {
  std::unique_ptr<::onnx::ModelProto> model;
  /// The values of initializers whose `raw_data` the model lacks.
  std::unordered_map<const ::onnx::TensorProto*, RawData> raw;

  ModelFile();
  ModelFile(ModelFile&&) noexcept;
  ~ModelFile();
  /// The tensor's values, if they were left in the file.
  RawData raw_of(const ::onnx::TensorProto& tensor) const;
};

/// The model with its own functions in the place of their calls. The bytes must live as long as
/// `owner`; those that are no model are an error.
Result<ModelFile> parse_model(std::string_view bytes, const std::shared_ptr<const void>& owner);

}  // namespace convopt::onnx_reader
