#include "model/ensemble.h"

#include <utility>

namespace convopt {

Ensemble& Ensemble::add(const Ensemble& other, double weight) {
  offset += weight * other.offset;
  slope += weight * other.slope;
  size += weight * other.size;
  for (const auto& [name, value] : other.own) own[name] += weight * value;
  for (const auto& [share, of_share] : other.costs) costs.push_back({weight * share, of_share});
  for (GaussianProcess process : other.processes) {
    process.scale(weight);
    processes.push_back(std::move(process));
  }
  return *this;
}

double EnsembleReader::log_ns(const EnsembleInput& input) {
  const auto [primitive, new_primitive] = primitives_.try_emplace(input.primitive);
  OfPrimitive& of = primitive->second;
  if (new_primitive) {
    auto own = ensemble_.own.find(input.primitive->name);
    if (own == ensemble_.own.end()) own = ensemble_.own.find(kind_of(*input.primitive));
    if (own != ensemble_.own.end()) of.own = own->second;
    for (const auto& [weight, costs] : ensemble_.costs)
      of.costs.push_back(costs.of(*input.primitive));
    for (const GaussianProcess& process : ensemble_.processes)
      of.factors.push_back(process.of(*input.primitive));
  }
  double result = ensemble_.offset + ensemble_.slope * input.log_ratio +
                  ensemble_.size * input.log_expected + of.own;
  for (std::size_t i = 0; i < of.costs.size(); ++i) {
    result += ensemble_.costs[i].weight * of.costs[i].log_ns(*input.terms);
  }
  if (ensemble_.processes.empty()) return result;
  const auto [workload, new_workload] = kernels_.try_emplace(input.workload);
  if (new_workload) {
    const SizePoint point = size_point(*input.workload);
    for (const GaussianProcess& process : ensemble_.processes)
      workload->second.push_back(process.kernels(point));
  }
  for (std::size_t i = 0; i < ensemble_.processes.size(); ++i) {
    const std::vector<double>& kernels = workload->second[i];
    for (std::size_t j = 0; j < of.factors[i].size(); ++j) {
      result += of.factors[i][j] * kernels[j];
    }
  }
  return result;
}

}  // namespace convopt
