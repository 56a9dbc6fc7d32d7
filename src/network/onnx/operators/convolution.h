// Inputs and attributes of convolutions of both directions.
#pragma once

#include "src/network/onnx/operators/parts.h"

namespace convopt::onnx_reader {

struct ConvolutionInputs {
  const Value* x = nullptr;
  ConstantPointer kernel;  ///< float32, of the rank of x
  ConstantPointer bias;    ///< or null
  WindowAttributes window;
  std::int64_t groups = 1;
};

/// The caller checks the channels of the kernel: their order depends on the direction.
Result<ConvolutionInputs> convolution_inputs(Import& model, const Node& node);

Result<Value> conv_transpose(Import& model, const Node& node);

}  // namespace convopt::onnx_reader
