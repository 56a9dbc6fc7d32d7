// Operations that read and write elements by indices.
#include <algorithm>
#include <cmath>

#include "primitives/reference/plain.h"

namespace convopt::reference {
namespace {

/// Negative indices count from the end; no index leaves the range.
int element_number(double index, int size) {
  if (std::isnan(index)) return 0;
  return static_cast<int>(std::clamp(index < 0 ? index + size : index, 0.0, size - 1.0));
}

}  // namespace

void gather(const Workload& workload, const Tensor& in, const Tensor& indices, Tensor& result) {
  const auto axis = static_cast<std::size_t>(workload.axis);
  const int size = in.shape[workload.axis];
  const auto more = static_cast<std::size_t>(indices.shape.rank());
  for_each_element(result.shape, [&](const Index& index) {
    Index from = index, at = index;
    if (workload.op == Op::gather) {
      // The dimensions of the indices stand in place of the axis.
      std::copy_n(index.begin() + axis, more, at.begin());
      std::copy(index.begin() + axis + more, index.begin() + result.shape.rank(),
                from.begin() + axis + 1);
    }
    from[axis] = element_number(indices.at(at), size);
    result.at(index) = in.at(from);
  });
}

void scatter(const Workload& workload, const Tensor& in, const Tensor& indices,
             const Tensor& values, Tensor& result) {
  const auto axis = static_cast<std::size_t>(workload.axis);
  const bool by_slices = indices.shape.rank() != in.shape.rank();
  result.values = in.values;
  for_each_element(values.shape, [&](const Index& index) {
    Index to = index;
    const double number = by_slices ? indices.at({index[axis]}) : indices.at(index);
    to[axis] = element_number(number, in.shape[workload.axis]);
    double& place = result.at(to);
    const double value = values.at(index);
    switch (workload.op) {
      case Op::scatter_add:
        place += value;
        break;
      case Op::scatter_multiply:
        place *= value;
        break;
      case Op::scatter_maximum:
        place = place > value || std::isnan(place) ? place : value;
        break;
      case Op::scatter_minimum:
        place = place < value || std::isnan(place) ? place : value;
        break;
      default:
        place = value;
    }
  });
}

void resample(const Workload& workload, const Parameters& parameters, const Tensor& in,
              Tensor& result) {
  const auto axis = static_cast<std::size_t>(workload.axis);
  const float* const elements = parameters.weights.as<float>();
  const float* const factors = elements + std::int64_t{workload.count} * workload.window;
  for_each_element(result.shape, [&](const Index& index) {
    Index from = index;
    double sum = 0;
    for (int k = 0; k < workload.window; ++k) {
      const std::int64_t number = std::int64_t{index[axis]} * workload.window + k;
      from[axis] = element_number(elements[number], in.shape[workload.axis]);
      sum += factors[number] * in.at(from);
    }
    result.at(index) = sum;
  });
}

}  // namespace convopt::reference
