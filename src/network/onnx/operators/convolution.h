// What convolutions of both directions read.
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

/// Whether the kernel has the right channels is left to the direction.
Result<ConvolutionInputs> convolution_inputs(Import& model, const Node& node);

Result<Value> conv_transpose(Import& model, const Node& node);

}  // namespace convopt::onnx_reader
