// What each operator of ONNX becomes.
#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <utility>

#include "src/network/onnx/folding.h"
#include "src/network/onnx/importer.h"

namespace convopt::onnx_reader {
namespace {

using Integers = std::vector<std::int64_t>;
using WeightsPointer = std::shared_ptr<const StoredWeights>;

constexpr std::int64_t kMaxSize = 1 << 24;

/// Attributes of a window over the pixels, of convolutions and poolings alike.
struct Window {
  Pair kernel, stride, dilation;
  Padding padding;
};

/// One or two numbers, for one or two dimensions of pixels; fallbacks where there are none.
Result<Pair> pair(const Node& node, const Integers& given, std::size_t pixels, int fallback,
                  const char* what) {
  if (given.empty()) return Pair{fallback, pixels > 1 ? fallback : 1};
  if (given.size() != pixels || pixels > 2)
    return node.error(std::string("its ") + what + " does not fit the dimensions of its input");
  for (const std::int64_t value : given)
    if (value < 0 || value > kMaxSize)
      return node.error(std::string("its ") + what + " is out of range");
  return Pair{static_cast<int>(given[0]), pixels > 1 ? static_cast<int>(given[1]) : 1};
}

Result<Padding> padding_of(const Node& node, const Integers& pads, std::size_t pixels) {
  Padding padding;
  const std::string automatic = node.text("auto_pad", "NOTSET");
  if (automatic == "SAME_UPPER") {
    padding.mode = Padding::Mode::same_upper;
  } else if (automatic == "SAME_LOWER") {
    padding.mode = Padding::Mode::same_lower;
  } else if (automatic == "NOTSET" && !pads.empty()) {
    if (pads.size() != 2 * pixels)
      return node.error("its padding does not fit the dimensions of its input");
    for (const std::int64_t value : pads)
      if (value < 0 || value > kMaxSize) return node.unsupported("padding that is negative");
    padding.top = static_cast<int>(pads[0]);
    padding.bottom = static_cast<int>(pads[pixels]);
    if (pixels > 1) {
      padding.left = static_cast<int>(pads[1]);
      padding.right = static_cast<int>(pads[pixels + 1]);
    }
  } else if (automatic != "NOTSET" && automatic != "VALID") {
    return node.error("its auto_pad means nothing");
  }
  return padding;
}

Result<Window> window_of(const Node& node, std::size_t rank, const Integers& kernel) {
  if (rank < 3 || rank > 4)
    return node.unsupported("an input of " + std::to_string(rank) + " dimensions");
  const std::size_t pixels = rank - 2;
  const auto size = pair(node, kernel, pixels, 1, "kernel");
  if (!size) return size.error();
  const auto stride = pair(node, node.integers("strides"), pixels, 1, "stride");
  if (!stride) return stride.error();
  const auto dilation = pair(node, node.integers("dilations"), pixels, 1, "dilation");
  if (!dilation) return dilation.error();
  const auto padding = padding_of(node, node.integers("pads"), pixels);
  if (!padding) return padding.error();
  return Window{*size, *stride, *dilation, *padding};
}

/// As the model sees the result of something with a window.
Dims dims_of(const TensorShape& shape, std::size_t rank) {
  const Dims all = {shape.n, shape.c, shape.h, shape.w};
  return {all.begin(), all.begin() + static_cast<std::ptrdiff_t>(rank)};
}

/// A vector of `count` numbers, one of which may stand for all.
Result<std::vector<float>> vector_of(const Node& node, const ConstantPointer& constant,
                                     std::int64_t count, const char* what) {
  if (constant == nullptr) return std::vector<float>();
  if (!constant->is_float || std::ssize(constant->floats) != count)
    return node.error(std::string("its ") + what + " must be " + std::to_string(count) +
                      " numbers of type float32");
  return constant->floats;
}

bool same(float a, float b) { return std::abs(a - b) <= 1e-5F * std::max(1.0F, std::abs(b)); }

}  // namespace

const std::unordered_map<std::string_view, Importer::Handler>& Importer::handlers() {
  static const std::unordered_map<std::string_view, Handler> table = {
      {"Conv", &Importer::conv},
      {"ConvTranspose", &Importer::conv_transpose},
      {"MaxPool", &Importer::pool},
      {"AveragePool", &Importer::pool},
      {"GlobalMaxPool", &Importer::global_pool},
      {"GlobalAveragePool", &Importer::global_pool},
      {"ReduceMean", &Importer::reduce},
      {"ReduceMax", &Importer::reduce},
      {"ReduceSum", &Importer::reduce},
      {"BatchNormalization", &Importer::batch_norm},
      {"LayerNormalization", &Importer::layer_norm},
      {"LRN", &Importer::lrn},
      {"Softmax", &Importer::softmax},
      {"Relu", &Importer::activation},
      {"LeakyRelu", &Importer::activation},
      {"Elu", &Importer::activation},
      {"Sigmoid", &Importer::activation},
      {"Tanh", &Importer::activation},
      {"HardSwish", &Importer::activation},
      {"Gelu", &Importer::activation},
      {"Erf", &Importer::activation},
      {"Exp", &Importer::activation},
      {"Sqrt", &Importer::activation},
      {"Reciprocal", &Importer::activation},
      {"HardSigmoid", &Importer::hard_sigmoid},
      {"Clip", &Importer::clip},
      {"PRelu", &Importer::prelu},
      {"Pow", &Importer::power},
      {"Neg", &Importer::negate},
      {"Add", &Importer::arithmetic},
      {"Sub", &Importer::arithmetic},
      {"Mul", &Importer::arithmetic},
      {"Div", &Importer::arithmetic},
      {"Sum", &Importer::sum},
      {"Gemm", &Importer::gemm},
      {"MatMul", &Importer::matmul},
      {"Concat", &Importer::concat},
      {"Gather", &Importer::gather},
      {"Slice", &Importer::slice},
      {"Reshape", &Importer::reshape},
      {"Flatten", &Importer::reshape},
      {"Squeeze", &Importer::reshape},
      {"Unsqueeze", &Importer::reshape},
      {"Transpose", &Importer::transpose},
      {"Pad", &Importer::pad},
      {"Resize", &Importer::resize},
      {"Upsample", &Importer::resize},
      {"DepthToSpace", &Importer::depth_to_space},
  };
  return table;
}

Importer::Made Importer::conv(const Node& node) {
  const auto x = tensor_input(node, 0);
  if (!x) return x.error();
  const auto kernel = constant_input(node, 1);
  if (!kernel) return kernel.error();
  const auto bias = constant_input(node, 2);
  if (!bias) return bias.error();
  if (*kernel == nullptr || (*kernel)->dims.size() != (*x)->dims.size() || !(*kernel)->is_float)
    return node.error("its weights must be float32 and have as many dimensions as its input");
  const Dims& sizes = (*kernel)->dims;
  const auto window = window_of(node, sizes.size(), {sizes.begin() + 2, sizes.end()});
  if (!window) return window.error();
  ConvAttributes attributes;
  attributes.kernel = window->kernel;
  attributes.stride = window->stride;
  attributes.dilation = window->dilation;
  attributes.padding = window->padding;
  const std::int64_t groups = node.integer("group", 1);
  if (groups < 1 || groups > kMaxSize || sizes[0] > kMaxSize || sizes[1] * groups != (*x)->dims[1])
    return node.error("its weights " + dims_text(sizes) + " and " + std::to_string(groups) +
                      " groups do not fit its input " + dims_text((*x)->dims));
  attributes.groups = static_cast<int>(groups);
  attributes.oc = static_cast<int>(sizes[0]);
  // Zeros around the image cost nothing in a convolution.
  const Value* source = *x;
  if (source->padded != nullptr && attributes.padding.mode == Padding::Mode::given) {
    attributes.padding.top += source->padding.top;
    attributes.padding.bottom += source->padding.bottom;
    attributes.padding.left += source->padding.left;
    attributes.padding.right += source->padding.right;
    source = source->padded;
    ++patterns_["padding of a convolution"];
  }
  auto offsets = vector_of(node, *bias, sizes[0], "bias");
  if (!offsets) return offsets.error();
  const auto tensor = image(node, *source);
  if (!tensor) return tensor.error();
  const auto result = graph_.add_conv(
      label(node), *tensor, attributes,
      std::make_shared<const StoredWeights>((*kernel)->floats, std::move(*offsets)));
  if (!result) return result.error();
  return made(result, dims_of(graph_.shape(*result), sizes.size()));
}

/// Output pixel q * stride + r - padding sums over the input pixels q - d with the tap
/// d * stride + r: per r an ordinary convolution over the input. Those for all r are one
/// convolution with stride^2 times the channels, whose results lie together as depth_to_space wants
/// them.
Importer::Made Importer::conv_transpose(const Node& node) {
  const auto x = tensor_input(node, 0);
  if (!x) return x.error();
  const auto kernel = constant_input(node, 1);
  if (!kernel) return kernel.error();
  const auto bias = constant_input(node, 2);
  if (!bias) return bias.error();
  if (*kernel == nullptr || (*kernel)->dims.size() != 4 || (*x)->dims.size() != 4 ||
      !(*kernel)->is_float)
    return node.unsupported("anything but float32 weights for images of two dimensions");
  const Dims& sizes = (*kernel)->dims;
  const Dims& in = (*x)->dims;
  const auto window = window_of(node, 4, {sizes[2], sizes[3]});
  if (!window) return window.error();
  const std::int64_t groups = node.integer("group", 1);
  if (groups < 1 || sizes[0] != in[1] || sizes[0] % groups != 0)
    return node.error("its weights " + dims_text(sizes) + " do not fit its input " + dims_text(in));
  if (window->padding.mode != Padding::Mode::given || node.has("output_shape"))
    return node.unsupported("an output shape from which its padding follows");
  if (window->dilation != Pair{1, 1}) return node.unsupported("dilation");
  const auto extra = pair(node, node.integers("output_padding"), 2, 0, "output padding");
  if (!extra) return extra.error();

  struct Axis {
    std::int64_t in, kernel, stride, before, after, extra;
    std::int64_t out = 0, first = 0, last = 0, windows = 0;  ///< d from first to last
    bool settle() {
      if (stride < 1) return false;
      out = (in - 1) * stride + kernel - before - after + extra;
      first = -((stride - 1 + before) / stride);
      // Rounded down, also where a large padding makes it negative.
      const std::int64_t reach = kernel - 1 - before;
      last = reach >= 0 ? reach / stride : -((-reach + stride - 1) / stride);
      windows = (out + stride - 1) / stride;
      return out > 0 && last >= first;
    }
    std::int64_t taps() const { return last - first + 1; }
    std::int64_t pad_before() const { return last; }
    std::int64_t pad_after() const { return windows - in - last + taps() - 1; }
  };
  const Padding& p = window->padding;
  Axis rows{in[2], sizes[2], window->stride.h, p.top, p.bottom, extra->h};
  Axis columns{in[3], sizes[3], window->stride.w, p.left, p.right, extra->w};
  if (!rows.settle() || !columns.settle()) return node.error("its result would be empty");
  const std::int64_t phases = rows.stride * columns.stride;
  const std::int64_t oc = sizes[1] * groups;
  const std::int64_t ic_per_group = sizes[0] / groups;
  if (std::min({rows.pad_before(), rows.pad_after(), columns.pad_before(), columns.pad_after()}) <
      0)
    return node.unsupported("padding that is larger than its kernel");
  const auto total = element_count({oc, phases, ic_per_group, rows.taps(), columns.taps()});
  if (!total || oc * phases > kMaxSize) return node.error("its weights are too large");

  auto offsets = vector_of(node, *bias, oc, "bias");
  if (!offsets) return offsets.error();
  StoredWeights weights;
  weights.weights.reserve(static_cast<std::size_t>(*total));
  for (std::int64_t o = 0; o < oc; ++o) {
    const std::int64_t group = o / sizes[1];
    for (std::int64_t phase = 0; phase < phases; ++phase) {
      if (!offsets->empty()) weights.bias.push_back((*offsets)[static_cast<std::size_t>(o)]);
      for (std::int64_t i = 0; i < ic_per_group; ++i) {
        const std::int64_t plane =
            ((group * ic_per_group + i) * sizes[1] + o % sizes[1]) * sizes[2] * sizes[3];
        for (std::int64_t ty = 0; ty < rows.taps(); ++ty) {
          for (std::int64_t tx = 0; tx < columns.taps(); ++tx) {
            const std::int64_t y =
                (rows.last - ty) * rows.stride + phase / columns.stride + rows.before;
            const std::int64_t w =
                (columns.last - tx) * columns.stride + phase % columns.stride + columns.before;
            const bool inside = y >= 0 && y < sizes[2] && w >= 0 && w < sizes[3];
            weights.weights.push_back(
                inside ? (*kernel)->floats[static_cast<std::size_t>(plane + y * sizes[3] + w)]
                       : 0.0F);
          }
        }
      }
    }
  }
  ConvAttributes attributes;
  attributes.oc = static_cast<int>(oc * phases);
  attributes.groups = static_cast<int>(groups);
  attributes.kernel = {static_cast<int>(rows.taps()), static_cast<int>(columns.taps())};
  attributes.padding.top = static_cast<int>(rows.pad_before());
  attributes.padding.bottom = static_cast<int>(rows.pad_after());
  attributes.padding.left = static_cast<int>(columns.pad_before());
  attributes.padding.right = static_cast<int>(columns.pad_after());
  const auto tensor = image(node, **x);
  if (!tensor) return tensor.error();
  auto result = graph_.add_conv(label(node), *tensor, attributes,
                                std::make_shared<const StoredWeights>(std::move(weights)));
  if (!result) return result.error();
  result = graph_.add_depth_to_space({fresh(node.name() + "/pixels"), "DepthToSpace"}, *result,
                                     window->stride);
  if (!result) return result.error();
  auto spread = made(result, dims_of(graph_.shape(*result), 4));
  for (const auto& [axis, size] : {std::pair(2, rows.out), std::pair(3, columns.out)}) {
    if (!spread || spread->dims[axis] == size) continue;
    spread = channel_range(node, node.name() + "/crop", *spread, axis, 0, size, 1);
  }
  return spread;
}

Importer::Made Importer::pool(const Node& node) {
  const auto x = tensor_input(node, 0);
  if (!x) return x.error();
  const std::size_t rank = (*x)->dims.size();
  const auto window = window_of(node, rank, node.integers("kernel_shape"));
  if (!window) return window.error();
  if (!node.has("kernel_shape")) return node.error("it has no kernel");
  if (window->dilation != Pair{1, 1}) return node.unsupported("dilation");
  PoolAttributes attributes;
  attributes.kernel = window->kernel;
  attributes.stride = window->stride;
  attributes.padding = window->padding;
  attributes.ceil_mode = node.integer("ceil_mode", 0) != 0;
  attributes.count_include_pad = node.integer("count_include_pad", 0) != 0;
  const auto tensor = image(node, **x);
  if (!tensor) return tensor.error();
  const auto result =
      graph_.add_pool(label(node), node.type() == "MaxPool" ? PoolKind::max : PoolKind::average,
                      *tensor, attributes);
  if (!result) return result.error();
  return made(result, dims_of(graph_.shape(*result), rank));
}

Importer::Made Importer::global_pool(const Node& node) {
  const auto x = tensor_input(node, 0);
  if (!x) return x.error();
  const std::size_t rank = (*x)->dims.size();
  if (rank < 3) return node.error("its input has no pixels");
  std::vector<std::size_t> axes(rank - 2);
  std::iota(axes.begin(), axes.end(), 2);
  return reduced(node, **x, axes, true,
                 node.type() == "GlobalMaxPool" ? PoolKind::max : PoolKind::average);
}

Importer::Made Importer::reduce(const Node& node) {
  const auto x = tensor_input(node, 0);
  if (!x) return x.error();
  const auto given = constant_input(node, 1);
  if (!given) return given.error();
  Integers axes = integers_of(node, "axes", given->get());
  const std::size_t rank = (*x)->dims.size();
  if (axes.empty()) {
    if (rank == 0 || node.integer("noop_with_empty_axes", 0) != 0) return **x;
    axes.resize(rank);
    std::iota(axes.begin(), axes.end(), std::int64_t{0});
  }
  const auto resolved = resolve_axes(axes, rank);
  if (!resolved) return node.error("its axes do not fit " + dims_text((*x)->dims));
  auto result = reduced(node, **x, *resolved, node.integer("keepdims", 1) != 0,
                        node.type() == "ReduceMax" ? PoolKind::max : PoolKind::average);
  if (!result || node.type() != "ReduceSum") return result;
  double count = 1;
  for (const std::size_t axis : *resolved) count *= static_cast<double>((*x)->dims[axis]);
  return scale(node, *result, static_cast<float>(count));
}

Importer::Made Importer::reduced(const Node& node, const Value& x,
                                 const std::vector<std::size_t>& axes, bool keep, PoolKind kind) {
  const std::size_t first = axes.front();
  const std::size_t last = axes.back() + 1;
  const std::size_t rank = x.dims.size();
  if (last - first != axes.size()) return node.unsupported("reducing axes that are no neighbours");
  Dims dims = x.dims;
  for (std::size_t axis = first; axis < last; ++axis) dims[axis] = 1;
  if (!keep)
    dims.erase(dims.begin() + static_cast<std::ptrdiff_t>(first),
               dims.begin() + static_cast<std::ptrdiff_t>(last));
  if (x.channels_last && first == 1 && last == rank - 1)
    return made(graph_.add_global_pool(label(node), kind, x.tensor), std::move(dims));
  if (!x.channels_last && first == 2 && last == rank && rank <= 4) {
    const auto tensor = image(node, x);
    if (!tensor) return tensor.error();
    return made(graph_.add_global_pool(label(node), kind, *tensor), std::move(dims));
  }
  const TensorShape around = shape_around(x.dims, first, last);
  const bool is_natural = first == 1 && last == 2 && rank <= 4;
  const int pixels = is_natural ? around.h * around.w : around.h;
  const auto tensor = shaped(node.name(), x, {1, around.n, around.c, pixels});
  if (!tensor) return tensor.error();
  PoolAttributes attributes;
  attributes.kernel = {around.c, 1};
  return made(graph_.add_pool(label(node), kind, *tensor, attributes), std::move(dims));
}

Importer::Made Importer::batch_norm(const Node& node) {
  const auto x = tensor_input(node, 0);
  if (!x) return x.error();
  if ((*x)->dims.size() < 2) return node.error("its input has no channels");
  if (node.integer("training_mode", 0) != 0 || node.integer("spatial", 1) == 0)
    return node.unsupported("training, or statistics per pixel,");
  const std::int64_t channels = (*x)->dims[1];
  std::vector<std::vector<float>> parameters;
  for (int i = 1; i <= 4; ++i) {
    const auto constant = constant_input(node, i);
    if (!constant) return constant.error();
    auto values = vector_of(node, *constant, channels, "parameters");
    if (!values) return values.error();
    if (values->empty()) return node.error("it needs five inputs");
    parameters.push_back(std::move(*values));
  }
  const float epsilon = node.number("epsilon", 1e-5F);
  StoredWeights weights;
  for (std::size_t c = 0; c < parameters[0].size(); ++c) {
    const double factor = parameters[0][c] / std::sqrt(double{parameters[3][c]} + epsilon);
    weights.weights.push_back(static_cast<float>(factor));
    weights.bias.push_back(static_cast<float>(parameters[1][c] - parameters[2][c] * factor));
  }
  const auto source = plain(node.name(), **x);
  if (!source) return source.error();
  const TensorShape now = graph_.shape((*source)->tensor);
  const bool fits = now.n == (*x)->dims[0] && now.c == channels;
  const auto tensor = fits ? Result<TensorId>((*source)->tensor)
                           : shaped(node.name(), **source, natural_shape((*x)->dims));
  if (!tensor) return tensor.error();
  return made(graph_.add_scale_shift(label(node), *tensor, std::move(weights)), (*x)->dims);
}

Importer::Made Importer::layer_norm(const Node& node) {
  const auto x = tensor_input(node, 0);
  if (!x) return x.error();
  const auto axis = resolve_axis(node.integer("axis", -1), (*x)->dims.size());
  if (!axis) return node.error("it has no such axis");
  const auto channels =
      element_count({(*x)->dims.begin() + static_cast<std::ptrdiff_t>(*axis), (*x)->dims.end()});
  StoredWeights weights;
  for (int i = 1; i <= 2; ++i) {
    const auto constant = constant_input(node, i);
    if (!constant) return constant.error();
    auto values = vector_of(node, *constant, channels.value_or(0), "scale and bias");
    if (!values) return values.error();
    (i == 1 ? weights.weights : weights.bias) = std::move(*values);
  }
  if (weights.weights.empty()) return node.error("it has no scale");
  return normalized(node, **x, *axis, node.number("epsilon", 1e-5F),
                    std::make_shared<const StoredWeights>(std::move(weights)));
}

Importer::Made Importer::normalized(const Node& node, const Value& x, std::size_t axis,
                                    float epsilon, WeightsPointer weights) {
  const bool last = axis + 1 == x.dims.size();
  const auto channels = last ? as_channels_last(node, x) : Found(nullptr);
  if (!channels) return channels.error();
  if (*channels != nullptr)
    return made(
        graph_.add_layer_norm(label(node), (*channels)->tensor, epsilon, std::move(weights)),
        x.dims, true);
  TensorShape around = shape_around(x.dims, axis, x.dims.size());
  const auto tensor = shaped(node.name(), x, around);
  if (!tensor) return tensor.error();
  return made(graph_.add_layer_norm(label(node), *tensor, epsilon, std::move(weights)), x.dims);
}

Importer::Made Importer::lrn(const Node& node) {
  const auto x = tensor_input(node, 0);
  if (!x) return x.error();
  const auto tensor = image(node, **x);
  if (!tensor) return tensor.error();
  LrnAttributes attributes;
  const std::int64_t size = node.integer("size", 0);
  if (size < 1 || size > kMaxSize) return node.error("its size is out of range");
  attributes.size = static_cast<int>(size);
  attributes.alpha = node.number("alpha", 1e-4F);
  attributes.beta = node.number("beta", 0.75F);
  attributes.k = node.number("bias", 1.0F);
  return made(graph_.add_lrn(label(node), *tensor, attributes), (*x)->dims);
}

Importer::Made Importer::softmax(const Node& node) {
  const auto x = tensor_input(node, 0);
  if (!x) return x.error();
  const std::size_t rank = (*x)->dims.size();
  const bool flattens = node.opset() < 13;  // everything from the axis on is one
  const auto axis = resolve_axis(node.integer("axis", flattens ? 1 : -1), rank);
  if (!axis) return node.error("it has no such axis");
  if ((*x)->channels_last && *axis + 1 == rank)
    return made(graph_.add_softmax(label(node), (*x)->tensor), (*x)->dims, true);
  const auto tensor =
      shaped(node.name(), **x, shape_around((*x)->dims, *axis, flattens ? rank : *axis + 1));
  if (!tensor) return tensor.error();
  return made(graph_.add_softmax(label(node), *tensor), (*x)->dims);
}

Importer::Made Importer::activate(const Node& node, const Value& value,
                                  const Activation& activation) {
  return made(graph_.add_activation(label(node), value.tensor, activation), value.dims,
              value.channels_last);
}

Importer::Made Importer::activation(const Node& node) {
  const auto x = tensor_input(node, 0);
  if (!x) return x.error();
  static const std::unordered_map<std::string_view, Activation> kinds = {
      {"Relu", {ActivationKind::relu}},         {"LeakyRelu", {ActivationKind::leaky_relu, 0.01F}},
      {"Elu", {ActivationKind::elu, 1.0F}},     {"Sigmoid", {ActivationKind::sigmoid}},
      {"Tanh", {ActivationKind::tanh}},         {"HardSwish", {ActivationKind::hard_swish}},
      {"Gelu", {ActivationKind::gelu}},         {"Erf", {ActivationKind::erf}},
      {"Exp", {ActivationKind::exp}},           {"Sqrt", {ActivationKind::pow, 0.5F}},
      {"Reciprocal", {ActivationKind::pow, -1}}};
  Activation activation = kinds.at(node.type());
  if (node.type() == "LeakyRelu" || node.type() == "Elu")
    activation.alpha = node.number("alpha", activation.alpha);
  if (node.text("approximate", "none") != "none") return node.unsupported("its approximation");
  return activate(node, **x, activation);
}

Importer::Made Importer::clip(const Node& node) {
  const auto x = tensor_input(node, 0);
  if (!x) return x.error();
  constexpr float kLargest = std::numeric_limits<float>::max();
  std::optional<float> low, high;
  if (node.opset() < 11) {
    low = node.number_or_infinite("min", -kLargest);
    high = node.number_or_infinite("max", kLargest);
  } else {
    const auto least = scalar_input(node, 1);
    if (!least) return least.error();
    const auto most = scalar_input(node, 2);
    if (!most) return most.error();
    low = *least;
    high = *most;
  }
  const auto finite = [&](float bound) { return std::clamp(bound, -kLargest, kLargest); };
  Activation activation{ActivationKind::clip, finite(low.value_or(-kLargest)),
                        finite(high.value_or(kLargest))};
  if (std::isnan(activation.alpha) || std::isnan(activation.beta))
    return node.error("its bounds must be numbers");
  if (activation.alpha > activation.beta)
    return node.error("its lower bound lies above its upper one");
  if (activation.alpha == -kLargest && activation.beta == kLargest) return **x;
  if (activation.alpha == 0 && activation.beta == kLargest) activation = {ActivationKind::relu};
  return activate(node, **x, activation);
}

Importer::Made Importer::hard_sigmoid(const Node& node) {
  const auto x = tensor_input(node, 0);
  if (!x) return x.error();
  const float alpha = node.number("alpha", 0.2F);
  const float beta = node.number("beta", 0.5F);
  if (same(alpha, 1.0F / 6) && same(beta, 0.5F))
    return activate(node, **x, {ActivationKind::hard_sigmoid});
  const Constant slope = Constant::of_floats({}, {alpha});
  const Constant offset = Constant::of_floats({}, {beta});
  const auto line = scale_shift(node, **x, &slope, &offset);
  if (!line) return line;
  return activate(node, *line, {ActivationKind::clip, 0, 1});
}

Importer::Made Importer::prelu(const Node& node) {
  const auto x = tensor_input(node, 0);
  if (!x) return x.error();
  const auto slope = constant_input(node, 1);
  if (!slope) return slope.error();
  const bool one =
      *slope != nullptr && (*slope)->is_float && (*slope)->size() > 0 &&
      std::ranges::all_of((*slope)->floats, [&](float v) { return v == (*slope)->floats[0]; });
  if (one) return activate(node, **x, {ActivationKind::leaky_relu, (*slope)->floats[0]});
  if (*slope == nullptr || !(*slope)->is_float) return node.error("its slope must be float32");
  // slope * x + (1 - slope) * relu(x)
  Constant rest = **slope;
  for (float& value : rest.floats) value = 1 - value;
  const auto positive = activate(node, **x, {ActivationKind::relu});
  if (!positive) return positive;
  const auto above = scale_shift(node, *positive, &rest, nullptr);
  if (!above) return above;
  const auto line = scale_shift(node, **x, slope->get(), nullptr);
  if (!line) return line;
  return binary(node, Op::add, *line, *above);
}

Importer::Made Importer::power(const Node& node) {
  const auto x = tensor_input(node, 0);
  if (!x) return x.error();
  const auto exponent = scalar_input(node, 1);
  if (!exponent) return exponent.error();
  if (!*exponent || !std::isfinite(**exponent)) return node.error("its exponent must be a number");
  if (**exponent == 1) return **x;
  return activate(node, **x, {ActivationKind::pow, **exponent});
}

Importer::Made Importer::negate(const Node& node) {
  const auto x = tensor_input(node, 0);
  if (!x) return x.error();
  return scale(node, **x, -1);
}

Importer::Made Importer::scale(const Node& node, const Value& x, float factor) {
  const Constant constant = Constant::of_floats({}, {factor});
  return scale_shift(node, x, &constant, nullptr);
}

Importer::Made Importer::scale_shift(const Node& node, const Value& x, const Constant* scale,
                                     const Constant* shift) {
  const std::size_t rank = x.dims.size();
  // Axes along which some constant varies.
  std::size_t first = rank, last = 0;
  for (const Constant* constant : {scale, shift}) {
    if (constant == nullptr) continue;
    if (broadcast(x.dims, constant->dims) != x.dims)
      return node.unsupported("a constant of the shape " + dims_text(constant->dims) +
                              " with a tensor of the shape " + dims_text(x.dims));
    const std::size_t leading = rank - constant->dims.size();
    for (std::size_t i = 0; i < constant->dims.size(); ++i) {
      if (constant->dims[i] == 1) continue;
      first = std::min(first, leading + i);
      last = std::max(last, leading + i + 1);
    }
  }
  const Value* source = &x;
  const bool is_scalar = last == 0;
  const bool of_channels = x.channels_last && !is_scalar && first + 1 == rank;
  Result<TensorId> tensor = x.tensor;
  if (!is_scalar && !of_channels) {
    const auto unmoved = plain(node.name(), x);
    if (!unmoved) return unmoved.error();
    source = *unmoved;
    tensor = source->tensor;
    const TensorShape wanted = shape_around(x.dims, first, last);
    const TensorShape now = graph_.shape(*tensor);
    if (now.n != wanted.n || now.c != wanted.c) tensor = shaped(node.name(), *source, wanted);
    if (!tensor) return tensor.error();
  }
  const auto channels = static_cast<std::size_t>(graph_.shape(*tensor).c);
  const auto values = [&](const Constant* constant, float fallback) {
    if (constant == nullptr) return std::vector<float>(channels, fallback);
    if (is_scalar) return std::vector<float>(channels, static_cast<float>(constant->at(0)));
    Constant part = *constant;
    part.dims.insert(part.dims.begin(), rank - part.dims.size(), 1);
    part.dims = {part.dims.begin() + static_cast<std::ptrdiff_t>(first),
                 part.dims.begin() + static_cast<std::ptrdiff_t>(last)};
    part = expanded(part, {x.dims.begin() + static_cast<std::ptrdiff_t>(first),
                           x.dims.begin() + static_cast<std::ptrdiff_t>(last)});
    std::vector<float> result;
    for (std::size_t i = 0; i < part.size(); ++i) result.push_back(static_cast<float>(part.at(i)));
    return result;
  };
  StoredWeights weights{values(scale, 1.0F), values(shift, 0.0F)};
  return made(graph_.add_scale_shift(label(node), *tensor, std::move(weights)), x.dims,
              source->channels_last);
}

Importer::Made Importer::arithmetic(const Node& node) {
  const auto left = input(node, 0);
  if (!left) return left.error();
  const auto right = input(node, 1);
  if (!right) return right.error();
  if (node.input_count() > 2) return node.error("it has more than two inputs");
  auto known = pattern(node);
  if (!known) return known.error();
  if (*known) return std::move(**known);
  const std::string_view type = node.type();
  if ((*left)->is_tensor() && (*right)->is_tensor()) {
    const Op op = type == "Add"   ? Op::add
                  : type == "Sub" ? Op::subtract
                  : type == "Mul" ? Op::multiply
                                  : Op::divide;
    return binary(node, op, **left, **right);
  }
  const bool constant_first = !(*left)->is_tensor();
  const Value& x = constant_first ? **right : **left;
  Constant constant = *(constant_first ? *left : *right)->constant;
  const auto change = [&](auto function) {
    for (float& value : constant.floats) value = function(value);
  };
  if (!constant.is_float) return node.error("its constant must be of type float32");
  if (type == "Add") return scale_shift(node, x, nullptr, &constant);
  if (type == "Mul") return scale_shift(node, x, &constant, nullptr);
  if (type == "Sub" && constant_first) {
    const Constant minus = Constant::of_floats({}, {-1.0F});
    return scale_shift(node, x, &minus, &constant);
  }
  if (type == "Sub") {
    change([](float value) { return -value; });
    return scale_shift(node, x, nullptr, &constant);
  }
  if (constant_first) {
    const auto inverse = activate(node, x, {ActivationKind::pow, -1});
    if (!inverse) return inverse;
    return scale_shift(node, *inverse, &constant, nullptr);
  }
  change([](float value) { return 1 / value; });
  return scale_shift(node, x, &constant, nullptr);
}

Importer::Made Importer::sum(const Node& node) {
  const auto first = tensor_input(node, 0);
  if (!first) return first.error();
  Value total = **first;
  for (int i = 1; i < node.input_count(); ++i) {
    const auto next = tensor_input(node, i);
    if (!next) return next.error();
    auto added = binary(node, Op::add, total, **next);
    if (!added) return added;
    total = std::move(*added);
  }
  return total;
}

Importer::Made Importer::binary(const Node& node, Op op, const Value& left, const Value& right) {
  const auto dims = broadcast(left.dims, right.dims);
  if (!dims)
    return node.error("its inputs of the shapes " + dims_text(left.dims) + " and " +
                      dims_text(right.dims) + " do not go together");
  if (left.channels_last || right.channels_last) {
    const auto a = as_channels_last(node, left);
    if (!a) return a.error();
    const auto b = as_channels_last(node, right);
    if (!b) return b.error();
    if (*a != nullptr && *b != nullptr && left.dims.size() == right.dims.size()) {
      const TensorShape& shape = graph_.shape((*a)->tensor);
      const TensorShape& other = graph_.shape((*b)->tensor);
      TensorId second = (*b)->tensor;
      if (left.dims == right.dims && shape != other) {
        const auto reshaped =
            graph_.add_reshape({fresh(node.name() + "/reshape"), "reshape"}, second, shape);
        if (!reshaped) return reshaped.error();
        second = *reshaped;
      }
      return made(graph_.add_binary(label(node), op, (*a)->tensor, second), *dims, true);
    }
  }
  const auto a = plain(node.name(), left);
  if (!a) return a.error();
  const auto b = plain(node.name(), right);
  if (!b) return b.error();
  // Same sizes in whatever four dimensions they have are fine as they are.
  if (left.dims == right.dims && graph_.shape((*a)->tensor) == graph_.shape((*b)->tensor))
    return made(graph_.add_binary(label(node), op, (*a)->tensor, (*b)->tensor), *dims);
  const auto filled = [&](Dims sizes) {
    sizes.insert(sizes.begin(), dims->size() - sizes.size(), 1);
    return sizes;
  };
  const Dims a_dims = filled(left.dims), b_dims = filled(right.dims);
  // Beyond four dimensions, sizes that become one must be repeated all or none.
  for (const Dims* sizes : {&a_dims, &b_dims}) {
    const bool same_tail =
        std::equal(sizes->begin() + std::min<std::ptrdiff_t>(3, std::ssize(*sizes)), sizes->end(),
                   dims->begin() + std::min<std::ptrdiff_t>(3, std::ssize(*dims)));
    if (dims->size() > 4 && !same_tail && natural_shape(*sizes).w != 1)
      return node.unsupported("repeating some of more than four dimensions");
  }
  const auto first = shaped(node.name(), **a, natural_shape(a_dims));
  if (!first) return first.error();
  const auto second = shaped(node.name(), **b, natural_shape(b_dims));
  if (!second) return second.error();
  return made(graph_.add_binary(label(node), op, *first, *second), *dims);
}

Importer::Made Importer::linear(const Node& node, const Value& x, WeightsPointer weights,
                                std::int64_t inputs, std::int64_t outputs) {
  if (x.dims.empty() || x.dims.back() != inputs || outputs < 1 || outputs > kMaxSize)
    return node.error("its weights do not fit its input " + dims_text(x.dims));
  Dims dims = x.dims;
  dims.back() = outputs;
  if (x.channels_last) {
    ConvAttributes attributes;
    attributes.oc = static_cast<int>(outputs);
    return made(graph_.add_conv(label(node), x.tensor, attributes, std::move(weights)),
                std::move(dims), true);
  }
  TensorShape rows = shape_around(x.dims, x.dims.size() - 1, x.dims.size());
  const auto tensor = shaped(node.name(), x, {rows.n, rows.c, 1, 1});
  if (!tensor) return tensor.error();
  return made(graph_.add_fully_connected(label(node), *tensor, static_cast<int>(outputs),
                                         std::move(weights)),
              std::move(dims));
}

Importer::Made Importer::gemm(const Node& node) {
  const auto x = tensor_input(node, 0);
  if (!x) return x.error();
  const auto matrix = constant_input(node, 1);
  if (!matrix) return matrix.error();
  const auto bias = constant_input(node, 2);
  if (!bias) return bias.error();
  if (node.integer("transA", 0) != 0) return node.unsupported("a transposed input");
  if (*matrix == nullptr || (*matrix)->dims.size() != 2 || !(*matrix)->is_float)
    return node.error("its weights must be a matrix of float32");
  const bool transposes = node.integer("transB", 0) == 0;
  const std::int64_t outputs = (*matrix)->dims[transposes ? 1 : 0];
  StoredWeights weights;
  weights.weights = transposes ? transposed(**matrix, {1, 0}).floats : (*matrix)->floats;
  if (const float alpha = node.number("alpha", 1); alpha != 1)
    for (float& weight : weights.weights) weight *= alpha;
  if (*bias != nullptr) {
    Dims row = (*bias)->dims;
    if (row.size() == 2 && row[0] == 1) row.erase(row.begin());
    Constant offsets = **bias;
    offsets.dims = row;
    if (!offsets.is_float || broadcast({outputs}, row) != Dims{outputs})
      return node.unsupported("a bias that differs from row to row");
    weights.bias = expanded(offsets, {outputs}).floats;
    if (const float beta = node.number("beta", 1); beta != 1)
      for (float& offset : weights.bias) offset *= beta;
  }
  return linear(node, **x, std::make_shared<const StoredWeights>(std::move(weights)),
                (*matrix)->dims[transposes ? 0 : 1], outputs);
}

Importer::Made Importer::matmul(const Node& node) {
  const auto x = tensor_input(node, 0);
  if (!x) return x.error();
  const auto right = input(node, 1);
  if (!right) return right.error();
  if ((*right)->is_tensor()) return node.unsupported("the product of two tensors of the network");
  const Constant& matrix = *(*right)->constant;
  if (matrix.dims.size() != 2 || !matrix.is_float)
    return node.unsupported("anything but a matrix of float32 as second input");
  auto weights = std::make_shared<const StoredWeights>(transposed(matrix, {1, 0}).floats,
                                                       std::vector<float>());
  return linear(node, **x, std::move(weights), matrix.dims[0], matrix.dims[1]);
}

Importer::Made Importer::concat(const Node& node) {
  std::vector<const Value*> parts;
  for (int i = 0; i < node.input_count(); ++i) {
    const auto part = tensor_input(node, i);
    if (!part) return part.error();
    parts.push_back(*part);
  }
  if (parts.empty()) return node.error("it has no inputs");
  const Dims& first = parts[0]->dims;
  const auto axis = resolve_axis(node.integer("axis", 1), first.size());
  if (!axis) return node.error("it has no such axis");
  Dims dims = first;
  dims[*axis] = 0;
  for (const Value* part : parts) {
    Dims other = part->dims;
    if (other.size() == first.size()) {
      dims[*axis] += other[*axis];
      other[*axis] = first[*axis];
    }
    if (other != first)
      return node.error("its inputs of the shapes " + dims_text(first) + " and " +
                        dims_text(part->dims) + " do not go together");
  }
  if (parts.size() == 1) return *parts[0];
  const bool channels_last =
      *axis + 1 == first.size() &&
      std::ranges::all_of(parts, [](const Value* part) { return part->channels_last; });
  std::vector<TensorId> tensors;
  for (const Value* part : parts) {
    auto tensor = channels_last
                      ? Result<TensorId>(part->tensor)
                      : shaped(node.name(), *part, shape_around(part->dims, *axis, *axis + 1));
    if (!tensor) return tensor.error();
    tensors.push_back(*tensor);
  }
  return made(graph_.add_concat(label(node), tensors), std::move(dims), channels_last);
}

Importer::Made Importer::channel_range(const Node& node, const std::string& name, const Value& x,
                                       std::size_t axis, std::int64_t first, std::int64_t count,
                                       std::int64_t step) {
  if (step < 1) return node.unsupported("a step that is not positive");
  if (count < 1) return node.error("its result would be empty");
  if (count == x.dims[axis]) return x;
  Dims dims = x.dims;
  dims[axis] = count;
  step = std::min(step, kMaxSize);
  const bool last = x.channels_last && axis + 1 == x.dims.size();
  const auto tensor = last ? Result<TensorId>(x.tensor)
                           : shaped(node.name(), x, shape_around(x.dims, axis, axis + 1));
  if (!tensor) return tensor.error();
  return made(
      graph_.add_slice({fresh(name), std::string(node.type())}, *tensor, static_cast<int>(first),
                       static_cast<int>(count), static_cast<int>(step)),
      std::move(dims), last);
}

Importer::Made Importer::gather(const Node& node) {
  const auto x = tensor_input(node, 0);
  if (!x) return x.error();
  const auto indices = constant_input(node, 1);
  if (!indices) return indices.error();
  const auto axis = resolve_axis(node.integer("axis", 0), (*x)->dims.size());
  if (!axis || *indices == nullptr || (*indices)->is_float || (*indices)->dims.size() > 1 ||
      (*indices)->size() == 0)
    return node.unsupported("anything but a list of indices along an axis");
  Integers at = (*indices)->integers;
  const std::int64_t size = (*x)->dims[*axis];
  for (std::int64_t& index : at) {
    if (index < -size || index >= size) return node.error("an index lies outside of its input");
    if (index < 0) index += size;
  }
  const std::int64_t step = at.size() > 1 ? at[1] - at[0] : 1;
  for (std::size_t i = 1; i < at.size(); ++i)
    if (at[i] - at[i - 1] != step || step < 1)
      return node.unsupported("indices that are no ascending range");
  auto taken = channel_range(node, node.name(), **x, *axis, at[0],
                             static_cast<std::int64_t>(at.size()), step);
  if (!taken || !(*indices)->dims.empty()) return taken;
  const auto source = plain(node.name(), *taken);
  if (!source) return source.error();
  Value result = **source;
  result.dims.erase(result.dims.begin() + static_cast<std::ptrdiff_t>(*axis));
  return result;
}

Importer::Made Importer::slice(const Node& node) {
  const auto x = tensor_input(node, 0);
  if (!x) return x.error();
  std::vector<ConstantPointer> inputs = {nullptr};
  for (int i = 1; i < node.input_count(); ++i) {
    const auto constant = constant_input(node, i);
    if (!constant) return constant.error();
    inputs.push_back(*constant);
  }
  const auto ranges = slice_ranges(node, (*x)->dims, inputs);
  if (!ranges) return ranges.error();
  Value result = **x;
  for (const SliceRange& range : *ranges) {
    auto next =
        channel_range(node, node.name(), result, range.axis, range.first, range.count, range.step);
    if (!next) return next;
    result = std::move(*next);
  }
  return result;
}

Result<void> Importer::split(const Node& node) {
  const auto fail_all = [&](const Error& error) -> Result<void> {
    Value failed;
    failed.error = error;
    const Value* const kept = keep(std::move(failed));
    for (int i = 0; i < node.output_count(); ++i)
      if (auto ok = define(node.output(i), kept); !ok) return ok;
    return {};
  };
  const auto x = tensor_input(node, 0);
  if (!x) return fail_all(x.error());
  const auto given = constant_input(node, 1);
  if (!given) return fail_all(given.error());
  const auto axis = resolve_axis(node.integer("axis", 0), (*x)->dims.size());
  if (!axis) return fail_all(node.error("it has no such axis"));
  const std::int64_t size = (*x)->dims[*axis];
  Integers parts = integers_of(node, "split", given->get());
  if (parts.empty()) {
    const std::int64_t count = node.output_count();
    const std::int64_t part = (size + count - 1) / count;
    for (std::int64_t i = 0; i < count; ++i)
      parts.push_back(std::min(part, std::max<std::int64_t>(size - i * part, 0)));
  }
  std::int64_t rest = size;
  for (const std::int64_t part : parts)
    rest = part >= 1 && part <= rest ? rest - part : -1;  // -1 stays: no part fits into it
  if (std::ssize(parts) != node.output_count() || rest != 0)
    return fail_all(node.error("its parts do not add up to " + std::to_string(size)));
  std::int64_t first = 0;
  for (int i = 0; i < node.output_count(); ++i) {
    auto part =
        channel_range(node, node.name() + "/" + std::to_string(i), **x, *axis, first, parts[i], 1);
    first += parts[i];
    Value value;
    if (part) {
      value = std::move(*part);
    } else {
      value.error = part.error();
    }
    value.maker = &node;
    if (auto ok = define(node.output(i), keep(std::move(value))); !ok) return ok;
  }
  return {};
}

Importer::Made Importer::reshape(const Node& node) {
  const auto x = tensor_input(node, 0);
  if (!x) return x.error();
  const auto second = constant_input(node, 1);
  if (!second) return second.error();
  const Dims& from = (*x)->dims;
  const std::string_view type = node.type();
  const Integers given = integers_of(node, type == "Reshape" ? "shape" : "axes", second->get());
  auto dims = type == "Reshape"   ? reshaped(node, from, given)
              : type == "Flatten" ? flattened(node, from)
              : type == "Unsqueeze"
                  ? unsqueezed(node, from, given)
                  : squeezed(node, from, given, *second != nullptr || node.has("axes"));
  if (!dims) return dims.error();
  const Value* source = *x;
  const bool keeps_channels = source->channels_last && dims->size() > 2 &&
                              dims->front() == from.front() && dims->back() == from.back();
  if (!keeps_channels) {
    const auto unmoved = plain(node.name(), *source);
    if (!unmoved) return unmoved.error();
    source = *unmoved;
  }
  Value result;
  result.tensor = source->tensor;
  result.channels_last = source->channels_last;
  result.dims = std::move(*dims);
  return result;
}

Importer::Made Importer::transpose(const Node& node) {
  const auto x = tensor_input(node, 0);
  if (!x) return x.error();
  const std::size_t rank = (*x)->dims.size();
  const auto order = transposition(node, rank);
  if (!order) return order.error();
  if (std::ranges::is_sorted(*order)) return **x;
  Dims dims;
  for (const int axis : *order) dims.push_back((*x)->dims[static_cast<std::size_t>(axis)]);
  std::vector<int> channels_behind(rank), channels_before(rank);
  for (std::size_t i = 1; i + 1 < rank; ++i) {
    channels_behind[i] = static_cast<int>(i) + 1;
    channels_before[i + 1] = static_cast<int>(i);
  }
  if (rank > 2) {
    channels_behind[rank - 1] = 1;
    channels_before[1] = static_cast<int>(rank) - 1;
    if ((*x)->channels_last && *order == channels_before)
      return made((*x)->tensor, std::move(dims));
    if (!(*x)->channels_last && *order == channels_behind) {
      const TensorShape now = graph_.shape((*x)->tensor);
      const bool fits = now.n == (*x)->dims[0] && now.c == (*x)->dims[1];
      const auto tensor = fits ? Result<TensorId>((*x)->tensor)
                               : shaped(node.name(), **x, natural_shape((*x)->dims));
      return made(tensor, std::move(dims), true);
    }
  }
  auto result = transposed_tensor(node, **x, *order);
  if (result) result->dims = std::move(dims);
  return result;
}

Importer::Made Importer::transposed_tensor(const Node& node, const Value& value,
                                           const std::vector<int>& order) {
  const auto x = plain(node.name(), value);
  if (!x) return x.error();
  // Axes of size 1 do not matter, and axes that stay next to each other move as one.
  std::vector<std::vector<int>> blocks;  // in the order of the result
  for (const int axis : order) {
    if ((*x)->dims[static_cast<std::size_t>(axis)] == 1) continue;
    bool joins = !blocks.empty() && blocks.back().back() < axis;
    for (int between = joins ? blocks.back().back() + 1 : axis; joins && between < axis; ++between)
      joins = (*x)->dims[static_cast<std::size_t>(between)] == 1;
    if (joins) {
      blocks.back().push_back(axis);
    } else {
      blocks.push_back({axis});
    }
  }
  const auto size_of = [&](const std::vector<int>& block) {
    int size = 1;
    for (const int axis : block)
      size *= static_cast<int>((*x)->dims[static_cast<std::size_t>(axis)]);
    return size;
  };
  if (blocks.size() < 2) return **x;
  std::vector<std::vector<int>> source = blocks;
  std::ranges::sort(source);
  std::vector<int> permutation;
  std::vector<int> sizes;
  for (const auto& block : blocks)
    permutation.push_back(static_cast<int>(std::ranges::find(source, block) - source.begin()));
  for (const auto& block : source) sizes.push_back(size_of(block));

  // Rows and columns of the channels exchanged, with pixels behind: a shuffle.
  const bool several_images = permutation == std::vector{0, 2, 1, 3};
  if (several_images || permutation == std::vector{1, 0, 2}) {
    const int images = several_images ? sizes[0] : 1;
    const int groups = sizes[several_images ? 1 : 0];
    const int channels = groups * sizes[several_images ? 2 : 1];
    const TensorShape now = graph_.shape((*x)->tensor);
    const bool fits = now.n == images && now.c == channels;
    const auto tensor = fits ? Result<TensorId>((*x)->tensor)
                             : shaped(node.name(), **x, {images, channels, sizes.back(), 1});
    if (!tensor) return tensor.error();
    ++patterns_["channel shuffle"];
    return made(graph_.add_shuffle(label(node), *tensor, groups), (*x)->dims);
  }
  if (sizes.size() > 4) return node.unsupported("a transposition of more than four dimensions");
  const int missing = 4 - static_cast<int>(sizes.size());
  sizes.insert(sizes.begin(), static_cast<std::size_t>(missing), 1);
  std::array<int, 4> all = {0, 1, 2, 3};
  for (std::size_t i = 0; i < permutation.size(); ++i)
    all[static_cast<std::size_t>(missing) + i] = permutation[i] + missing;
  const auto tensor = shaped(node.name(), **x, {sizes[0], sizes[1], sizes[2], sizes[3]});
  if (!tensor) return tensor.error();
  return made(graph_.add_transpose(label(node), *tensor, all), (*x)->dims);
}

Importer::Made Importer::pad(const Node& node) {
  const auto x = tensor_input(node, 0);
  if (!x) return x.error();
  const auto given = constant_input(node, 1);
  if (!given) return given.error();
  const auto value = scalar_input(node, 2);
  if (!value) return value.error();
  if (node.has_input(3)) return node.unsupported("a choice of axes");
  if (node.text("mode", "constant") != "constant" || value->value_or(node.number("value", 0)) != 0)
    return node.unsupported("padding with anything but zeros");
  const Dims& dims = (*x)->dims;
  const Integers pads = integers_of(node, node.opset() < 2 ? "paddings" : "pads", given->get());
  if (pads.size() != 2 * dims.size()) return node.error("its padding does not fit its input");
  if (std::ranges::all_of(pads, [](std::int64_t pad) { return pad == 0; })) return **x;
  Padding padding;
  const std::size_t rank = dims.size();
  if (rank < 3 || rank > 4) return node.unsupported("padding anything but the pixels of images");
  for (std::size_t i = 0; i < 2 * rank; ++i) {
    if (pads[i] < 0 || pads[i] > kMaxSize) return node.unsupported("padding that is negative");
    if (i % rank < 2 && pads[i] != 0)
      return node.unsupported("padding anything but the pixels of images");
  }
  padding.top = static_cast<int>(pads[2]);
  padding.bottom = static_cast<int>(pads[rank + 2]);
  if (rank > 3) {
    padding.left = static_cast<int>(pads[3]);
    padding.right = static_cast<int>(pads[rank + 3]);
  }
  const auto tensor = image(node, **x);
  if (!tensor) return tensor.error();
  const auto result = graph_.add_pad(label(node), *tensor, padding);
  if (!result) return result.error();
  auto padded = made(result, dims_of(graph_.shape(*result), rank));
  if (padded) {
    padded->padded = *x;
    padded->padding = padding;
  }
  return padded;
}

namespace {

/// How one dimension is resized: every result a weighted sum of the input's values.
struct ResizeAxis {
  std::int64_t in = 0, out = 0;
  double scale = 1;
};

struct ResizeMode {
  bool linear = false;
  std::string place, rounding;  ///< as the operator calls them

  /// Where result i lies among the inputs.
  double position(const ResizeAxis& axis, std::int64_t i) const {
    const auto at = static_cast<double>(i);
    if (place == "asymmetric") return at / axis.scale;
    if (place == "align_corners")
      return axis.out == 1
                 ? 0
                 : at * static_cast<double>(axis.in - 1) / static_cast<double>(axis.out - 1);
    if (place == "pytorch_half_pixel" && axis.out == 1) return 0;
    const double centre = (at + 0.5) / axis.scale - 0.5;
    if (place != "half_pixel_symmetric") return centre;
    const double lost =
        1 - static_cast<double>(axis.out) / (axis.scale * static_cast<double>(axis.in));
    return centre + static_cast<double>(axis.in) / 2 * lost;
  }
  double nearest(double at) const {
    if (rounding == "floor") return std::floor(at);
    if (rounding == "ceil") return std::ceil(at);
    return rounding == "round_prefer_ceil" ? std::floor(at + 0.5) : std::ceil(at - 0.5);
  }
  /// One row of weights per result.
  std::vector<float> weights(const ResizeAxis& axis) const {
    std::vector<float> matrix(static_cast<std::size_t>(axis.in * axis.out), 0.0F);
    for (std::int64_t i = 0; i < axis.out; ++i) {
      const double at = position(axis, i);
      const double below = linear ? std::floor(at) : nearest(at);
      const auto add = [&](double index, double weight) {
        const double inside = std::clamp(index, 0.0, static_cast<double>(axis.in - 1));
        matrix[static_cast<std::size_t>(i * axis.in) + static_cast<std::size_t>(inside)] +=
            static_cast<float>(weight);
      };
      add(below, linear ? 1 - (at - below) : 1);
      if (linear) add(below + 1, at - below);
    }
    return matrix;
  }
};

/// The operation of the network that does it, if there is one: those repeat pixels or interpolate
/// between them by whole factors.
std::optional<Op> upsampling(const ResizeMode& mode, const ResizeAxis& rows,
                             const ResizeAxis& columns) {
  for (const ResizeAxis* axis : {&rows, &columns})
    if (axis->scale != std::floor(axis->scale) || axis->scale < 1) return std::nullopt;
  const bool half_pixel = mode.place.find("half_pixel") != std::string::npos;
  if (mode.linear)
    return half_pixel                      ? std::optional(Op::upsample_bilinear)
           : mode.place == "align_corners" ? std::optional(Op::upsample_corners)
                                           : std::nullopt;
  // A centre never lies half-way between two pixels.
  const bool repeats = (mode.place == "asymmetric" && mode.rounding == "floor") ||
                       (half_pixel && mode.rounding.starts_with("round_prefer"));
  return repeats ? std::optional(Op::upsample_nearest) : std::nullopt;
}

}  // namespace

Importer::Made Importer::resize(const Node& node) {
  const auto x = tensor_input(node, 0);
  if (!x) return x.error();
  const Dims& dims = (*x)->dims;
  if (dims.size() != 4 || node.has("axes"))
    return node.unsupported("resizing anything but the pixels of images");
  const bool is_new = node.type() == "Resize" && node.opset() >= 11;
  const auto scales = constant_input(node, is_new ? 2 : 1);
  if (!scales) return scales.error();
  const auto sizes = constant_input(node, is_new ? 3 : node.input_count());
  if (!sizes) return sizes.error();
  std::vector<ResizeAxis> axes;
  const auto add_axis = [&](double size, double scale) {
    if (axes.size() < dims.size() && size >= 1 && size <= static_cast<double>(kMaxSize))
      axes.push_back({dims[axes.size()], static_cast<std::int64_t>(size), scale});
  };
  const auto of_scale = [&](double scale) {
    const std::size_t at = axes.size();
    // In single precision, as the scale is given: ten times 0.7 are seven.
    if (at < dims.size())
      add_axis(std::floor(static_cast<float>(dims[at]) * static_cast<float>(scale)), scale);
  };
  std::size_t given = 0;
  if (*sizes != nullptr && (*sizes)->size() > 0) {
    given = (*sizes)->size();
    if (node.text("keep_aspect_ratio_policy", "stretch") != "stretch")
      return node.unsupported("keeping the aspect ratio");
    for (std::size_t i = 0; i < std::min<std::size_t>(given, dims.size()); ++i)
      add_axis((*sizes)->at(i), (*sizes)->at(i) / static_cast<double>(dims[i]));
  } else if (*scales != nullptr) {
    given = (*scales)->size();
    for (std::size_t i = 0; i < given; ++i) of_scale((*scales)->at(i));
  } else {
    given = node.numbers("scales").size();
    for (const float scale : node.numbers("scales")) of_scale(scale);
  }
  if (given != dims.size() || axes.size() != dims.size())
    return node.error("its scales or sizes do not fit its input " + dims_text(dims));
  if (axes[0].out != dims[0] || axes[1].out != dims[1])
    return node.unsupported("resizing anything but the pixels of images");

  const std::string mode_name = node.text("mode", "nearest");
  ResizeMode mode;
  mode.linear = mode_name == "linear" || mode_name == "bilinear";
  mode.place = node.text("coordinate_transformation_mode", is_new ? "half_pixel" : "asymmetric");
  mode.rounding = node.text("nearest_mode", is_new ? "round_prefer_floor" : "floor");
  constexpr std::array kPlaces = {"half_pixel", "pytorch_half_pixel", "half_pixel_symmetric",
                                  "asymmetric", "align_corners"};
  constexpr std::array kRoundings = {"round_prefer_floor", "round_prefer_ceil", "floor", "ceil"};
  if ((!mode.linear && mode_name != "nearest") ||
      std::ranges::find(kPlaces, mode.place) == kPlaces.end() ||
      std::ranges::find(kRoundings, mode.rounding) == kRoundings.end())
    return node.unsupported("the mode " + mode_name + " with " + mode.place + " and " +
                            mode.rounding);
  if (node.integer("antialias", 0) != 0) return node.unsupported("antialiasing");
  if (axes[2].out == dims[2] && axes[3].out == dims[3]) return **x;
  if (const auto op = upsampling(mode, axes[2], axes[3])) {
    const auto tensor = image(node, **x);
    if (!tensor) return tensor.error();
    const Pair factor{static_cast<int>(axes[2].scale), static_cast<int>(axes[3].scale)};
    const auto result = graph_.add_upsample(label(node), *op, *tensor, factor);
    if (!result) return result.error();
    return made(result, dims_of(graph_.shape(*result), 4));
  }
  const auto matrix = [&](const ResizeAxis& axis) {
    return std::make_shared<const StoredWeights>(mode.weights(axis), std::vector<float>());
  };
  for (const ResizeAxis& axis : {axes[2], axes[3]})
    if (axis.in * axis.out > kMaxSize) return node.error("its result is too large");
  return resampled(node, **x, matrix(axes[2]), matrix(axes[3]));
}

/// Rows, then columns: each a product with a matrix, for which they are taken as channels.
Importer::Made Importer::resampled(const Node& node, const Value& x, WeightsPointer rows,
                                   WeightsPointer columns) {
  const int images = static_cast<int>(x.dims[0] * x.dims[1]);
  const int height = static_cast<int>(x.dims[2]);
  const int width = static_cast<int>(x.dims[3]);
  ConvAttributes attributes;
  attributes.oc = static_cast<int>(std::ssize(rows->weights) / height);
  const int new_width = static_cast<int>(std::ssize(columns->weights) / width);
  Dims dims = {x.dims[0], x.dims[1], attributes.oc, new_width};
  const auto unmoved = plain(node.name(), x);
  if (!unmoved) return unmoved.error();
  auto tensor = shaped(node.name(), **unmoved, {images, height, width, 1});
  if (!tensor) return tensor.error();
  tensor = graph_.add_conv({fresh(node.name() + "/rows"), std::string(node.type())}, *tensor,
                           attributes, std::move(rows));
  if (!tensor) return tensor.error();
  tensor = graph_.add_reshape({fresh(node.name() + "/reshape"), "reshape"}, *tensor,
                              {images * attributes.oc, width, 1, 1});
  if (!tensor) return tensor.error();
  return made(graph_.add_fully_connected(label(node), *tensor, new_width, std::move(columns)),
              std::move(dims));
}

Importer::Made Importer::depth_to_space(const Node& node) {
  const auto x = tensor_input(node, 0);
  if (!x) return x.error();
  const std::int64_t block = node.integer("blocksize", 0);
  if ((*x)->dims.size() != 4 || block < 1 || block > 4096 || (*x)->dims[1] % (block * block) != 0)
    return node.error("its block does not fit its input");
  auto tensor = image(node, **x);
  if (!tensor) return tensor.error();
  const int factor = static_cast<int>(block);
  // In the older order, pixels are the slower index of the channels.
  if (node.text("mode", "DCR") == "DCR") {
    tensor =
        graph_.add_shuffle({fresh(node.name() + "/channels"), "shuffle"}, *tensor, factor * factor);
    if (!tensor) return tensor.error();
  }
  const auto result = graph_.add_depth_to_space(label(node), *tensor, {factor, factor});
  if (!result) return result.error();
  return made(result, dims_of(graph_.shape(*result), 4));
}

}  // namespace convopt::onnx_reader
