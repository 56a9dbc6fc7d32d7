// Elements taken by their indices, and repeated.
#include <algorithm>
#include <array>
#include <cstddef>
#include <functional>
#include <numeric>
#include <utility>
#include <vector>

#include "core/try.h"
#include "src/network/onnx/operators/handlers.h"
#include "src/network/onnx/operators/parts.h"

namespace convopt::onnx_reader {
namespace {

/// Ascending ranges are slices, which convolutions' layouts have, too.
Result<std::optional<Value>> gathered_range(Import& model, const Node& node, const Value& x,
                                            std::size_t axis, const Constant& indices) {
  if (indices.is_float || indices.dims.size() > 1 || indices.size() == 0)
    return std::optional<Value>();
  Integers at = indices.integers;
  const std::int64_t size = x.dims[axis];
  for (std::int64_t& index : at) {
    if (index < -size || index >= size) return node.error("an index lies outside of its input");
    if (index < 0) index += size;
  }
  const std::int64_t step = at.size() > 1 ? at[1] - at[0] : 1;
  for (std::size_t i = 1; i < at.size(); ++i)
    if (at[i] - at[i - 1] != step || step < 1) return std::optional<Value>();
  CONVOPT_TRY(auto taken, axis_range(model, node, node.name(), x, axis, at[0],
                                     static_cast<std::int64_t>(at.size()), step));
  if (!indices.dims.empty()) return std::optional(std::move(taken));
  Dims dims = taken.dims;
  dims.erase(dims.begin() + static_cast<std::ptrdiff_t>(axis));
  CONVOPT_TRY(auto result, reshaped_value(model, node, taken, std::move(dims)));
  return std::optional(std::move(result));
}

Result<Value> gather(Import& model, const Node& node) {
  CONVOPT_TRY(const auto x, model.tensor_input(node, 0));
  CONVOPT_TRY(const auto indices, model.input(node, 1));
  const auto axis = resolve_axis(node.integer("axis", 0), x->dims.size());
  if (!axis) return node.error("it has no such axis");
  if (!indices->is_tensor()) {
    CONVOPT_TRY(auto range, gathered_range(model, node, *x, *axis, *indices->constant));
    if (range) return *std::move(range);
  }
  return gathered(model, node, *x, *axis, *indices);
}

Result<Value> gather_elements(Import& model, const Node& node) {
  CONVOPT_TRY(const auto x, model.tensor_input(node, 0));
  CONVOPT_TRY(const auto indices, model.tensor_input(node, 1));
  const auto axis = resolve_axis(node.integer("axis", 0), x->dims.size());
  if (!axis || indices->dims.size() != x->dims.size())
    return node.error("its axis or indices do not fit its input");
  CONVOPT_TRY(const auto source, model.plain(node.name(), *x));
  CONVOPT_TRY(const auto places, model.plain(node.name(), *indices));
  CONVOPT_TRY(const auto tensor, model.ranked(node.name(), *source));
  CONVOPT_TRY(const auto at, model.ranked(node.name(), *places));
  const Workload workload = Workload::gather(Op::gather_elements, model.graph().shape(tensor),
                                             model.graph().shape(at), static_cast<int>(*axis));
  return made(model.graph().add(model.label(node), std::array{tensor, at}, workload),
              indices->dims);
}

/// Indices of several axes at once become one index into those axes as one.
Result<Value> gather_nd(Import& model, const Node& node) {
  CONVOPT_TRY(const auto x, model.tensor_input(node, 0));
  CONVOPT_TRY(const auto indices, model.tensor_input(node, 1));
  if (node.integer("batch_dims", 0) != 0) return node.unsupported("batch dimensions");
  const std::size_t rank = x->dims.size();
  if (indices->dims.empty() || indices->dims.back() < 1 ||
      static_cast<std::size_t>(indices->dims.back()) > rank)
    return node.error("its indices do not fit its input");
  const auto axes = static_cast<std::size_t>(indices->dims.back());
  std::vector<float> sizes, strides(axes, 1.0F);
  std::int64_t together = 1;
  for (std::size_t d = axes; d-- > 0;) {
    strides[d] = static_cast<float>(together);
    together *= x->dims[d];
  }
  for (std::size_t d = 0; d < axes; ++d) sizes.push_back(static_cast<float>(x->dims[d]));
  if (together > kMaxSize) return node.unsupported("more than 2^24 elements to choose from");
  const auto row = [&](std::vector<float> values) {
    return constant_value(
        Constant::of_floats({static_cast<std::int64_t>(axes)}, std::move(values)));
  };
  // Negative indices count from the end.
  CONVOPT_TRY(const auto wrapped, binary(model, node, Op::modulo, *indices, row(sizes)));
  CONVOPT_TRY(const auto offsets, binary(model, node, Op::multiply, wrapped, row(strides)));
  CONVOPT_TRY(const auto places,
              reduced(model, node, Op::reduce_sum, offsets, {indices->dims.size() - 1}, false));
  Dims flat(x->dims.begin() + static_cast<std::ptrdiff_t>(axes), x->dims.end());
  flat.insert(flat.begin(), together);
  CONVOPT_TRY(const auto rows, reshaped_value(model, node, *x, std::move(flat)));
  return gathered(model, node, rows, 0, places);
}

Result<Value> one_hot(Import& model, const Node& node) {
  CONVOPT_TRY(const auto indices, model.tensor_input(node, 0));
  CONVOPT_TRY(const auto depth, model.constant_input(node, 1));
  CONVOPT_TRY(const auto values, model.constant_input(node, 2));
  if (depth == nullptr || depth->size() != 1 || values == nullptr || values->size() != 2)
    return node.error("its depth must be a number, its values two");
  const auto count = static_cast<std::int64_t>(depth->at(0));
  const std::size_t rank = indices->dims.size() + 1;
  const auto axis = resolve_axis(node.integer("axis", -1), rank);
  if (!axis || count < 1 || count > kMaxSize) return node.error("its axis or depth does not fit");
  Dims dims = indices->dims;
  dims.insert(dims.begin() + static_cast<std::ptrdiff_t>(*axis), 1);
  CONVOPT_TRY(Value places, reshaped_value(model, node, *indices, std::move(dims)));
  // Negative ones count from the end; beyond the range, none is hot.
  std::vector<float> steps(static_cast<std::size_t>(count));
  std::iota(steps.begin(), steps.end(), 0.0F);
  Dims row(rank - *axis, 1);
  row[0] = count;
  const float depth_number = static_cast<float>(count);
  CONVOPT_TRY(const auto negative, binary(model, node, Op::less, places, number_value(0)));
  CONVOPT_TRY(const auto turn,
              binary(model, node, Op::multiply, negative, number_value(depth_number)));
  CONVOPT_TRY(places, binary(model, node, Op::add, places, turn));
  CONVOPT_TRY(auto hot, binary(model, node, Op::equal, places,
                               constant_value(Constant::of_floats(std::move(row), steps))));
  const auto off = static_cast<float>(values->at(0)), on = static_cast<float>(values->at(1));
  hot.type = values->is_float ? DataType::f32 : DataType::s64;
  if (off == 0 && on == 1) return hot;
  const Constant range = Constant::of_floats({}, {on - off});
  const Constant lowest = Constant::of_floats({}, {off});
  CONVOPT_TRY(auto result, scale_shift(model, node, hot, &range, &lowest));
  result.type = hot.type;
  return result;
}

Result<Value> expand(Import& model, const Node& node) {
  CONVOPT_TRY(const auto x, model.tensor_input(node, 0));
  CONVOPT_TRY(const auto shape, model.constant_input(node, 1));
  if (shape == nullptr || shape->is_float) return node.error("its shape must be whole numbers");
  const auto dims = broadcast(x->dims, shape->integers);
  if (!dims || !element_count(*dims) || *element_count(*dims) == 0)
    return node.error("its input " + dims_text(x->dims) + " cannot be repeated to " +
                      dims_text(shape->integers));
  if (*dims == x->dims) return *x;
  return made(broadcast_to(model, node, *x, *dims), *dims);
}

/// Every axis in turn: the elements before it, repeated, and those from it on.
Result<Value> tile(Import& model, const Node& node) {
  CONVOPT_TRY(const auto x, model.tensor_input(node, 0));
  CONVOPT_TRY(const auto repeats, model.constant_input(node, 1));
  if (repeats == nullptr || repeats->is_float || repeats->size() != x->dims.size())
    return node.error("its repeats must be a whole number per dimension");
  Value result = *x;
  for (std::size_t axis = 0; axis < x->dims.size(); ++axis) {
    const std::int64_t count = repeats->integers[axis];
    if (count < 1) return node.error("its result would be empty");
    if (count == 1) continue;
    if (count > kMaxSize) return node.error("its result is too large");
    Dims dims = result.dims;
    dims[axis] *= count;
    if (!element_count(dims)) return node.error("its result is too large");
    const TensorShape around = shape_around(result.dims, axis, axis + 1);
    const Dims parts = {around.n(), 1, std::int64_t{around.c()} * around.h() * around.w()};
    CONVOPT_TRY(const auto flat, reshaped_value(model, node, result, parts));
    CONVOPT_TRY(result, made(broadcast_to(model, node, flat, {parts[0], count, parts[2]}),
                             std::move(dims)));
    result.type = x->type;
  }
  return result;
}

/// Of matrices, the elements above or below a diagonal.
Result<Value> triangle(Import& model, const Node& node) {
  CONVOPT_TRY(const auto x, model.tensor_input(node, 0));
  CONVOPT_TRY(const auto given, model.constant_input(node, 1));
  const std::int64_t k = given != nullptr && given->size() == 1 ? given->integers[0] : 0;
  if (x->dims.size() < 2) return node.error("its input is no matrix");
  const std::int64_t rows = x->dims[x->dims.size() - 2], columns = x->dims.back();
  const bool upper = node.integer("upper", 1) != 0;
  if (!element_count({rows, columns})) return node.error("its input is too large");
  std::vector<float> kept;
  for (std::int64_t i = 0; i < rows; ++i)
    for (std::int64_t j = 0; j < columns; ++j)
      kept.push_back((upper ? j - i >= k : j - i <= k) ? 1.0F : 0.0F);
  CONVOPT_TRY(
      const auto chosen,
      broadcast_to(model, node,
                   constant_value(Constant::of_floats({rows, columns}, std::move(kept))), x->dims));
  CONVOPT_TRY(const auto source, broadcast_to(model, node, *x, x->dims));
  CONVOPT_TRY(const auto zeros, broadcast_to(model, node, number_value(0), x->dims));
  return made(model.graph().add(model.label(node), std::array{chosen, source, zeros},
                                Workload::pointwise(Op::select, model.graph().shape(source))),
              x->dims);
}

}  // namespace

Result<Value> gathered(Import& model, const Node& node, const Value& x, std::size_t axis,
                       const Value& indices) {
  CONVOPT_TRY(const Value* places, model.as_tensor(node.name(), indices));
  CONVOPT_TRY(places, model.plain(node.name(), *places));
  CONVOPT_TRY(const Value* source, model.plain(node.name(), x));
  const auto count = element_count(places->dims);
  const TensorShape around = shape_around(x.dims, axis, axis + 1);
  CONVOPT_TRY(const auto tensor, model.shaped(node.name(), *source,
                                              {around.n(), around.c(), around.h() * around.w()}));
  CONVOPT_TRY(const auto at, model.shaped(node.name(), *places, {static_cast<int>(*count)}));
  Dims dims = x.dims;
  const auto place = dims.erase(dims.begin() + static_cast<std::ptrdiff_t>(axis));
  dims.insert(place, places->dims.begin(), places->dims.end());
  if (!element_count(dims)) return node.error("its result is too large");
  CONVOPT_TRY(auto result,
              made(model.graph().add(model.label(node), std::array{tensor, at},
                                     Workload::gather(Op::gather, model.graph().shape(tensor),
                                                      model.graph().shape(at), 1)),
                   std::move(dims)));
  result.type = source->type;
  return result;
}

Result<Value> gathered(Import& model, const Node& node, const Value& x, std::size_t axis,
                       Integers indices) {
  const auto count = static_cast<std::int64_t>(indices.size());
  return gathered(model, node, x, axis,
                  constant_value(Constant::of_integers({count}, std::move(indices))));
}

OperatorTable indexing_operators() {
  static constexpr OperatorHandler kHandlers[] = {
      {"Gather", gather},      {"GatherElements", gather_elements},
      {"GatherND", gather_nd}, {"OneHot", one_hot, nullptr, true},
      {"Expand", expand},      {"Tile", tile},
      {"Trilu", triangle},
  };
  return kHandlers;
}

}  // namespace convopt::onnx_reader
