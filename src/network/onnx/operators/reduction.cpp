// Axes of which one element is left, their order, and sums along them.
#include <algorithm>
#include <array>
#include <cstddef>
#include <limits>
#include <numeric>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "core/try.h"
#include "src/network/onnx/operators/handlers.h"
#include "src/network/onnx/operators/parts.h"

namespace convopt::onnx_reader {
namespace {

Dims without(const Dims& from, const std::vector<std::size_t>& axes, bool keep) {
  Dims dims = from;
  for (auto axis = axes.rbegin(); axis != axes.rend(); ++axis) {
    if (keep) {
      dims[*axis] = 1;
    } else {
      dims.erase(dims.begin() + static_cast<std::ptrdiff_t>(*axis));
    }
  }
  return dims;
}

/// The mean or maximum of neighbouring axes as a pooling over all pixels, for which there are
/// layouts to choose from; nothing where they are not the pixels of images.
Result<std::optional<Value>> pooled(Import& model, const Node& node, const Value& x,
                                    const std::vector<std::size_t>& axes, bool keep,
                                    PoolKind kind) {
  const std::size_t rank = x.dims.size(), first = axes.front(), last = axes.back() + 1;
  if (last - first != axes.size()) return std::optional<Value>();
  if (x.channels_last && first == 1 && last == rank - 1) {
    CONVOPT_TRY(auto result, made(model.graph().add_global_pool(model.label(node), kind, x.tensor),
                                  without(x.dims, axes, keep)));
    return std::optional(std::move(result));
  }
  if (x.channels_last || first != 2 || last != rank || rank > 4) return std::optional<Value>();
  CONVOPT_TRY(const auto tensor, model.image(node, x));
  CONVOPT_TRY(auto result, made(model.graph().add_global_pool(model.label(node), kind, tensor),
                                without(x.dims, axes, keep)));
  return std::optional(std::move(result));
}

/// log(sum(exp(x))), without overflow.
Result<Value> log_sum_exp(Import& model, const Node& node, const Value& x,
                          const std::vector<std::size_t>& axes, bool keep) {
  CONVOPT_TRY(const auto largest, reduced(model, node, Op::reduce_maximum, x, axes, true));
  // Where all are minus infinity, their difference to it would be no number.
  constexpr float kLargest = std::numeric_limits<float>::max();
  CONVOPT_TRY(const auto offset,
              activate(model, node, largest, {ActivationKind::clip, -kLargest, kLargest}));
  CONVOPT_TRY(const auto rest, binary(model, node, Op::subtract, x, offset));
  CONVOPT_TRY(const auto powers, activate(model, node, rest, {ActivationKind::exp}));
  CONVOPT_TRY(const auto total, reduced(model, node, Op::reduce_sum, powers, axes, true));
  CONVOPT_TRY(const auto log, activate(model, node, total, {ActivationKind::log}));
  CONVOPT_TRY(auto result, binary(model, node, Op::add, log, offset));
  return reshaped_value(model, node, result, without(x.dims, axes, keep));
}

Result<Value> reduce_by(Import& model, const Node& node, const Value& x,
                        const std::vector<std::size_t>& axes, bool keep) {
  const std::string_view type = node.type();
  if (type == "ReduceMean" || type == "ReduceMax" || type == "ReduceSum") {
    CONVOPT_TRY(auto result, pooled(model, node, x, axes, keep,
                                    type == "ReduceMax" ? PoolKind::max : PoolKind::average));
    if (result && type != "ReduceSum") return *std::move(result);
    if (result) {
      double count = 1;
      for (const std::size_t axis : axes) count *= static_cast<double>(x.dims[axis]);
      return scale(model, node, *result, static_cast<float>(count));
    }
  }
  if (type == "ReduceMean") return reduced(model, node, Op::reduce_mean, x, axes, keep);
  if (type == "ReduceMax") return reduced(model, node, Op::reduce_maximum, x, axes, keep);
  if (type == "ReduceMin") return reduced(model, node, Op::reduce_minimum, x, axes, keep);
  if (type == "ReduceProd") return reduced(model, node, Op::reduce_product, x, axes, keep);
  if (type == "ReduceLogSumExp") return log_sum_exp(model, node, x, axes, keep);
  Value terms = x;
  if (type == "ReduceL1") {
    CONVOPT_TRY(terms, activate(model, node, x, {ActivationKind::abs}));
  } else if (type == "ReduceL2" || type == "ReduceSumSquare") {
    CONVOPT_TRY(terms, binary(model, node, Op::multiply, x, x));
  }
  CONVOPT_TRY(const auto total, reduced(model, node, Op::reduce_sum, terms, axes, keep));
  if (type == "ReduceL2") return activate(model, node, total, {ActivationKind::pow, 0.5F});
  if (type == "ReduceLogSum") return activate(model, node, total, {ActivationKind::log});
  return total;
}

Result<Value> reduce(Import& model, const Node& node) {
  CONVOPT_TRY(const auto x, model.tensor_input(node, 0));
  CONVOPT_TRY(const auto given, model.constant_input(node, 1));
  Integers axes = integers_of(node, "axes", given.get());
  const std::size_t rank = x->dims.size();
  if (axes.empty()) {
    if (rank == 0 || node.integer("noop_with_empty_axes", 0) != 0) return *x;
    axes.resize(rank);
    std::iota(axes.begin(), axes.end(), std::int64_t{0});
  }
  const auto resolved = resolve_axes(axes, rank);
  if (!resolved) return node.error("its axes do not fit " + dims_text(x->dims));
  return reduce_by(model, node, *x, *resolved, node.integer("keepdims", 1) != 0);
}

Result<Value> global_pool(Import& model, const Node& node) {
  CONVOPT_TRY(const auto x, model.tensor_input(node, 0));
  if (x->dims.size() < 3) return node.error("its input has no pixels");
  std::vector<std::size_t> axes(x->dims.size() - 2);
  std::iota(axes.begin(), axes.end(), 2);
  if (node.type() == "GlobalLpPool") {
    const auto p = static_cast<float>(node.integer("p", 2));
    if (p < 1) return node.error("its p must be at least 1");
    CONVOPT_TRY(const auto size, activate(model, node, *x, {ActivationKind::abs}));
    CONVOPT_TRY(const auto powers, activate(model, node, size, {ActivationKind::pow, p}));
    CONVOPT_TRY(const auto total, reduced(model, node, Op::reduce_sum, powers, axes, true));
    return activate(model, node, total, {ActivationKind::pow, 1 / p});
  }
  const bool largest = node.type() == "GlobalMaxPool";
  CONVOPT_TRY(auto result,
              pooled(model, node, *x, axes, true, largest ? PoolKind::max : PoolKind::average));
  if (result) return *std::move(result);
  return reduced(model, node, largest ? Op::reduce_maximum : Op::reduce_mean, *x, axes, true);
}

/// All of an axis in the opposite order.
Result<Value> flipped(Import& model, const Node& node, const Value& x, std::size_t axis) {
  if (x.dims[axis] > kMaxSize) return node.error("its input is too large");
  Integers indices(static_cast<std::size_t>(x.dims[axis]));
  std::iota(indices.rbegin(), indices.rend(), std::int64_t{0});
  return gathered(model, node, x, axis, std::move(indices));
}

/// The dimension as the middle one of three.
Result<TensorId> around_axis(Import& model, const Node& node, const Value& x, std::size_t axis) {
  const TensorShape around = shape_around(x.dims, axis, axis + 1);
  return model.shaped(node.name(), x, {around.n(), around.c(), around.h() * around.w()});
}

Result<Value> arg_extreme(Import& model, const Node& node) {
  CONVOPT_TRY(const auto x, model.tensor_input(node, 0));
  const auto axis = resolve_axis(node.integer("axis", 0), x->dims.size());
  if (!axis) return node.error("it has no such axis");
  const bool last = node.integer("select_last_index", 0) != 0;
  Value source = *x;
  if (last) {
    CONVOPT_TRY(source, flipped(model, node, *x, *axis));
  }
  CONVOPT_TRY(const auto tensor, around_axis(model, node, source, *axis));
  const Op op = node.type() == "ArgMax" ? Op::arg_maximum : Op::arg_minimum;
  CONVOPT_TRY(auto result,
              made(model.graph().add(model.label(node), std::array{tensor},
                                     Workload::along(op, model.graph().shape(tensor), 1)),
                   without(x->dims, {*axis}, node.integer("keepdims", 1) != 0)));
  if (last) {
    CONVOPT_TRY(result, binary(model, node, Op::subtract,
                               number_value(static_cast<float>(x->dims[*axis] - 1)), result));
  }
  result.type = DataType::s64;
  return result;
}

Result<std::vector<Value>> top_k(Import& model, const Node& node) {
  CONVOPT_TRY(const auto x, model.tensor_input(node, 0));
  CONVOPT_TRY(const auto given, model.constant_input(node, 1));
  const auto axis = resolve_axis(node.integer("axis", -1), x->dims.size());
  const Integers count = integers_of(node, "k", given.get());
  const std::int64_t k = count.size() == 1 ? count[0] : node.integer("k", 0);
  if (!axis || k < 0 || k > x->dims[*axis]) return node.error("its axis or number does not fit");
  if (k == 0) {
    Dims dims = x->dims;
    dims[*axis] = 0;
    Value index;
    index.type = DataType::s64;
    index.tensor = x->tensor;
    return std::vector{no_elements(dims, *x), no_elements(dims, index)};
  }
  const bool largest = node.integer("largest", 1) != 0;
  Value source = *x;
  if (!largest) {
    CONVOPT_TRY(source, scale(model, node, *x, -1));
  }
  CONVOPT_TRY(const auto tensor, around_axis(model, node, source, *axis));
  std::vector<Value> results;
  for (const Op op : {Op::top_k, Op::top_k_indices}) {
    Dims dims = x->dims;
    dims[*axis] = k;
    CONVOPT_TRY(auto value, made(model.graph().add(model.label(node), std::array{tensor},
                                                   Workload::top_k(op, model.graph().shape(tensor),
                                                                   1, static_cast<int>(k))),
                                 std::move(dims)));
    value.type = op == Op::top_k ? x->type : DataType::s64;
    results.push_back(std::move(value));
  }
  if (!largest) {
    CONVOPT_TRY(results[0], scale(model, node, results[0], -1));
    results[0].type = x->type;
  }
  return results;
}

Result<Value> cumulative_sum(Import& model, const Node& node) {
  CONVOPT_TRY(const auto x, model.tensor_input(node, 0));
  CONVOPT_TRY(const auto given, model.whole_number_input(node, 1));
  const auto axis = given ? resolve_axis(*given, x->dims.size()) : std::nullopt;
  if (!axis) return node.error("it has no such axis");
  const bool backwards = node.integer("reverse", 0) != 0;
  Value source = *x;
  if (backwards) {
    CONVOPT_TRY(source, flipped(model, node, *x, *axis));
  }
  CONVOPT_TRY(const auto tensor, around_axis(model, node, source, *axis));
  CONVOPT_TRY(
      auto result,
      made(model.graph().add(model.label(node), std::array{tensor},
                             Workload::along(Op::cumulative_sum, model.graph().shape(tensor), 1)),
           x->dims));
  if (node.integer("exclusive", 0) != 0) {
    CONVOPT_TRY(result, binary(model, node, Op::subtract, result, source));
  }
  if (backwards) {
    CONVOPT_TRY(result, flipped(model, node, result, *axis));
  }
  return result;
}

/// 1 at the first largest element, 0 elsewhere.
Result<Value> hardmax(Import& model, const Node& node) {
  CONVOPT_TRY(const auto x, model.tensor_input(node, 0));
  const bool flattens = node.opset() < 13;  // everything from the axis on is one
  const auto axis = resolve_axis(node.integer("axis", flattens ? 1 : -1), x->dims.size());
  if (!axis) return node.error("it has no such axis");
  const TensorShape around = shape_around(x->dims, *axis, flattens ? x->dims.size() : *axis + 1);
  const Dims rows = {around.n(), around.c(), std::int64_t{around.h()} * around.w()};
  CONVOPT_TRY(const auto flat, reshaped_value(model, node, *x, rows));
  CONVOPT_TRY(const auto tensor, around_axis(model, node, flat, 1));
  CONVOPT_TRY(
      const auto index,
      made(model.graph().add(model.label(node), std::array{tensor},
                             Workload::along(Op::arg_maximum, model.graph().shape(tensor), 1)),
           {rows[0], 1, rows[2]}));
  if (rows[1] > kMaxSize) return node.error("its input is too large");
  std::vector<float> count(static_cast<std::size_t>(rows[1]));
  std::iota(count.begin(), count.end(), 0.0F);
  CONVOPT_TRY(auto result,
              binary(model, node, Op::equal, index,
                     constant_value(Constant::of_floats({rows[1], 1}, std::move(count)))));
  result.dims = x->dims;
  return result;
}

Result<Value> log_softmax(Import& model, const Node& node) {
  CONVOPT_TRY(const auto x, model.tensor_input(node, 0));
  const bool flattens = node.opset() < 13;
  const auto axis = resolve_axis(node.integer("axis", flattens ? 1 : -1), x->dims.size());
  if (!axis) return node.error("it has no such axis");
  std::vector<std::size_t> axes;
  for (std::size_t i = *axis; i < (flattens ? x->dims.size() : *axis + 1); ++i) axes.push_back(i);
  CONVOPT_TRY(const auto total, log_sum_exp(model, node, *x, axes, true));
  return binary(model, node, Op::subtract, *x, total);
}

/// x / (sum |x|^p)^(1/p) along an axis.
Result<Value> lp_normalization(Import& model, const Node& node) {
  CONVOPT_TRY(const auto x, model.tensor_input(node, 0));
  const auto axis = resolve_axis(node.integer("axis", -1), x->dims.size());
  const std::int64_t p = node.integer("p", 2);
  if (!axis || (p != 1 && p != 2)) return node.error("its axis or p does not fit");
  Value terms;
  if (p == 1) {
    CONVOPT_TRY(terms, activate(model, node, *x, {ActivationKind::abs}));
  } else {
    CONVOPT_TRY(terms, binary(model, node, Op::multiply, *x, *x));
  }
  CONVOPT_TRY(auto norm, reduced(model, node, Op::reduce_sum, terms, {*axis}, true));
  if (p == 2) {
    CONVOPT_TRY(norm, activate(model, node, norm, {ActivationKind::pow, 0.5F}));
  }
  return binary(model, node, Op::divide, *x, norm);
}

}  // namespace

Result<Value> reduced(Import& model, const Node& node, Op op, const Value& x,
                      const std::vector<std::size_t>& axes, bool keep) {
  CONVOPT_TRY(const Value* source, model.as_tensor(node.name(), x));
  CONVOPT_TRY(source, model.plain(node.name(), *source));
  CONVOPT_TRY(const auto tensor, model.ranked(node.name(), *source));
  std::vector<int> reduced_axes(axes.begin(), axes.end());
  if (axes.empty()) return *source;
  const Workload workload =
      Workload::reduce(op, model.graph().shape(tensor), std::move(reduced_axes));
  CONVOPT_TRY(auto result, made(model.graph().add(model.label(node), std::array{tensor}, workload),
                                without(source->dims, axes, keep)));
  result.type = source->type;
  return result;
}

OperatorTable reduction_operators() {
  static constexpr OperatorHandler kHandlers[] = {
      {"GlobalMaxPool", global_pool},
      {"GlobalAveragePool", global_pool},
      {"GlobalLpPool", global_pool},
      {"ReduceMean", reduce},
      {"ReduceMax", reduce},
      {"ReduceMin", reduce},
      {"ReduceSum", reduce},
      {"ReduceProd", reduce},
      {"ReduceL1", reduce},
      {"ReduceL2", reduce},
      {"ReduceLogSum", reduce},
      {"ReduceLogSumExp", reduce},
      {"ReduceSumSquare", reduce},
      {"ArgMax", arg_extreme, nullptr, true},
      {"ArgMin", arg_extreme, nullptr, true},
      {"TopK", nullptr, top_k, true},
      {"CumSum", cumulative_sum},
      {"Hardmax", hardmax},
      {"LogSoftmax", log_softmax},
      {"LpNormalization", lp_normalization},
  };
  return kHandlers;
}

}  // namespace convopt::onnx_reader
