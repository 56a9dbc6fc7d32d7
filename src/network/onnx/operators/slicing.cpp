// Ranges of an axis, taken apart and put together.
#include <algorithm>
#include <cstddef>
#include <string>
#include <utility>
#include <vector>

#include "core/try.h"
#include "src/network/onnx/operators/handlers.h"
#include "src/network/onnx/operators/parts.h"

namespace convopt::onnx_reader {
namespace {

/// The parts of a Concat that are constants, in their place along the axis; zeros elsewhere.
Constant constants_in_place(const std::vector<const Value*>& parts, const Dims& dims,
                            std::size_t axis) {
  const auto product = [&](std::size_t begin, std::size_t end) {
    std::size_t result = 1;
    for (std::size_t d = begin; d < end; ++d) result *= static_cast<std::size_t>(dims[d]);
    return result;
  };
  Constant all = Constant::of_floats(dims, std::vector<float>(product(0, dims.size()), 0.0F));
  const std::size_t outer = product(0, axis), inner = product(axis + 1, dims.size());
  std::size_t first = 0;
  for (const Value* part : parts) {
    const Dims& sizes = part->is_tensor() ? part->dims : part->constant->dims;
    const std::size_t row = static_cast<std::size_t>(sizes[axis]) * inner;
    for (std::size_t o = 0; o < outer && !part->is_tensor(); ++o)
      std::copy_n(
          part->constant->floats.begin() + static_cast<std::ptrdiff_t>(o * row), row,
          all.floats.begin() + static_cast<std::ptrdiff_t>(o * product(axis, dims.size()) + first));
    first += row;
  }
  return all;
}

/// Zeros in the place of the constants, to which these are added.
Result<Value> joined_with_constants(Import& model, const Node& node,
                                    const std::vector<const Value*>& parts, const Dims& dims,
                                    std::size_t axis) {
  if (!element_count(dims) || *element_count(dims) > kMaxSize)
    return node.error("its result with constants is too large");
  std::vector<Value> tensors;
  std::int64_t zeros = 0;  // before the next tensor
  for (const Value* part : parts) {
    if (!part->is_tensor()) {
      if (!part->constant->is_float) return node.error("its constants must be of type float32");
      zeros += part->constant->dims[axis];
      continue;
    }
    CONVOPT_TRY(auto padded, padded_axis(model, node, *part, axis, zeros, 0));
    tensors.push_back(std::move(padded));
    zeros = 0;
  }
  CONVOPT_TRY(tensors.back(), padded_axis(model, node, tensors.back(), axis, 0, zeros));
  CONVOPT_TRY(const auto result, joined(model, node, tensors, axis));
  const Constant constants = constants_in_place(parts, dims, axis);
  const bool needed = std::ranges::any_of(constants.floats, [](float v) { return v != 0; });
  return needed ? scale_shift(model, node, result, nullptr, &constants) : result;
}

Result<Value> concat(Import& model, const Node& node) {
  std::vector<const Value*> parts;
  for (int i = 0; i < node.input_count(); ++i) {
    CONVOPT_TRY(const auto part, model.input(node, i));
    parts.push_back(part);
  }
  if (parts.empty()) return node.error("it has no inputs");
  const auto dims_of_part = [](const Value* part) -> const Dims& {
    return part->is_tensor() ? part->dims : part->constant->dims;
  };
  const Dims& first = dims_of_part(parts[0]);
  const auto axis = resolve_axis(node.integer("axis", 1), first.size());
  if (!axis) return node.error("it has no such axis");
  Dims dims = first;
  dims[*axis] = 0;
  for (const Value* part : parts) {
    Dims other = dims_of_part(part);
    if (other.size() == first.size()) {
      dims[*axis] += other[*axis];
      other[*axis] = first[*axis];
    }
    if (other != first)
      return node.error("its inputs of the shapes " + dims_text(first) + " and " +
                        dims_text(dims_of_part(part)) + " do not go together");
  }
  if (!std::ranges::all_of(parts, &Value::is_tensor))
    return joined_with_constants(model, node, parts, dims, *axis);
  std::vector<Value> tensors;
  for (const Value* part : parts) tensors.push_back(*part);
  return joined(model, node, tensors, *axis);
}

Result<Value> gather(Import& model, const Node& node) {
  CONVOPT_TRY(const auto x, model.tensor_input(node, 0));
  CONVOPT_TRY(const auto indices, model.constant_input(node, 1));
  const auto axis = resolve_axis(node.integer("axis", 0), x->dims.size());
  if (!axis || indices == nullptr || indices->is_float || indices->dims.size() > 1 ||
      indices->size() == 0)
    return node.unsupported("anything but a list of indices along an axis");
  Integers at = indices->integers;
  const std::int64_t size = x->dims[*axis];
  for (std::int64_t& index : at) {
    if (index < -size || index >= size) return node.error("an index lies outside of its input");
    if (index < 0) index += size;
  }
  const std::int64_t step = at.size() > 1 ? at[1] - at[0] : 1;
  for (std::size_t i = 1; i < at.size(); ++i)
    if (at[i] - at[i - 1] != step || step < 1)
      return node.unsupported("indices that are no ascending range");
  CONVOPT_TRY(auto taken, axis_range(model, node, node.name(), *x, *axis, at[0],
                                     static_cast<std::int64_t>(at.size()), step));
  if (!indices->dims.empty()) return taken;
  CONVOPT_TRY(const auto source, model.plain(node.name(), taken));
  Value result = *source;
  result.dims.erase(result.dims.begin() + static_cast<std::ptrdiff_t>(*axis));
  return result;
}

Result<Value> slice(Import& model, const Node& node) {
  CONVOPT_TRY(const auto x, model.tensor_input(node, 0));
  std::vector<ConstantPointer> inputs = {nullptr};
  for (int i = 1; i < node.input_count(); ++i) {
    CONVOPT_TRY(const auto constant, model.constant_input(node, i));
    inputs.push_back(constant);
  }
  CONVOPT_TRY(const auto ranges, slice_ranges(node, x->dims, inputs));
  Value result = *x;
  for (const SliceRange& range : ranges) {
    CONVOPT_TRY(result, axis_range(model, node, node.name(), result, range.axis, range.first,
                                   range.count, range.step));
  }
  return result;
}

/// The sizes of a Split's parts.
Result<Integers> parts_of(const Node& node, std::int64_t size, const Constant* given) {
  Integers parts = integers_of(node, "split", given);
  const std::int64_t count = node.output_count();
  if (parts.empty()) {
    const std::int64_t part = (size + count - 1) / count;
    for (std::int64_t i = 0; i < count; ++i)
      parts.push_back(std::min(part, std::max<std::int64_t>(size - i * part, 0)));
  }
  std::int64_t rest = size;
  for (const std::int64_t part : parts)
    rest = part >= 1 && part <= rest ? rest - part : -1;  // -1 stays: no part fits into it
  if (std::ssize(parts) != count || rest != 0)
    return node.error("its parts do not add up to " + std::to_string(size));
  return parts;
}

Result<std::vector<Value>> split(Import& model, const Node& node) {
  CONVOPT_TRY(const auto x, model.tensor_input(node, 0));
  CONVOPT_TRY(const auto given, model.constant_input(node, 1));
  const auto axis = resolve_axis(node.integer("axis", 0), x->dims.size());
  if (!axis) return node.error("it has no such axis");
  CONVOPT_TRY(const auto parts, parts_of(node, x->dims[*axis], given.get()));
  std::vector<Value> values;
  std::int64_t first = 0;
  for (const std::int64_t part : parts) {
    const std::string name = node.name() + "/" + std::to_string(values.size());
    CONVOPT_TRY(auto value, axis_range(model, node, name, *x, *axis, first, part, 1));
    values.push_back(std::move(value));
    first += part;
  }
  return values;
}

}  // namespace

Result<Value> joined(Import& model, const Node& node, const std::vector<Value>& parts,
                     std::size_t axis) {
  if (parts.size() == 1) return parts[0];
  Dims dims = parts[0].dims;
  dims[axis] = 0;
  for (const Value& part : parts) dims[axis] += part.dims[axis];
  const bool channels_last =
      axis + 1 == dims.size() && std::ranges::all_of(parts, &Value::channels_last);
  std::vector<TensorId> tensors;
  for (const Value& part : parts) {
    CONVOPT_TRY(const auto tensor,
                channels_last
                    ? Result<TensorId>(part.tensor)
                    : model.shaped(node.name(), part, shape_around(part.dims, axis, axis + 1)));
    tensors.push_back(tensor);
  }
  return made(model.graph().add_concat(model.label(node), tensors), std::move(dims), channels_last);
}

Result<Value> axis_range(Import& model, const Node& node, const std::string& name, const Value& x,
                         std::size_t axis, std::int64_t first, std::int64_t count,
                         std::int64_t step) {
  if (step < 1) return node.unsupported("a step that is not positive");
  if (count < 1) return node.error("its result would be empty");
  if (count == x.dims[axis]) return x;
  Dims dims = x.dims;
  dims[axis] = count;
  step = std::min(step, kMaxSize);
  const bool last = x.channels_last && axis + 1 == x.dims.size();
  CONVOPT_TRY(const auto tensor,
              last ? Result<TensorId>(x.tensor)
                   : model.shaped(node.name(), x, shape_around(x.dims, axis, axis + 1)));
  return made(model.graph().add_slice({model.fresh(name), std::string(node.type())}, tensor,
                                      static_cast<int>(first), static_cast<int>(count),
                                      static_cast<int>(step)),
              std::move(dims), last);
}

OperatorTable slicing_operators() {
  static constexpr OperatorHandler kHandlers[] = {
      {"Concat", concat},
      {"Gather", gather},
      {"Slice", slice},
      {"Split", nullptr, split},
  };
  return kHandlers;
}

}  // namespace convopt::onnx_reader
