#include "src/network/onnx/operators/convolution.h"

#include <algorithm>
#include <numeric>
#include <utility>

#include "core/try.h"
#include "src/network/onnx/operators/handlers.h"

namespace convopt::onnx_reader {
namespace {

/// Over the pixels of images, of which `axes` has one or two dimensions.
ConvAttributes attributes_of(const ConvolutionInputs& in, std::span<const WindowAxis> axes) {
  const auto narrow = [](std::int64_t number) { return static_cast<int>(number); };
  ConvAttributes attributes;
  attributes.oc = narrow(in.kernel->dims[0]);
  attributes.groups = narrow(in.groups);
  attributes.kernel.h = narrow(axes[0].kernel);
  attributes.stride.h = narrow(axes[0].stride);
  attributes.dilation.h = narrow(axes[0].dilation);
  attributes.padding.top = narrow(axes[0].before);
  attributes.padding.bottom = narrow(axes[0].after);
  if (axes.size() == 1) return attributes;
  attributes.kernel.w = narrow(axes[1].kernel);
  attributes.stride.w = narrow(axes[1].stride);
  attributes.dilation.w = narrow(axes[1].dilation);
  attributes.padding.left = narrow(axes[1].before);
  attributes.padding.right = narrow(axes[1].after);
  return attributes;
}

/// A convolution of images whose channels are all that a window along the depth sees: the kernel's
/// weights have that order already.
Result<Value> conv_volume(Import& model, const Node& node, const ConvolutionInputs& in,
                          std::shared_ptr<const StoredWeights> weights) {
  const WindowAxis& depth = in.axes[0];
  if (depth.extent() > depth.padded())
    return node.error("its kernel is larger than its padded input");
  if (depth.out() * depth.kernel > kMaxSize) return node.error("its windows have too many slices");
  Integers slices;
  for (std::int64_t window = 0; window < depth.out(); ++window)
    for (std::int64_t tap = 0; tap < depth.kernel; ++tap) {
      const std::int64_t at = window * depth.stride - depth.before + tap * depth.dilation;
      slices.push_back(at >= 0 && at < depth.in ? at : depth.in);
    }
  CONVOPT_TRY(const auto images, slices_as_channels(model, node, *in.x, slices, depth.kernel));
  CONVOPT_TRY(const auto tensor, model.image(node, images));
  CONVOPT_TRY(
      const auto sums,
      model.graph().add_conv(model.label(node), tensor,
                             attributes_of(in, std::span(in.axes).subspan(1)), std::move(weights)));
  CONVOPT_TRY(const auto result, made(sums, dims_of(model.graph().shape(sums), 4)));
  return images_as_slices(model, node, result, depth.out());
}

Result<Value> conv(Import& model, const Node& node) {
  CONVOPT_TRY(const auto in, convolution_inputs(model, node));
  const Dims& sizes = in.kernel->dims;
  if (sizes[1] * in.groups != in.x->dims[1])
    return node.error("its weights " + dims_text(sizes) + " and " + std::to_string(in.groups) +
                      " groups do not fit its input " + dims_text(in.x->dims));
  CONVOPT_TRY(auto bias, vector_of(node, in.bias, sizes[0], "bias"));
  auto weights =
      std::make_shared<const StoredWeights>(StoredWeights{in.kernel->floats, std::move(bias)});
  if (in.axes.size() == 3) return conv_volume(model, node, in, std::move(weights));
  ConvAttributes attributes = attributes_of(in, in.axes);
  // Zeros around the image cost nothing in a convolution.
  const Value* source = in.x;
  if (source->padded != nullptr) {
    attributes.padding.top += source->padding.top;
    attributes.padding.bottom += source->padding.bottom;
    attributes.padding.left += source->padding.left;
    attributes.padding.right += source->padding.right;
    source = source->padded;
    model.note_pattern("padding of a convolution");
  }
  CONVOPT_TRY(const auto tensor, model.image(node, *source));
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
  if (rank < 3 || rank > 5)
    return node.unsupported("an input of " + std::to_string(rank) + " dimensions");
  const Dims& sizes = in.kernel->dims;
  const Dims pixels(sizes.begin() + 2, sizes.end());
  CONVOPT_TRY(in.axes, window_axes(node, in.x->dims, pixels));
  if (node.has("kernel_shape") && node.integers("kernel_shape") != pixels)
    return node.error("its kernel_shape " + dims_text(node.integers("kernel_shape")) +
                      " is not that of its weights " + dims_text(sizes));
  in.groups = node.integer("group", 1);
  if (in.groups < 1 || in.groups > kMaxSize || sizes[0] > kMaxSize || sizes[1] > kMaxSize)
    return node.error("its weights " + dims_text(sizes) + " or its " + std::to_string(in.groups) +
                      " groups are out of range");
  return in;
}

Result<Value> slices_as_channels(Import& model, const Node& node, const Value& x,
                                 const Integers& slices, std::int64_t per_window) {
  const std::int64_t depth = x.dims[2], windows = std::ssize(slices) / per_window;
  if (depth > kMaxSize) return node.error("its input is too large");
  Integers all(static_cast<std::size_t>(depth));
  std::iota(all.begin(), all.end(), std::int64_t{0});
  Value taken = x;
  if (slices != all) {
    if (std::ranges::find(slices, depth) != slices.end()) {
      CONVOPT_TRY(taken, padded_axis(model, node, x, 2, 0, 1));
    }
    CONVOPT_TRY(taken, gathered(model, node, taken, 2, slices));
  }
  const Dims& d = x.dims;
  if (!element_count({d[0], windows, d[1], per_window, d[3], d[4]}))
    return node.error("its windows are too large");
  CONVOPT_TRY(const auto split,
              reshaped_value(model, node, taken, {d[0], d[1], windows, per_window, d[3] * d[4]}));
  CONVOPT_TRY(const auto moved, transposed_value(model, node, split, {0, 2, 1, 3, 4}));
  return reshaped_value(model, node, moved, {d[0] * windows, d[1] * per_window, d[3], d[4]});
}

Result<Value> images_as_slices(Import& model, const Node& node, const Value& images,
                               std::int64_t depth) {
  const Dims& d = images.dims;
  CONVOPT_TRY(const auto split,
              reshaped_value(model, node, images, {d[0] / depth, depth, d[1], d[2] * d[3]}));
  CONVOPT_TRY(const auto moved, transposed_value(model, node, split, {0, 2, 1, 3}));
  return reshaped_value(model, node, moved, {d[0] / depth, d[1], depth, d[2], d[3]});
}

OperatorTable convolution_operators() {
  static constexpr OperatorHandler kHandlers[] = {
      {"Conv", conv},
      {"ConvTranspose", conv_transpose},
  };
  return kHandlers;
}

}  // namespace convopt::onnx_reader
