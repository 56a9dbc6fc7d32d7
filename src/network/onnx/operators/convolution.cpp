#include "src/network/onnx/operators/convolution.h"

#include <algorithm>
#include <utility>

#include "core/try.h"
#include "src/network/onnx/operators/handlers.h"

namespace convopt::onnx_reader {
namespace {

Result<Value> conv(Import& model, const Node& node) {
  CONVOPT_TRY(const auto in, convolution_inputs(model, node));
  const Dims& sizes = in.kernel->dims;
  if (sizes[1] * in.groups != in.x->dims[1])
    return node.error("its weights " + dims_text(sizes) + " and " + std::to_string(in.groups) +
                      " groups do not fit its input " + dims_text(in.x->dims));
  ConvAttributes attributes;
  attributes.oc = static_cast<int>(sizes[0]);
  attributes.groups = static_cast<int>(in.groups);
  attributes.kernel = in.window.kernel;
  attributes.stride = in.window.stride;
  attributes.dilation = in.window.dilation;
  attributes.padding = in.window.padding;
  // Zeros around the image cost nothing in a convolution.
  const Value* source = in.x;
  if (source->padded != nullptr && attributes.padding.mode == Padding::Mode::given) {
    attributes.padding.top += source->padding.top;
    attributes.padding.bottom += source->padding.bottom;
    attributes.padding.left += source->padding.left;
    attributes.padding.right += source->padding.right;
    source = source->padded;
    model.note_pattern("padding of a convolution");
  }
  CONVOPT_TRY(auto bias, vector_of(node, in.bias, sizes[0], "bias"));
  CONVOPT_TRY(const auto tensor, model.image(node, *source));
  auto weights = std::make_shared<const StoredWeights>(in.kernel->floats, std::move(bias));
  CONVOPT_TRY(const auto result,
              model.graph().add_conv(model.label(node), tensor, attributes, std::move(weights)));
  return made(result, dims_of(model.graph().shape(result), sizes.size()));
}

}  // namespace

Result<ConvolutionInputs> convolution_inputs(Import& model, const Node& node) {
  ConvolutionInputs in;
  CONVOPT_TRY(in.x, model.tensor_input(node, 0));
  CONVOPT_TRY(in.kernel, model.constant_input(node, 1));
  CONVOPT_TRY(in.bias, model.constant_input(node, 2));
  const std::size_t rank = in.x->dims.size();
  if (in.kernel == nullptr || in.kernel->dims.size() != rank || !in.kernel->is_float)
    return node.error("its weights must be float32 and have as many dimensions as its input");
  const Dims& sizes = in.kernel->dims;
  Dims pixels = sizes;
  pixels.erase(pixels.begin(), pixels.begin() + std::min<std::ptrdiff_t>(2, std::ssize(sizes)));
  CONVOPT_TRY(in.window, window_of(node, rank, pixels));
  if (node.has("kernel_shape") && node.integers("kernel_shape") != pixels)
    return node.error("its kernel_shape " + dims_text(node.integers("kernel_shape")) +
                      " is not that of its weights " + dims_text(sizes));
  in.groups = node.integer("group", 1);
  if (in.groups < 1 || in.groups > kMaxSize || sizes[0] > kMaxSize || sizes[1] > kMaxSize)
    return node.error("its weights " + dims_text(sizes) + " or its " + std::to_string(in.groups) +
                      " groups are out of range");
  return in;
}

OperatorTable convolution_operators() {
  static constexpr OperatorHandler kHandlers[] = {
      {"Conv", conv},
      {"ConvTranspose", conv_transpose},
  };
  return kHandlers;
}

}  // namespace convopt::onnx_reader
