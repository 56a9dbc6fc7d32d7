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
    CONVOPT_TRY(const auto part, model.tensor_input(node, i));
    parts.push_back(part);
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
    CONVOPT_TRY(auto tensor,
                channels_last
                    ? Result<TensorId>(part->tensor)
                    : model.shaped(node.name(), *part, shape_around(part->dims, *axis, *axis + 1)));
    tensors.push_back(tensor);
  }
  return made(model.graph().add_concat(model.label(node), tensors), std::move(dims), channels_last);
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
