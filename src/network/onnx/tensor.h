// Values of ONNX tensors, from the model or from files beside it.
#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "convopt/tensor.hpp"

#include "src/network/onnx/constant.h"

namespace onnx {
class TensorProto;
}

namespace convopt::onnx_reader {

/// Numbers of the data types that ONNX's attributes name, as its TensorProto has them.
enum DataTypeNumber : int { kFloat = 1, kBool = 9, kFloat16 = 10, kDouble = 11, kBfloat16 = 16 };

/// The type of values at the network's border that ONNX calls by that number; nothing for those
/// that no network has.
std::optional<DataType> data_type(int number);

/// True for types of floating-point numbers.
bool is_real(int data_type);

const std::string& name_of(const ::onnx::TensorProto& tensor);

/// Bytes of a tensor in memory that lives as long as `owner`; without one, there are none.
struct RawData {
  std::shared_ptr<const void> owner;
  std::string_view bytes;
};

/// Floats of 32 bits (and 64 and 16, converted), integers and truth values. External data must lie
/// in a file below `folder`; an empty folder forbids it. `raw` are values that the tensor lacks.
/// Many real numbers of a file are read when they are first asked for.
Result<Constant> read_tensor(const ::onnx::TensorProto& tensor, const std::filesystem::path& folder,
                             const RawData& raw = {});

/// The same, and clears `tensor`, so that its values are held once.
Result<Constant> take_tensor(::onnx::TensorProto& tensor, const std::filesystem::path& folder,
                             const RawData& raw = {});

}  // namespace convopt::onnx_reader
