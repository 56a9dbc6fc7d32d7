// Reductions, orders and running sums.
#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <vector>

#include "primitives/reference/combine.h"
#include "primitives/reference/plain.h"

namespace convopt::reference {
namespace {

/// Calls `body(index)` for the first element along the axis, wherever the other dimensions are.
template <class Body>
void for_each_start(const TensorShape& shape, int axis, const Body& body) {
  TensorShape starts = shape;
  starts[axis] = 1;
  for_each_element(starts, body);
}

double start_of(Op op) {
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  switch (op) {
    case Op::reduce_product:
      return 1;
    case Op::reduce_maximum:
      return -kInfinity;
    case Op::reduce_minimum:
      return kInfinity;
    default:
      return 0;
  }
}

double put_together(Op op, double a, double b) {
  switch (op) {
    case Op::reduce_product:
      return a * b;
    case Op::reduce_maximum:
      return combine(Op::maximum, a, b);
    case Op::reduce_minimum:
      return combine(Op::minimum, a, b);
    default:
      return a + b;
  }
}

}  // namespace

void reduce(const Workload& workload, const Tensor& in, Tensor& result) {
  std::ranges::fill(result.values, start_of(workload.op));
  for_each_element(in.shape, [&](const Index& index) {
    double& value = result.at(index);
    value = put_together(workload.op, value, in.at(index));
  });
  if (workload.op != Op::reduce_mean) return;
  const auto length = static_cast<double>(in.values.size() / result.values.size());
  for (double& value : result.values) value /= length;
}

void order(const Workload& workload, const Tensor& in, Tensor& result) {
  const auto axis = static_cast<std::size_t>(workload.axis);
  const bool is_search = workload.op == Op::arg_maximum || workload.op == Op::arg_minimum;
  const double sign = workload.op == Op::arg_minimum ? -1 : 1;
  std::vector<int> places(static_cast<std::size_t>(in.shape[workload.axis]));
  for_each_start(in.shape, workload.axis, [&](Index index) {
    const auto value = [&](int place) {
      index[axis] = place;
      return in.at(index);
    };
    std::iota(places.begin(), places.end(), 0);
    std::ranges::stable_sort(places, [&](int a, int b) {
      const double first = value(a), second = value(b);
      if (std::isnan(first) || std::isnan(second)) {
        return is_search ? std::isnan(first) && !std::isnan(second)
                         : std::isnan(second) && !std::isnan(first);
      }
      return sign * first > sign * second;
    });
    Index to = index;
    for (int i = 0; i < result.shape[workload.axis]; ++i) {
      const int place = places[static_cast<std::size_t>(i)];
      to[axis] = i;
      result.at(to) = workload.op == Op::top_k ? value(place) : place;
    }
  });
}

void cumulate(const Workload& workload, const Tensor& in, Tensor& result) {
  const auto axis = static_cast<std::size_t>(workload.axis);
  for_each_start(in.shape, workload.axis, [&](Index index) {
    double sum = 0;
    for (; index[axis] < in.shape[workload.axis]; ++index[axis]) {
      result.at(index) = sum += in.at(index);
    }
  });
}

}  // namespace convopt::reference
