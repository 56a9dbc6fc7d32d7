#include "src/select/workloads.h"

#include <string>
#include <unordered_set>

#include "src/select/fusion.h"

namespace convopt {

std::vector<Workload> network_workloads(const Network& network) {
  std::vector<Workload> result;
  std::unordered_set<std::string> seen;
  const auto add = [&](const Workload& workload) {
    if (seen.insert(workload.text()).second) result.push_back(workload);
  };
  const DataFlow flow(network);
  for (std::size_t op = 0; op < network.operators.size(); ++op) {
    if (network.operators[op].kind != OperatorKind::compute) continue;
    const std::vector<FusedWorkload> ways = fusions(network, flow, static_cast<int>(op));
    add(ways.front().workload);
    add(ways.back().workload);
  }
  for (const Tensor& tensor : network.tensors) {
    if (!tensor.shape.is_image()) continue;  // one layout, so nothing to convert
    add(Workload::pointwise(Op::convert, tensor.shape).of_type(tensor.type));
  }
  return result;
}

}  // namespace convopt
