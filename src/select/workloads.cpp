#include "src/select/workloads.h"

#include <string>
#include <unordered_set>
#include <utility>

#include "core/quantisation.h"
#include "src/select/calibration.h"
#include "src/select/fusion.h"

namespace convopt {

std::vector<Workload> in_types(const Workload& workload, const std::set<DataType>& types) {
  std::vector<Workload> result = {workload};
  if (workload.input_type != DataType::f32 || workload.output_type != DataType::f32 ||
      workload.scaled || !workload.is_image()) {
    return result;
  }
  const bool int8 = workload.op == Op::convert || has_int8_form(workload.op);
  for (const DataType input : types) {
    for (const DataType output : types) {
      if (input == DataType::f32 && output == DataType::f32) continue;
      if (is_quantised(input) || is_quantised(output)) {
        if (!int8 || (keeps_scale(workload.op) && input != output)) continue;
      }
      Workload typed = workload;
      typed.input_type = input;
      typed.output_type = output;
      result.push_back(typed);
      if (typed.op == Op::add && is_quantised(input)) {
        typed.second_type = other_quantised(input);
        result.push_back(typed);
      }
      if (!typed.epilogue.residual || !is_quantised(output)) continue;
      typed.epilogue.residual_type = other_quantised(output);
      result.push_back(std::move(typed));
    }
  }
  return result;
}

std::vector<Workload> network_workloads(const Network& network, const std::set<DataType>& types) {
  std::vector<Workload> result;
  std::unordered_set<std::string> seen;
  const auto add_in_types = [&](const Workload& workload) {
    for (Workload& typed : in_types(workload, types)) {
      typed = timed_as(std::move(typed));
      if (seen.insert(typed.text()).second) result.push_back(std::move(typed));
    }
  };
  const DataFlow flow(network);
  for (std::size_t op = 0; op < network.operators.size(); ++op) {
    if (network.operators[op].kind != OperatorKind::compute) continue;
    const std::vector<FusedWorkload> variants = fusions(network, flow, static_cast<int>(op));
    add_in_types(variants.front().workload);
    add_in_types(variants.back().workload);
  }
  for (const Tensor& tensor : network.tensors) {
    if (!tensor.shape.is_image()) continue;  // one layout, so nothing to convert
    add_in_types(Workload::pointwise(Op::convert, tensor.shape).of_type(tensor.type));
  }
  return result;
}

}  // namespace convopt
