#include "src/select/fusion.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <optional>

#include "core/scaled_convolution.h"

namespace convopt {

DataFlow::DataFlow(const Network& network)
    : producer(network.tensors.size(), -1),
      consumers(network.tensors.size()),
      is_output(network.tensors.size(), 0) {
  for (std::size_t op = 0; op < network.operators.size(); ++op) {
    for (const TensorId t : network.operators[op].outputs) producer[t] = static_cast<int>(op);
    for (const TensorId t : network.operators[op].inputs) {
      consumers[t].push_back(static_cast<int>(op));
    }
  }
  for (const TensorId t : network.outputs) is_output[t] = 1;
}

int DataFlow::only_consumer(TensorId tensor) const {
  return consumers[tensor].size() == 1 && !is_output[tensor] ? consumers[tensor][0] : -1;
}

namespace {

/// Functions whose value jumps: rounding in what they are fused to would show as a whole step.
bool jumps(ActivationKind kind) {
  constexpr std::array kJumping = {ActivationKind::sign,     ActivationKind::floor,
                                   ActivationKind::ceil,     ActivationKind::round,
                                   ActivationKind::truncate, ActivationKind::is_zero,
                                   ActivationKind::is_nan,   ActivationKind::thresholded_relu,
                                   ActivationKind::shrink};
  return std::ranges::find(kJumping, kind) != kJumping.end();
}

/// Whether a small error in that source may be a large one in the result.
bool wants_exact(const Workload& workload, int source) {
  switch (workload.op) {
    case Op::gather:
    case Op::gather_elements:
    case Op::scatter:
    case Op::scatter_add:
    case Op::scatter_multiply:
    case Op::scatter_maximum:
    case Op::scatter_minimum:
    case Op::grid_sample:
      return source == 1;
    case Op::roi_average:
    case Op::roi_maximum:
      return source > 0;
    case Op::select:
      return source == 0;
    case Op::modulo:
    case Op::remainder:
    case Op::equal:
    case Op::less:
    case Op::less_or_equal:
    case Op::arg_maximum:
    case Op::arg_minimum:
    case Op::top_k:
    case Op::top_k_indices:
      return true;
    default:
      return workload.op == Op::activation && jumps(workload.epilogue.activation.kind);
  }
}

/// Operations that make new numbers of many.
bool blends(Op op) {
  constexpr std::array kBlending = {Op::conv,     Op::fully_connected,  Op::matmul,
                                    Op::max_pool, Op::avg_pool_include, Op::avg_pool_exclude};
  return std::ranges::find(kBlending, op) != kBlending.end();
}

}  // namespace

std::vector<char> exact_tensors(const Network& network) {
  std::vector<char> result(network.tensors.size(), 0);
  for (int op = static_cast<int>(network.operators.size()) - 1; op >= 0; --op) {
    const Operator& reader = network.operators[op];
    const bool computes = reader.kind == OperatorKind::compute;
    const bool passes_on =
        !(computes && blends(reader.workload.op)) &&
        std::ranges::any_of(reader.outputs, [&](TensorId t) { return result[t] != 0; });
    for (std::size_t i = 0; i < reader.inputs.size(); ++i) {
      const bool wanted = computes && wants_exact(reader.workload, static_cast<int>(i));
      if (passes_on || wanted) result[reader.inputs[i]] = 1;
    }
  }
  return result;
}

namespace {

/// Every variant of a product with the convolution that reads it, if that can scale its source.
std::vector<FusedWorkload> scaled_convolutions(const Network& network, const DataFlow& flow,
                                               int product) {
  const Operator& head = network.operators[product];
  const int next = flow.only_consumer(head.outputs[0]);
  if (next < 0 || network.operators[next].kind != OperatorKind::compute) return {};
  const std::optional<Workload> scaled =
      scaled_convolution(head.workload, network.operators[next].workload);
  if (!scaled) return {};
  std::vector<FusedWorkload> result;
  for (FusedWorkload& variant : fusions(network, flow, next)) {
    if (std::ssize(variant.absorbed) == kLongestChain) break;
    variant.workload.scaled = true;
    variant.absorbed.insert(variant.absorbed.begin(), next);
    result.push_back(std::move(variant));
  }
  return result;
}

}  // namespace

std::vector<FusedWorkload> fusions(const Network& network, const DataFlow& flow, int op) {
  const Operator& head = network.operators[op];
  std::vector<FusedWorkload> result{{head.workload, {}}};
  const Op kind = head.workload.op;
  // Operations whose store loop can apply an activation.
  constexpr std::array kHeads = {Op::conv,     Op::fully_connected, Op::add,
                                 Op::multiply, Op::subtract,        Op::divide};
  if (std::ranges::find(kHeads, kind) == kHeads.end()) return result;
  // Nothing comes after an activation in an epilogue.
  while (result.back().workload.epilogue.activation.kind == ActivationKind::none &&
         std::ssize(result) <= kLongestChain) {
    const int last = result.back().absorbed.empty() ? op : result.back().absorbed.back();
    if (network.operators[last].outputs.size() != 1) break;
    const int next = flow.only_consumer(network.operators[last].outputs[0]);
    if (next < 0 || network.operators[next].kind != OperatorKind::compute) break;
    const Workload& follower = network.operators[next].workload;
    FusedWorkload longer = result.back();
    longer.absorbed.push_back(next);
    if (follower.op == Op::activation) {
      if (jumps(follower.epilogue.activation.kind)) break;
      longer.workload.epilogue.activation = follower.epilogue.activation;
    } else if (follower.op == Op::add && kind == Op::conv && longer.absorbed.size() == 1 &&
               !follower.repeats() && network.operators[next].inputs.size() == 2) {
      longer.workload.epilogue = follower.epilogue;
      longer.workload.epilogue.residual = true;
    } else {
      break;
    }
    result.push_back(std::move(longer));
  }
  for (FusedWorkload& variant : scaled_convolutions(network, flow, op)) {
    result.push_back(std::move(variant));
  }
  return result;
}

std::vector<int> placements(const Network& network, const DataFlow& flow) {
  std::vector<int> result(network.tensors.size(), -1);
  const auto is_concatenation = [&](int op) {
    return network.operators[op].kind == OperatorKind::compute &&
           network.operators[op].workload.op == Op::concat;
  };
  const auto placeable = [&](TensorId tensor) {
    const int producer = flow.producer[tensor];
    return producer >= 0 && !flow.is_output[tensor] &&
           network.operators[producer].kind == OperatorKind::compute &&
           std::ranges::count_if(flow.consumers[tensor], is_concatenation) == 1;
  };
  for (int op = 0; op < std::ssize(network.operators); ++op) {
    const std::vector<TensorId>& parts = network.operators[op].inputs;
    if (!is_concatenation(op) || !std::ranges::all_of(parts, placeable)) continue;
    for (const TensorId part : parts) result[part] = op;
  }
  return result;
}

bool parts_fit(const Workload& concatenation, Layout layout) {
  int first = 0;
  for (const int channels : concatenation.parts) {
    if (first % channel_block(layout) != 0) return false;
    first += channels;
  }
  return true;
}

}  // namespace convopt
