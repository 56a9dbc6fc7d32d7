// Elements and slices written where indices say.
#include <array>
#include <string>
#include <utility>

#include "core/try.h"
#include "src/network/onnx/operators/handlers.h"
#include "src/network/onnx/operators/parts.h"

namespace convopt::onnx_reader {
namespace {

Result<Op> operation_of(const Node& node) {
  constexpr std::pair<std::string_view, Op> kOperations[] = {{"none", Op::scatter},
                                                             {"add", Op::scatter_add},
                                                             {"mul", Op::scatter_multiply},
                                                             {"max", Op::scatter_maximum},
                                                             {"min", Op::scatter_minimum}};
  const std::string reduction = node.text("reduction", "none");
  for (const auto& [name, op] : kOperations)
    if (name == reduction) return op;
  return node.unsupported("the reduction " + reduction);
}

/// There are no indices.
bool changes_nothing(Import& model, const Node& node) {
  const auto indices = model.input(node, 1);
  return indices && !(*indices)->is_tensor() && (*indices)->constant->size() == 0;
}

Result<Value> scatter_elements(Import& model, const Node& node) {
  CONVOPT_TRY(const auto op, operation_of(node));
  CONVOPT_TRY(const auto x, model.tensor_input(node, 0));
  if (changes_nothing(model, node)) return *x;
  CONVOPT_TRY(const auto indices, model.tensor_input(node, 1));
  CONVOPT_TRY(const auto values, model.tensor_input(node, 2));
  const auto axis = resolve_axis(node.integer("axis", 0), x->dims.size());
  if (!axis || indices->dims.size() != x->dims.size() || values->dims != indices->dims)
    return node.error("its axis, indices or values do not fit its input");
  return scattered(model, node, op, *x, *axis, *indices, *values);
}

/// Slices of the dimensions that the indices do not name, along all others as one.
Result<Value> scatter_nd(Import& model, const Node& node) {
  CONVOPT_TRY(const auto op, operation_of(node));
  CONVOPT_TRY(const auto x, model.tensor_input(node, 0));
  if (changes_nothing(model, node)) return *x;
  CONVOPT_TRY(const auto indices, model.input(node, 1));
  CONVOPT_TRY(const auto values, model.tensor_input(node, 2));
  CONVOPT_TRY(const auto places, flat_indices(model, node, *indices, x->dims, 0));
  const Dims& from = x->dims;
  const auto named = from.begin() + indices->sizes().back();
  Dims wanted = places.sizes();
  wanted.insert(wanted.end(), named, from.end());
  if (values->dims != wanted)
    return node.error("its values of the shape " + dims_text(values->dims) +
                      " are not those that its indices name, " + dims_text(wanted));
  const std::int64_t count = *element_count(places.sizes());
  const std::int64_t rows = *element_count(Dims(from.begin(), named));
  const std::int64_t length = *element_count(Dims(named, from.end()));
  CONVOPT_TRY(const auto table, reshaped_value(model, node, *x, {rows, length}));
  CONVOPT_TRY(const auto at, reshaped_value(model, node, places, {count}));
  CONVOPT_TRY(const auto slices, reshaped_value(model, node, *values, {count, length}));
  CONVOPT_TRY(auto result, scattered(model, node, op, table, 0, at, slices));
  result.dims = from;
  return result;
}

}  // namespace

Result<Value> scattered(Import& model, const Node& node, Op op, const Value& x, std::size_t axis,
                        const Value& indices, const Value& values) {
  CONVOPT_TRY(const TensorId tensor, model.ranked(node.name(), x));
  CONVOPT_TRY(const TensorId at, model.ranked(node.name(), indices));
  CONVOPT_TRY(const TensorId what, model.ranked(node.name(), values));
  const Workload workload = Workload::scatter(op, model.graph().shape(tensor),
                                              model.graph().shape(at), static_cast<int>(axis));
  CONVOPT_TRY(
      auto result,
      made(model.graph().add(model.label(node), std::array{tensor, at, what}, workload), x.dims));
  result.type = x.type;
  return result;
}

OperatorTable scattering_operators() {
  static constexpr OperatorHandler kHandlers[] = {
      {"Scatter", scatter_elements},
      {"ScatterElements", scatter_elements},
      {"ScatterND", scatter_nd},
  };
  return kHandlers;
}

}  // namespace convopt::onnx_reader
