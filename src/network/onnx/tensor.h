// Values of ONNX tensors, from the model or from files beside it.
#pragma once

#include <onnx/onnx_pb.h>

#include <filesystem>

#include "src/network/onnx/constant.h"

namespace convopt::onnx_reader {

/// Floats of 32 bits (and 64 and 16, converted), integers and truth values. External data must lie
/// in a file below `folder`; an empty folder forbids it.
Result<Constant> read_tensor(const ::onnx::TensorProto& tensor,
                             const std::filesystem::path& folder);

}  // namespace convopt::onnx_reader
