#include "src/network/onnx/operators/parts.h"

#include <array>
#include <utility>

#include "core/try.h"

namespace convopt::onnx_reader {
namespace {

/// How the padding is given, and the numbers before and behind all dimensions of pixels; none where
/// they are not given, or zero.
struct GivenPadding {
  Padding::Mode mode = Padding::Mode::given;
  Integers numbers;
};

Result<GivenPadding> given_padding(const Node& node, std::size_t pixels) {
  GivenPadding padding;
  const std::string automatic = node.text("auto_pad", "NOTSET");
  if (automatic == "SAME_UPPER") {
    padding.mode = Padding::Mode::same_upper;
  } else if (automatic == "SAME_LOWER") {
    padding.mode = Padding::Mode::same_lower;
  } else if (automatic == "NOTSET") {
    padding.numbers = node.integers("pads");
    if (!padding.numbers.empty() && padding.numbers.size() != 2 * pixels)
      return node.error("its padding does not fit the dimensions of its input");
    for (const std::int64_t value : padding.numbers)
      if (value < 0 || value > kMaxSize) return node.unsupported("padding that is negative");
  } else if (automatic != "VALID") {
    return node.error("its auto_pad means nothing");
  }
  return padding;
}

Result<Padding> padding_of(const Node& node, std::size_t pixels) {
  CONVOPT_TRY(const auto given, given_padding(node, pixels));
  Padding padding;
  padding.mode = given.mode;
  if (given.numbers.empty()) return padding;
  const auto number = [&](std::size_t i) { return static_cast<int>(given.numbers[i]); };
  padding.top = number(0);
  padding.bottom = number(pixels);
  if (pixels > 1) {
    padding.left = number(1);
    padding.right = number(pixels + 1);
  }
  return padding;
}

}  // namespace

Result<Pair> pair_of(const Node& node, const Integers& given, std::size_t pixels, int fallback,
                     const char* what) {
  if (given.empty()) return Pair{fallback, pixels > 1 ? fallback : 1};
  if (given.size() != pixels || pixels > 2)
    return node.error(std::string("its ") + what + " does not fit the dimensions of its input");
  for (const std::int64_t value : given)
    if (value < 0 || value > kMaxSize)
      return node.error(std::string("its ") + what + " is out of range");
  return Pair{static_cast<int>(given[0]), pixels > 1 ? static_cast<int>(given[1]) : 1};
}

Result<WindowAttributes> window_of(const Node& node, std::size_t rank, const Integers& kernel) {
  if (rank < 3 || rank > 4)
    return node.unsupported("an input of " + std::to_string(rank) + " dimensions");
  const std::size_t pixels = rank - 2;
  CONVOPT_TRY(const auto size, pair_of(node, kernel, pixels, 1, "kernel"));
  CONVOPT_TRY(const auto stride, pair_of(node, node.integers("strides"), pixels, 1, "stride"));
  CONVOPT_TRY(const auto dilation,
              pair_of(node, node.integers("dilations"), pixels, 1, "dilation"));
  CONVOPT_TRY(const auto padding, padding_of(node, pixels));
  return WindowAttributes{size, stride, dilation, padding};
}

Result<std::vector<WindowAxis>> window_axes(const Node& node, const Dims& x,
                                            const Integers& kernel) {
  if (x.size() < 3) return node.unsupported("an input of the shape " + dims_text(x));
  const std::size_t pixels = x.size() - 2;
  CONVOPT_TRY(const auto padding, given_padding(node, pixels));
  const Integers strides = node.integers("strides"), dilations = node.integers("dilations");
  for (const Integers* numbers : {&kernel, &strides, &dilations}) {
    const bool fits = numbers->size() == pixels || (numbers != &kernel && numbers->empty());
    if (!fits) return node.error("its window does not fit the dimensions of its input");
    for (const std::int64_t number : *numbers)
      if (number < 1 || number > kMaxSize) return node.error("its window is out of range");
  }
  std::vector<WindowAxis> axes(pixels);
  for (std::size_t d = 0; d < pixels; ++d) {
    axes[d].in = x[d + 2];
    axes[d].kernel = kernel[d];
    if (!strides.empty()) axes[d].stride = strides[d];
    if (!dilations.empty()) axes[d].dilation = dilations[d];
    if (!padding.numbers.empty()) {
      axes[d].before = padding.numbers[d];
      axes[d].after = padding.numbers[pixels + d];
    }
    if (padding.mode != Padding::Mode::given)
      axes[d].pad_same(padding.mode == Padding::Mode::same_upper);
  }
  return axes;
}

Dims dims_of(const TensorShape& shape, std::size_t rank) {
  const Dims all = {shape.n(), shape.c(), shape.h(), shape.w()};
  return {all.begin(), all.begin() + static_cast<std::ptrdiff_t>(rank)};
}

Result<std::vector<float>> vector_of(const Node& node, const ConstantPointer& constant,
                                     std::int64_t count, const char* what) {
  if (constant == nullptr) return std::vector<float>();
  if (!constant->is_float || std::ssize(constant->floats) != count)
    return node.error(std::string("its ") + what + " must be " + std::to_string(count) +
                      " numbers of type float32");
  return std::vector<float>(constant->floats.begin(), constant->floats.end());
}

Value constant_value(Constant constant) {
  Value value;
  value.constant = std::make_shared<const Constant>(std::move(constant));
  return value;
}

Value no_elements(Dims dims, const Value& like) {
  Constant constant;
  constant.dims = std::move(dims);
  constant.is_float = !like.is_integer();
  if (like.is_tensor()) constant.type = like.type;
  return constant_value(std::move(constant));
}

Result<Value> reshaped_value(Import& model, const Node& node, const Value& x, Dims dims) {
  CONVOPT_TRY(const Value* source, model.as_tensor(node.name(), x));
  CONVOPT_TRY(source, model.plain(node.name(), *source));
  Value result;
  result.tensor = source->tensor;
  result.type = source->type;
  result.dims = std::move(dims);
  return result;
}

Result<Value> second_operand(Import& model, const Node& node, const Value& left) {
  CONVOPT_TRY(const auto right, model.input(node, 1));
  if (node.integer("broadcast", 0) == 0) return *right;
  const std::size_t rank = left.sizes().size(), own = right->sizes().size();
  const auto axis = resolve_axis(
      node.integer("axis", static_cast<std::int64_t>(rank) - static_cast<std::int64_t>(own)), rank);
  if (own > rank || (own > 0 && (!axis || *axis + own > rank)))
    return node.error("its axis does not fit its inputs");
  Dims dims = right->sizes();
  if (own > 0) dims.insert(dims.end(), rank - own - *axis, 1);
  if (right->is_tensor()) return reshaped_value(model, node, *right, std::move(dims));
  Constant constant = *right->constant;
  constant.dims = std::move(dims);
  return constant_value(std::move(constant));
}

Result<TensorId> broadcast_to(Import& model, const Node& node, const Value& x, const Dims& dims) {
  CONVOPT_TRY(const Value* source, model.as_tensor(node.name(), x));
  if (broadcast(source->dims, dims) != dims)
    return node.error("its input of the shape " + dims_text(source->dims) +
                      " cannot be repeated to " + dims_text(dims));
  Dims filled = source->dims;
  filled.insert(filled.begin(), dims.size() - filled.size(), 1);
  const TensorShape whole = natural_shape(dims);
  CONVOPT_TRY(const TensorId tensor, model.shaped(node.name(), *source, natural_shape(filled)));
  const TensorShape now = model.graph().shape(tensor);
  if (now == whole) return tensor;
  return model.graph().add({model.fresh(node.name() + "/expand"), "expand"}, std::array{tensor},
                           Workload::expand(now, whole));
}

}  // namespace convopt::onnx_reader
