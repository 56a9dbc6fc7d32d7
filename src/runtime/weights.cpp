#include "src/runtime/weights.h"

#include <utility>
#include <vector>

#include "core/files.h"
#include "primitives/reference/reference.h"

namespace convopt {

RandomWeights::RandomWeights(const Network& network, std::uint64_t seed) : seed_(seed) {
  for (const Operator& op : network.operators) {
    if (op.kind == OperatorKind::constant) {
      const TensorId made = op.outputs.front();
      constant_elements_[made] = network.tensors[made].shape.elements();
    }
    if (op.kind != OperatorKind::compute || op.workload.op != Op::add) continue;
    for (const TensorId input : op.inputs) summands_.insert(input);
  }
}

Result<Weights> RandomWeights::weights(const Operator& op) const {
  const Workload& workload = op.workload;
  if (op.kind == OperatorKind::constant) {
    std::vector<float> values(static_cast<std::size_t>(constant_elements_.at(op.outputs.front())));
    reference::fill_random(values.data(), std::ssize(values), hash64(op.name, seed_), 1);
    return Weights{std::move(values), {}};
  }
  if (!workload.has_weights()) {
    return make_error(ErrorCode::internal, "operator '" + op.name + "' has no weights");
  }
  // Every residual sum would double the variance, 2^50 in ResNet-152. At a quarter of the scale a
  // summand adds a sixteenth instead, 2^4 in all.
  constexpr float kSummandScale = 0.25F;
  constexpr float kBiasScale = 0.05F;
  const float scale = summands_.contains(op.outputs.front()) ? kSummandScale : 1.0F;
  std::vector<float> weights(static_cast<std::size_t>(workload.weight_elements()));
  std::vector<float> bias(static_cast<std::size_t>(workload.bias_elements()));
  const std::uint64_t stream = hash64(op.name, seed_);
  reference::fill_weights(workload, weights, stream, scale);
  reference::fill_random(bias.data(), std::ssize(bias), ~stream, kBiasScale);
  return Weights{std::move(weights), std::move(bias)};
}

std::unique_ptr<WeightSource> random_weights(const Network& network, std::uint64_t seed) {
  return std::make_unique<RandomWeights>(network, seed);
}

void GivenWeights::set(std::string operator_name, std::span<const float> weights,
                       std::span<const float> bias) {
  given_[std::move(operator_name)] = {weights, bias};
}

Result<Weights> GivenWeights::weights(const Operator& op) const {
  const auto found = given_.find(op.name);
  if (found == given_.end()) {
    return make_error(ErrorCode::bad_input, "no weights are given for operator '" + op.name + "'");
  }
  return Weights{ParameterArray::borrowed(found->second.weights),
                 ParameterArray::borrowed(found->second.bias)};
}

Result<Weights> NetworkWeights::weights(const Operator& op) const {
  if (op.weights == nullptr) return random_.weights(op);
  return Weights{ParameterArray::borrowed(op.weights->weights.values()),
                 ParameterArray::borrowed(op.weights->bias.values())};
}

std::unique_ptr<WeightSource> network_weights(const Network& network, std::uint64_t seed) {
  return std::make_unique<NetworkWeights>(network, seed);
}

}  // namespace convopt
