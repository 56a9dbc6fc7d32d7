// Operations whose results are made of all elements along some dimensions, and products of
// matrices.
#include <algorithm>
#include <cmath>

#include "core/ops/fields.h"

namespace convopt::ops {
namespace {

constexpr OpField kAxes = list<&Workload::axes>("axes", Form::digits);
constexpr OpField kReducePlain[] = {kSizes, kAxes};
constexpr OpField kTopPlain[] = {kSizes, kAxis, of_workload<&Workload::count>("count")};
constexpr OpField kResamplePlain[] = {kSizes, kAxis, of_workload<&Workload::count>("count"),
                                      of_workload<&Workload::window>("k")};

bool has_axes(const Workload& w) {
  return !w.axes.empty() && std::ranges::is_sorted(w.axes, std::less_equal<>()) &&
         w.axes.front() >= 0 && w.axes.back() < w.first.rank();
}

TensorShape reduced(const Workload& w) {
  TensorShape result = w.first;
  for (const int axis : w.axes) result[axis] = 1;
  return result;
}

double reduced_elements(const Workload& w) {
  double count = 1;
  for (const int axis : w.axes) count *= w.first[axis];
  return count;
}

TensorShape one_of_axis(const Workload& w) {
  TensorShape result = w.first;
  result[w.axis] = 1;
  return result;
}

TensorShape some_of_axis(const Workload& w) {
  TensorShape result = w.first;
  result[w.axis] = w.count;
  return result;
}

constexpr OpDescriptor reduction(std::string_view name) {
  return plain_operation(name, kReducePlain, reduced, has_axes, reduced_elements);
}

constexpr OpDescriptor search(std::string_view name) {
  OpDescriptor result = plain_operation(name, kAxisPlain, one_of_axis, has_axis, along_axis);
  result.reduction_length = fixed<1>;
  return result;
}

bool has_top(const Workload& w) {
  return has_axis(w) && w.count >= 1 && w.count <= w.first[w.axis];
}

constexpr OpDescriptor top(std::string_view name) {
  OpDescriptor result = plain_operation(name, kTopPlain, some_of_axis, has_top, fixed<1>);
  // Every element is compared with those that are kept in order.
  result.arithmetic = [](const Workload& w) {
    return w.first[w.axis] * (1 + std::log2(double(w.count))) / w.count;
  };
  return result;
}

constexpr OpField kMatmulPlain[] = {kSizes, second_sizes("by"),
                                    of_workload<&Workload::transposed>("t", Form::number, 0)};

int last(const TensorShape& shape, int from_end) { return shape[shape.rank() - from_end]; }
int inner_of_second(const Workload& w) { return last(w.second, w.transposed == 1 ? 1 : 2); }

/// Sizes in front of the matrices are equal, or 1 in either source, which is repeated then.
bool are_matrices(const Workload& w) {
  const int rank = w.first.rank();
  if (rank < 2 || w.second.rank() != rank || w.transposed < 0 || w.transposed > 1) return false;
  for (int d = 0; d < rank - 2; ++d) {
    if (w.first[d] != w.second[d] && w.first[d] != 1 && w.second[d] != 1) return false;
  }
  return last(w.first, 1) == inner_of_second(w);
}

TensorShape product_shape(const Workload& w) {
  TensorShape result = w.first;
  const int rank = result.rank();
  for (int d = 0; d < rank - 2; ++d) result[d] = std::max(w.first[d], w.second[d]);
  result[rank - 1] = last(w.second, w.transposed == 1 ? 2 : 1);
  return result;
}

}  // namespace

constinit const OpDescriptor kReduceSum = reduction("reduce_sum");
constinit const OpDescriptor kReduceMean = reduction("reduce_mean");
constinit const OpDescriptor kReduceMaximum = reduction("reduce_maximum");
constinit const OpDescriptor kReduceMinimum = reduction("reduce_minimum");
constinit const OpDescriptor kReduceProduct = reduction("reduce_product");
constinit const OpDescriptor kArgMaximum = search("arg_maximum");
constinit const OpDescriptor kArgMinimum = search("arg_minimum");
constinit const OpDescriptor kTopK = top("top_k");
constinit const OpDescriptor kTopKIndices = top("top_k_indices");
constinit const OpDescriptor kCumulativeSum =
    plain_operation("cumulative_sum", kAxisPlain, same_shape, has_axis, along_axis);
constinit const OpDescriptor kMatmul = {
    .name = "matmul",
    .image_fields = {},
    .plain_fields = kMatmulPlain,
    .json_fields = {},
    .constants = {},
    .json_name = {},
    .json_mode = {},
    .sources = 2,
    .output = product_shape,
    .valid = are_matrices,
    .reduction_length = [](const Workload& w) { return double(last(w.first, 1)); },
    .arithmetic = fixed<0>};
constinit const OpDescriptor kResample = plain_operation(
    "resample", kResamplePlain, some_of_axis,
    [](const Workload& w) {
      return has_axis(w) && w.count >= 1 && w.count <= kMaxDimension && w.window >= 1 &&
             w.window <= kMaxPadding;
    },
    [](const Workload& w) { return double(w.window); });

}  // namespace convopt::ops
