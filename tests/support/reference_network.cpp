#include "tests/support/reference_network.h"

#include "primitives/reference/reference.h"

namespace convopt::testing {

Tensors reference_outputs(const Network& network, const WeightSource& weights,
                          const Tensors& inputs) {
  Tensors values(network.tensors.size());
  for (std::size_t i = 0; i < inputs.size(); ++i) values[network.inputs[i]] = inputs[i];
  const auto view = [&](TensorId id) {
    return TensorView::dense(values[id].data(), network.tensors[id].shape, Layout::nchw);
  };
  for (const Operator& op : network.operators) {
    const TensorId result = op.outputs[0];
    if (op.kind == OperatorKind::reshape) {
      values[result] = values[op.inputs[0]];
      continue;
    }
    if (op.kind == OperatorKind::constant) {
      const Weights known = *weights.weights(op);
      values[result].assign(known.weights.values().begin(), known.weights.values().end());
      continue;
    }
    values[result].resize(static_cast<std::size_t>(network.tensors[result].shape.elements()));
    Weights parameters;
    if (op.workload.has_weights()) parameters = *weights.weights(op);
    std::vector<TensorView> sources;
    for (const TensorId input : op.inputs) sources.push_back(view(input));
    // All numbers are floats here, whatever the types at the network's border.
    reference::run(op.workload.of_type(DataType::f32), parameters.parameters(),
                   {sources, view(result), {}, nullptr});
  }
  Tensors outputs;
  for (const TensorId id : network.outputs) outputs.push_back(values[id]);
  return outputs;
}

}  // namespace convopt::testing
