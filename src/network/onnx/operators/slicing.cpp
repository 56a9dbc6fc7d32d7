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
  std::vector<Value> tensors;
  for (const Value* part : parts) {
    // Exporters join nothing and a list as well.
    if (dims_of_part(part)[*axis] == 0) continue;
    CONVOPT_TRY(const auto tensor, model.as_tensor(node.name(), *part));
    tensors.push_back(*tensor);
  }
  if (tensors.empty()) return node.error("its result would be empty");
  return joined(model, node, tensors, *axis);
}

Result<Value> slice(Import& model, const Node& node) {
  CONVOPT_TRY(const auto x, model.tensor_input(node, 0));
  std::vector<ConstantPointer> inputs = {nullptr};
  for (int i = 1; i < node.input_count(); ++i) {
    CONVOPT_TRY(const auto constant, model.constant_input(node, i));
    inputs.push_back(constant);
  }
  CONVOPT_TRY(const auto ranges, slice_ranges(node, x->dims, inputs));
  Dims dims = x->dims;
  for (const SliceRange& range : ranges) dims[range.axis] = range.count;
  if (element_count(dims) == 0) return no_elements(std::move(dims), *x);
  Value result = *x;
  for (const SliceRange& range : ranges) {
    CONVOPT_TRY(result, axis_range(model, node, node.name(), result, range.axis, range.first,
                                   range.count, range.step));
  }
  return result;
}

/// Of an image, what lies inside a border, or `scale` pixels from its left top corner on.
Result<Value> crop(Import& model, const Node& node) {
  CONVOPT_TRY(const auto x, model.tensor_input(node, 0));
  const Integers border = node.integers("border"), scale = node.integers("scale");
  if (x->dims.size() != 4 || border.size() != 4 || (!scale.empty() && scale.size() != 2))
    return node.error("its border does not fit its input " + dims_text(x->dims));
  Value result = *x;
  for (const std::size_t side : {0U, 1U}) {  // rows, columns; the border begins at the left
    const std::int64_t size = x->dims[2 + side];
    const std::int64_t first = border[1 - side];
    const std::int64_t count = scale.empty() ? size - first - border[3 - side] : scale[side];
    if (first < 0 || count < 1 || first > size - count)
      return node.error("its border does not fit its input " + dims_text(x->dims));
    CONVOPT_TRY(result, axis_range(model, node, node.name(), result, 2 + side, first, count, 1));
  }
  return result;
}

Result<std::vector<Value>> split(Import& model, const Node& node) {
  CONVOPT_TRY(const auto x, model.tensor_input(node, 0));
  CONVOPT_TRY(const auto given, model.constant_input(node, 1));
  const auto axis = resolve_axis(node.integer("axis", 0), x->dims.size());
  if (!axis) return node.error("it has no such axis");
  CONVOPT_TRY(const auto parts, split_parts(node, x->dims[*axis], given.get()));
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
  if (count < 1) return node.error("its result would be empty");
  if (step < 1) {
    if (count > kMaxSize) return node.error("its input is too large");
    Integers indices;
    for (std::int64_t i = 0; i < count; ++i) indices.push_back(first + i * step);
    return gathered(model, node, x, axis, std::move(indices));
  }
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
      {"Crop", crop},
      {"Slice", slice},
      {"Split", nullptr, split},
  };
  return kHandlers;
}

}  // namespace convopt::onnx_reader
