#include "src/tune/layer_errors.h"

#include <algorithm>
#include <memory>
#include <utility>

#include "core/quantisation.h"
#include "core/try.h"
#include "src/runtime/executor.h"
#include "src/select/select.h"
#include "src/tune/sensitivity.h"

namespace convopt {

Result<std::vector<LayerError>> layer_errors(const Problem& problem, int op,
                                             const Platform& platform, const WeightSource& weights,
                                             std::span<const Buffers> samples,
                                             std::chrono::duration<double> time_limit) {
  const Network& network = *problem.network;
  const Operator& layer = network.operators[op];
  CONVOPT_TRY(const Solution own, solve_in_own_types(problem, time_limit));
  CONVOPT_TRY(const auto executor, Executor::create(network, make_plan(problem, own, platform),
                                                    *problem.registry, weights));
  std::vector<std::vector<std::vector<float>>> exact;
  for (const Buffers& sample : samples) {
    CONVOPT_TRY(auto outputs, outputs_of(*executor, network, sample));
    exact.push_back(std::move(outputs));
  }
  // What the plan stores of the layer: its result, or that of what is computed with it.
  TensorId stored = layer.outputs.front();
  for (const ScheduleStep& step : executor->steps()) {
    if (std::ranges::find(step.operators, op) != step.operators.end())
      stored = executor->values()[step.destination].tensor;
  }
  std::vector<LayerError> result;
  for (const DataType type : problem.types) {
    if (type == DataType::f32 || type == DataType::u8) continue;
    RoundedPlaces places{std::vector<char>(network.tensors.size(), 0),
                         std::vector<char>(network.operators.size(), 0), type, problem.scales};
    places.operators[op] = 1;
    const auto mark = [&](TensorId t) {
      if (!is_quantised(type) || is_quantised(problem.scales[t].type)) places.tensors[t] = 1;
    };
    for (const TensorId t : layer.inputs) mark(t);
    mark(stored);
    // Of a source that is a view, or is concatenated in place, what it consists of is written.
    for (auto other = network.operators.rbegin(); other != network.operators.rend(); ++other) {
      const bool consists =
          other->kind == OperatorKind::reshape || other->workload.op == Op::concat;
      if (!consists || places.tensors[other->outputs.front()] == 0) continue;
      for (const TensorId t : other->inputs) mark(t);
    }
    CONVOPT_TRY(const Sensitivities measured,
                measure_sensitivities(*executor, network, *problem.registry, weights, samples,
                                      exact, places));
    LayerError& error = result.emplace_back();
    error.type = type;
    error.weights = measured.operators[op];
    for (const TensorId t : layer.inputs) error.sources = worse(error.sources, measured.tensors[t]);
    error.result = measured.tensors[stored];
  }
  return result;
}

}  // namespace convopt
