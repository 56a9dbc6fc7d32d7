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
  return picked(model, node, *x, *axis, *indices);
}

/// Indices of several axes at once become one index into those axes as one.
Result<Value> gather_nd(Import& model, const Node& node) {
  CONVOPT_TRY(const auto x, model.tensor_input(node, 0));
  CONVOPT_TRY(const auto indices, model.input(node, 1));
  const std::int64_t batch_axes = node.integer("batch_dims", 0);
  if (batch_axes < 0 || batch_axes >= std::ssize(x->dims))
    return node.error("its batch dimensions do not fit its input");
  const auto batch = static_cast<std::size_t>(batch_axes);
  CONVOPT_TRY(const auto places, flat_indices(model, node, *indices, x->dims, batch));
  const auto named = x->dims.begin() + batch_axes + indices->sizes().back();
  Dims flat(named, x->dims.end());
  flat.insert(flat.begin(), *element_count(Dims(x->dims.begin(), named)));
  CONVOPT_TRY(const auto rows, reshaped_value(model, node, *x, std::move(flat)));
  return gathered(model, node, rows, 0, places);
}

/// The elements of an axis, or of all axes as one, for which a condition holds.
Result<Value> compress(Import& model, const Node& node) {
  CONVOPT_TRY(const auto x, model.tensor_input(node, 0));
  CONVOPT_TRY(const auto condition, model.constant_input(node, 1));
  Value source = *x;
  if (!node.has("axis")) {
    CONVOPT_TRY(source, reshaped_value(model, node, *x, {element_count(x->dims).value_or(0)}));
  }
  const auto axis = resolve_axis(node.integer("axis", 0), source.dims.size());
  if (!axis || condition == nullptr || std::ssize(condition->integers) > source.dims[*axis])
    return node.error("its axis or condition does not fit its input");
  Integers kept;
  for (std::size_t i = 0; i < condition->integers.size(); ++i)
    if (condition->integers[i] != 0) kept.push_back(static_cast<std::int64_t>(i));
  if (kept.empty()) {
    Dims dims = source.dims;
    dims[*axis] = 0;
    return no_elements(std::move(dims), source);
  }
  const Constant indices = Constant::of_integers({std::ssize(kept)}, kept);
  CONVOPT_TRY(auto range, gathered_range(model, node, source, *axis, indices));
  if (range) return *std::move(range);
  return gathered(model, node, source, *axis, std::move(kept));
}

/// Which row of [d0 * d1] stands at each place of [d0][d1] if the first `lengths[b]` of `time`
/// steps are in reverse order.
Integers reversed_rows(const Dims& dims, std::size_t time_axis, const Integers& lengths) {
  Integers rows;
  for (std::int64_t i = 0; i < dims[0]; ++i)
    for (std::int64_t j = 0; j < dims[1]; ++j) {
      const std::int64_t time = time_axis == 0 ? i : j;
      const std::int64_t sequence = time_axis == 0 ? j : i;
      const std::int64_t length = lengths[static_cast<std::size_t>(sequence)];
      const std::int64_t from = time < length ? length - 1 - time : time;
      rows.push_back(time_axis == 0 ? from * dims[1] + j : i * dims[1] + from);
    }
  return rows;
}

/// The same with lengths that are computed.
Result<Value> computed_rows(Import& model, const Node& node, const Dims& dims,
                            std::size_t time_axis, const Value& lengths) {
  const auto counted = [&](std::size_t axis) {
    std::vector<float> numbers(static_cast<std::size_t>(dims[axis]));
    std::iota(numbers.begin(), numbers.end(), 0.0F);
    return constant_value(axis == 0 ? Constant::of_floats({dims[0], 1}, std::move(numbers))
                                    : Constant::of_floats({dims[1]}, std::move(numbers)));
  };
  const Value time = counted(time_axis), sequence = counted(1 - time_axis);
  const std::int64_t count = dims[1 - time_axis];
  CONVOPT_TRY(const auto length,
              reshaped_value(model, node, lengths, time_axis == 0 ? Dims{count} : Dims{count, 1}));
  // time + (time < length) * (length - 1 - 2 * time)
  CONVOPT_TRY(const auto turned, binary(model, node, Op::less, time, length));
  CONVOPT_TRY(const auto twice, binary(model, node, Op::multiply, time, number_value(2)));
  CONVOPT_TRY(const auto rest, binary(model, node, Op::subtract, length, twice));
  CONVOPT_TRY(const auto distance, binary(model, node, Op::subtract, rest, number_value(1)));
  CONVOPT_TRY(const auto moved, binary(model, node, Op::multiply, turned, distance));
  CONVOPT_TRY(const auto from, binary(model, node, Op::add, time, moved));
  const Value stride = number_value(static_cast<float>(dims[1]));
  CONVOPT_TRY(const auto row,
              binary(model, node, Op::multiply, time_axis == 0 ? from : sequence, stride));
  return binary(model, node, Op::add, row, time_axis == 0 ? sequence : from);
}

Result<Value> reverse_sequence(Import& model, const Node& node) {
  CONVOPT_TRY(const auto x, model.tensor_input(node, 0));
  CONVOPT_TRY(const auto lengths, model.input(node, 1));
  const std::int64_t time_axis = node.integer("time_axis", 0);
  const std::int64_t sequence_axis = node.integer("batch_axis", 1);
  const Dims& dims = x->dims;
  if (dims.size() < 2 || time_axis < 0 || time_axis > 1 || sequence_axis != 1 - time_axis ||
      lengths->sizes() != Dims{dims[static_cast<std::size_t>(sequence_axis)]})
    return node.error("its axes or lengths do not fit its input");
  const auto time = static_cast<std::size_t>(time_axis);
  const auto count = element_count({dims[0], dims[1]});
  if (!count || *count > kMaxSize) return node.unsupported("more than 2^24 steps");
  Value rows;
  if (lengths->is_tensor()) {
    CONVOPT_TRY(rows, computed_rows(model, node, dims, time, *lengths));
  } else {
    for (const std::int64_t length : lengths->constant->integers)
      if (length < 0 || length > dims[time]) return node.error("a length is out of range");
    if (lengths->constant->is_float) return node.error("its lengths are no whole numbers");
    rows = constant_value(Constant::of_integers(
        {dims[0], dims[1]}, reversed_rows(dims, time, lengths->constant->integers)));
  }
  Dims flat(dims.begin() + 2, dims.end());
  flat.insert(flat.begin(), *count);
  CONVOPT_TRY(const auto table, reshaped_value(model, node, *x, std::move(flat)));
  return gathered(model, node, table, 0, rows);
}

Result<Value> one_hot(Import& model, const Node& node) {
  CONVOPT_TRY(const auto indices, model.tensor_input(node, 0));
  CONVOPT_TRY(const auto depth, model.constant_input(node, 1));
  CONVOPT_TRY(const auto values, model.constant_input(node, 2));
  if (depth == nullptr || depth->size() != 1 || values == nullptr || values->size() != 2)
    return node.error("its depth must be a number, its values two");
  const double wanted = depth->at(0);
  if (!(wanted >= 1 && wanted <= kMaxSize)) return node.error("its depth is out of range");
  const auto count = static_cast<std::int64_t>(wanted);
  const std::size_t rank = indices->dims.size() + 1;
  const auto axis = resolve_axis(node.integer("axis", -1), rank);
  if (!axis) return node.error("it has no such axis");
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
  if (!dims || !element_count(*dims))
    return node.error("its input " + dims_text(x->dims) + " cannot be repeated to " +
                      dims_text(shape->integers));
  if (*dims == x->dims) return *x;
  if (element_count(*dims) == 0) return no_elements(*dims, *x);
  return made(broadcast_to(model, node, *x, *dims), *dims);
}

/// Every axis in turn: the elements before it, repeated, and those from it on.
Result<Value> tile(Import& model, const Node& node) {
  CONVOPT_TRY(const auto x, model.tensor_input(node, 0));
  CONVOPT_TRY(const auto repeats, model.constant_input(node, 1));
  if (repeats == nullptr || repeats->is_float || repeats->size() != x->dims.size())
    return node.error("its repeats must be a whole number per dimension");
  Value result = *x;
  if (std::ranges::find(repeats->integers, 0) != repeats->integers.end()) {
    Dims dims = x->dims;
    for (std::size_t d = 0; d < dims.size(); ++d)
      dims[d] *= std::clamp<std::int64_t>(repeats->integers[d], 0, kMaxSize);
    return no_elements(std::move(dims), *x);
  }
  for (std::size_t axis = 0; axis < x->dims.size(); ++axis) {
    const std::int64_t count = repeats->integers[axis];
    if (count < 1) return node.error("its repeats are out of range");
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
  CONVOPT_TRY(const auto given, model.whole_number_input(node, 1));
  const std::int64_t k = given.value_or(0);
  if (x->dims.size() < 2) return node.error("its input is no matrix");
  const std::int64_t rows = x->dims[x->dims.size() - 2], columns = x->dims.back();
  const bool upper = node.integer("upper", 1) != 0;
  if (rows * columns > kMaxSize) return node.error("its input is too large");
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

Result<Value> flat_constant(const Node& node, const Constant& indices, const Dims& dims,
                            const Dims& sizes, const Integers& strides, std::int64_t images,
                            std::int64_t together) {
  const std::size_t count = indices.size() / sizes.size();
  Integers places;
  for (std::size_t i = 0; i < count; ++i) {
    const std::size_t image = i * static_cast<std::size_t>(images) / count;
    std::int64_t place = static_cast<std::int64_t>(image) * together;
    for (std::size_t d = 0; d < sizes.size(); ++d) {
      const std::int64_t index = indices.integers[i * sizes.size() + d];
      if (index < -sizes[d] || index >= sizes[d])
        return node.error("an index lies outside of its input");
      place += (index < 0 ? index + sizes[d] : index) * strides[d];
    }
    places.push_back(place);
  }
  return constant_value(Constant::of_integers(dims, std::move(places)));
}

}  // namespace

Result<Value> flat_indices(Import& model, const Node& node, const Value& indices, const Dims& from,
                           std::size_t batch_axes) {
  const Dims& given = indices.sizes();
  const std::size_t rank = given.size();
  if (batch_axes >= rank || given.back() < 1 ||
      given.back() > std::ssize(from) - static_cast<std::int64_t>(batch_axes) ||
      !std::equal(from.begin(), from.begin() + static_cast<std::ptrdiff_t>(batch_axes),
                  given.begin()))
    return node.error("its indices of the shape " + dims_text(given) + " do not fit its input " +
                      dims_text(from));
  const auto axes = static_cast<std::size_t>(given.back());
  const auto first = from.begin() + static_cast<std::ptrdiff_t>(batch_axes);
  const Dims sizes(first, first + given.back());
  const std::int64_t together = *element_count(sizes);
  const std::int64_t images = *element_count(Dims(from.begin(), first));
  if (together > kMaxSize || images * together > kMaxSize)
    return node.unsupported("more than 2^24 elements to choose from");
  Integers strides(axes, 1);
  for (std::size_t d = axes - 1; d > 0; --d) strides[d - 1] = strides[d] * sizes[d];
  const Dims dims(given.begin(), given.end() - 1);
  if (!indices.is_tensor()) {
    if (indices.constant->is_float) return node.error("its indices are no whole numbers");
    return flat_constant(node, *indices.constant, dims, sizes, strides, images, together);
  }
  const auto row = [](const Integers& values) {
    return constant_value(Constant::of_integers({std::ssize(values)}, values));
  };
  // Negative indices count from the end.
  CONVOPT_TRY(const auto wrapped, binary(model, node, Op::modulo, indices, row(sizes)));
  CONVOPT_TRY(const auto offsets, binary(model, node, Op::multiply, wrapped, row(strides)));
  CONVOPT_TRY(auto places, reduced(model, node, Op::reduce_sum, offsets, {rank - 1}, false));
  if (images == 1) return places;
  Integers starts;
  for (std::int64_t image = 0; image < images; ++image) starts.push_back(image * together);
  Dims start_dims(from.begin(), first);
  start_dims.resize(rank - 1, 1);
  return binary(model, node, Op::add, places,
                constant_value(Constant::of_integers(std::move(start_dims), std::move(starts))));
}

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

Result<Value> picked(Import& model, const Node& node, const Value& x, std::size_t axis,
                     const Value& indices) {
  CONVOPT_TRY(const TensorId tensor, model.ranked(node.name(), x));
  CONVOPT_TRY(const TensorId at, model.ranked(node.name(), indices));
  const Workload workload = Workload::gather(Op::gather_elements, model.graph().shape(tensor),
                                             model.graph().shape(at), static_cast<int>(axis));
  CONVOPT_TRY(
      auto result,
      made(model.graph().add(model.label(node), std::array{tensor, at}, workload), indices.dims));
  result.type = x.type;
  return result;
}

OperatorTable indexing_operators() {
  static constexpr OperatorHandler kHandlers[] = {
      {"Gather", gather},
      {"GatherElements", gather_elements},
      {"GatherND", gather_nd},
      {"OneHot", one_hot, nullptr, true},
      {"Expand", expand},
      {"Tile", tile},
      {"Trilu", triangle},
      {"Compress", compress},
      {"ReverseSequence", reverse_sequence},
  };
  return kHandlers;
}

}  // namespace convopt::onnx_reader
