// Elements around a tensor.
#include <algorithm>
#include <cmath>
#include <cstddef>
#include <string>
#include <utility>
#include <vector>

#include "core/try.h"
#include "src/network/onnx/operators/handlers.h"
#include "src/network/onnx/operators/parts.h"

namespace convopt::onnx_reader {
namespace {

/// Elements that a Pad adds before and behind each axis; negative: takes away.
struct Margins {
  Integers before, after;
};

Result<Margins> margins_of(Import& model, const Node& node, std::size_t rank) {
  CONVOPT_TRY(const auto given, model.constant_input(node, 1));
  CONVOPT_TRY(const auto chosen, model.constant_input(node, 3));
  const Integers pads = integers_of(node, "pads", given.get());
  Integers axes;
  for (std::size_t axis = 0; axis < rank; ++axis) axes.push_back(static_cast<std::int64_t>(axis));
  if (chosen != nullptr) axes = integers_of(node, "axes", chosen.get());
  if (pads.size() != 2 * axes.size() || !resolve_axes(axes, rank))
    return node.error("its padding does not fit its input");
  Margins margins{Integers(rank, 0), Integers(rank, 0)};
  for (std::size_t i = 0; i < axes.size(); ++i) {
    const std::size_t axis = *resolve_axis(axes[i], rank);
    for (const std::int64_t pad : {pads[i], pads[axes.size() + i]})
      if (pad < -kMaxSize || pad > kMaxSize) return node.error("its padding is out of range");
    margins.before[axis] = pads[i];
    margins.after[axis] = pads[axes.size() + i];
  }
  return margins;
}

/// Takes away what negative margins say, which are zero then.
Result<Value> cropped(Import& model, const Node& node, const Value& x, Margins& margins) {
  Value result = x;
  for (std::size_t axis = 0; axis < x.dims.size(); ++axis) {
    const std::int64_t before = std::max<std::int64_t>(-margins.before[axis], 0);
    const std::int64_t after = std::max<std::int64_t>(-margins.after[axis], 0);
    CONVOPT_TRY(result, axis_range(model, node, node.name() + "/crop", result, axis, before,
                                   result.dims[axis] - before - after, 1));
    margins.before[axis] += before;
    margins.after[axis] += after;
  }
  return result;
}

bool is_zero(std::int64_t margin) { return margin == 0; }

/// Zeros around the pixels of an image, which a convolution behind it can take over.
Result<Value> padded_image(Import& model, const Node& node, const Value& x,
                           const Margins& margins) {
  const std::size_t rank = x.dims.size();
  Padding padding;
  padding.top = static_cast<int>(margins.before[2]);
  padding.bottom = static_cast<int>(margins.after[2]);
  if (rank > 3) {
    padding.left = static_cast<int>(margins.before[3]);
    padding.right = static_cast<int>(margins.after[3]);
  }
  CONVOPT_TRY(const auto tensor, model.image(node, x));
  CONVOPT_TRY(const auto result, model.graph().add_pad(model.label(node), tensor, padding));
  CONVOPT_TRY(auto padded, made(result, dims_of(model.graph().shape(result), rank)));
  padded.padded = model.keep(x);
  padded.padding = padding;
  return padded;
}

Result<Value> padded_with_zeros(Import& model, const Node& node, const Value& x,
                                const Margins& margins) {
  const std::size_t rank = x.dims.size();
  if ((rank == 3 || rank == 4) &&
      std::ranges::all_of(margins.before.begin(), margins.before.begin() + 2, is_zero) &&
      std::ranges::all_of(margins.after.begin(), margins.after.begin() + 2, is_zero))
    return padded_image(model, node, x, margins);
  Value result = x;
  for (std::size_t axis = 0; axis < rank; ++axis) {
    CONVOPT_TRY(result,
                padded_axis(model, node, result, axis, margins.before[axis], margins.after[axis]));
  }
  return result;
}

/// `number` in the margins around zeros, in the shape of the result but for axes that have none.
Constant frame(const Dims& dims, const Margins& margins, float number) {
  Dims sizes = dims;
  std::int64_t count = 1;
  for (std::size_t axis = 0; axis < dims.size(); ++axis) {
    if (margins.before[axis] + margins.after[axis] == 0) sizes[axis] = 1;
    count *= sizes[axis];
  }
  std::vector<float> values(static_cast<std::size_t>(count), 0.0F);
  for (std::size_t i = 0; i < values.size(); ++i) {
    auto rest = static_cast<std::int64_t>(i);
    for (std::size_t axis = sizes.size(); axis-- > 0;) {
      const std::int64_t at = rest % sizes[axis];
      rest /= sizes[axis];
      if (at < margins.before[axis] || at >= sizes[axis] - margins.after[axis]) values[i] = number;
    }
  }
  return Constant::of_floats(std::move(sizes), std::move(values));
}

/// The element that stands at place `at` of an axis of `size` elements, outside of it.
std::int64_t source_of(std::string_view mode, std::int64_t at, std::int64_t size) {
  if (mode == "edge") return std::clamp<std::int64_t>(at, 0, size - 1);
  if (mode == "wrap") return (at % size + size) % size;
  return at < 0 ? -at : 2 * (size - 1) - at;
}

/// Elements of the tensor itself in the margins of one axis.
Result<Value> repeated_axis(Import& model, const Node& node, const Value& x, std::size_t axis,
                            std::int64_t before, std::int64_t after) {
  constexpr std::int64_t kMostRepeated = 1 << 16;
  const std::string mode = node.text("mode", "constant");
  const std::int64_t size = x.dims[axis];
  if (std::max(before, after) > kMostRepeated)
    return node.unsupported("a padding of more than " + std::to_string(kMostRepeated) +
                            " elements that is not constant");
  if (mode == "reflect" && std::max(before, after) >= size)
    return node.error("its padding is as large as its input " + dims_text(x.dims));
  std::vector<Value> parts;
  const auto add_margin = [&](std::int64_t first, std::int64_t count) -> Result<void> {
    if (count == 0) return {};
    Integers sources;
    for (std::int64_t at = first; at < first + count; ++at)
      sources.push_back(source_of(mode, at, size));
    CONVOPT_TRY(auto margin, gathered(model, node, x, axis, std::move(sources)));
    parts.push_back(std::move(margin));
    return {};
  };
  CONVOPT_CHECK(add_margin(-before, before));
  parts.push_back(x);
  CONVOPT_CHECK(add_margin(size, after));
  return joined(model, node, parts, axis);
}

Result<Value> pad(Import& model, const Node& node) {
  CONVOPT_TRY(const auto x, model.tensor_input(node, 0));
  CONVOPT_TRY(auto margins, margins_of(model, node, x->dims.size()));
  CONVOPT_TRY(const auto given, model.scalar_input(node, 2));
  const float number = given.value_or(node.number_or_infinite("value", 0));
  const std::string mode = node.text("mode", "constant");
  if (mode != "constant" && mode != "reflect" && mode != "edge" && mode != "wrap")
    return node.unsupported("the mode " + mode);
  CONVOPT_TRY(Value result, cropped(model, node, *x, margins));
  if (std::ranges::all_of(margins.before, is_zero) && std::ranges::all_of(margins.after, is_zero))
    return result;
  if (mode != "constant") {
    for (std::size_t axis = 0; axis < x->dims.size(); ++axis) {
      CONVOPT_TRY(result, repeated_axis(model, node, result, axis, margins.before[axis],
                                        margins.after[axis]));
    }
    return result;
  }
  CONVOPT_TRY(result, padded_with_zeros(model, node, result, margins));
  if (number == 0) return result;
  if (!std::isfinite(number)) return node.unsupported("padding with a number that is not finite");
  if (!element_count(result.dims) || *element_count(result.dims) > kMaxSize)
    return node.error("its result is too large");
  const Constant around = frame(result.dims, margins, number);
  return scale_shift(model, node, result, nullptr, &around);
}

}  // namespace

Result<Value> padded_axis(Import& model, const Node& node, const Value& x, std::size_t axis,
                          std::int64_t before, std::int64_t after) {
  if (before == 0 && after == 0) return x;
  Dims dims = x.dims;
  dims[axis] += before + after;
  if (!element_count(dims)) return node.error("its result is too large");
  // The axis as rows of images.
  const TensorShape around = shape_around(x.dims, axis, axis + 1);
  CONVOPT_TRY(const auto tensor,
              model.shaped(node.name(), x, {1, around.n(), around.c(), around.h() * around.w()}));
  Padding padding;
  padding.top = static_cast<int>(before);
  padding.bottom = static_cast<int>(after);
  return made(model.graph().add_pad(model.label(node), tensor, padding), std::move(dims));
}

OperatorTable padding_operators() {
  static constexpr OperatorHandler kHandlers[] = {
      {"Pad", pad},
  };
  return kHandlers;
}

}  // namespace convopt::onnx_reader
