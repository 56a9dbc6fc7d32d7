// Inputs and attributes of convolutions of both directions.
#pragma once

#include "src/network/onnx/operators/parts.h"

namespace convopt::onnx_reader {

struct ConvolutionInputs {
  const Value* x = nullptr;
  ConstantPointer kernel;        ///< float32, of the rank of x
  ConstantPointer bias;          ///< or null
  std::vector<WindowAxis> axes;  ///< one to three
  std::int64_t groups = 1;
};

/// The caller checks the channels of the kernel: their order depends on the direction.
Result<ConvolutionInputs> convolution_inputs(Import& model, const Node& node);

/// Volumes as images: one for each of n and each window along the depth, whose channels are those
/// of the volume times the slices that the window sees. `slices` has the numbers of these, window
/// by window; the number behind the last slice means zeros.
Result<Value> slices_as_channels(Import& model, const Node& node, const Value& x,
                                 const Integers& slices, std::int64_t per_window);
/// Images of volumes of that depth as volumes.
Result<Value> images_as_slices(Import& model, const Node& node, const Value& images,
                               std::int64_t depth);

Result<Value> conv_transpose(Import& model, const Node& node);

}  // namespace convopt::onnx_reader
