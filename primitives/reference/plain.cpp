// Operations element by element, moves and normalisations on tensors of any rank.
#include "primitives/reference/plain.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "primitives/reference/combine.h"

namespace convopt::reference {
namespace {

void select(const Tensor& condition, const Tensor& a, const Tensor& b, Tensor& result) {
  for (std::size_t i = 0; i < result.values.size(); ++i) {
    result.values[i] = condition.values[i] != 0 ? a.values[i] : b.values[i];
  }
}

void slice(const Workload& workload, const Tensor& in, Tensor& result) {
  const auto axis = static_cast<std::size_t>(workload.axis);
  for_each_element(result.shape, [&](const Index& index) {
    Index from = index;
    from[axis] = workload.begin + index[axis] * workload.step;
    result.at(index) = in.at(from);
  });
}

void concat(const Workload& workload, std::span<const Tensor> sources, Tensor& result) {
  const auto axis = static_cast<std::size_t>(workload.axis);
  int first = 0;
  for (const Tensor& source : sources) {
    for_each_element(source.shape, [&](const Index& index) {
      Index to = index;
      to[axis] += first;
      result.at(to) = source.at(index);
    });
    first += source.shape[workload.axis];
  }
}

void transpose(const Workload& workload, const Tensor& in, Tensor& result) {
  for_each_element(result.shape, [&](const Index& index) {
    Index from{};
    for (std::size_t d = 0; d < workload.order.size(); ++d) {
      from[static_cast<std::size_t>(workload.order[d])] = index[d];
    }
    result.at(index) = in.at(from);
  });
}

void softmax(const Workload& workload, const Tensor& in, Tensor& result) {
  const auto axis = static_cast<std::size_t>(workload.axis);
  TensorShape starts = in.shape;
  starts[workload.axis] = 1;
  for_each_element(starts, [&](Index index) {
    const int count = in.shape[workload.axis];
    double maximum = -std::numeric_limits<double>::infinity(), sum = 0;
    for (index[axis] = 0; index[axis] < count; ++index[axis]) {
      maximum = std::max(maximum, in.at(index));
    }
    for (index[axis] = 0; index[axis] < count; ++index[axis]) {
      sum += result.at(index) = std::exp(in.at(index) - maximum);
    }
    for (index[axis] = 0; index[axis] < count; ++index[axis]) result.at(index) /= sum;
  });
}

}  // namespace

void compute_plain(const Workload& workload, const Parameters& parameters,
                   std::span<const Tensor> sources, Tensor& result) {
  switch (workload.op) {
    case Op::convert:
    case Op::activation:
      result.values = sources[0].values;
      break;
    case Op::select:
      select(sources[0], sources[1], sources[2], result);
      break;
    case Op::expand:
      for_each_element(result.shape,
                       [&](const Index& index) { result.at(index) = sources[0].at(index); });
      break;
    case Op::slice:
      slice(workload, sources[0], result);
      break;
    case Op::concat:
      concat(workload, sources, result);
      break;
    case Op::transpose:
      transpose(workload, sources[0], result);
      break;
    case Op::softmax:
      softmax(workload, sources[0], result);
      break;
    case Op::reduce_sum:
    case Op::reduce_mean:
    case Op::reduce_maximum:
    case Op::reduce_minimum:
    case Op::reduce_product:
      reduce(workload, sources[0], result);
      break;
    case Op::arg_maximum:
    case Op::arg_minimum:
    case Op::top_k:
    case Op::top_k_indices:
      order(workload, sources[0], result);
      break;
    case Op::cumulative_sum:
      cumulate(workload, sources[0], result);
      break;
    case Op::gather:
    case Op::gather_elements:
      gather(workload, sources[0], sources[1], result);
      break;
    case Op::scatter:
    case Op::scatter_add:
    case Op::scatter_multiply:
    case Op::scatter_maximum:
    case Op::scatter_minimum:
      scatter(workload, sources[0], sources[1], sources[2], result);
      break;
    case Op::grid_sample:
      grid_sample(workload, sources[0], sources[1], result);
      break;
    case Op::roi_average:
    case Op::roi_maximum:
      roi(workload, sources[0], sources[1], sources[2], result);
      break;
    case Op::matmul:
      matmul(workload, sources[0], sources[1], result);
      break;
    case Op::lstm:
    case Op::gru:
      recur(workload, parameters, sources, result);
      break;
    case Op::resample:
      resample(workload, parameters, sources[0], result);
      break;
    default:  // of two tensors
      for_each_element(result.shape, [&](const Index& index) {
        result.at(index) = combine(workload.op, sources[0].at(index), sources[1].at(index));
      });
  }
}

}  // namespace convopt::reference
