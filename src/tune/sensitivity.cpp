#include "src/tune/sensitivity.h"

#include <algorithm>
#include <string_view>
#include <unordered_map>
#include <utility>

#include "core/conversion.h"
#include "core/quantisation.h"
#include "core/try.h"
#include "primitives/sharing.h"

namespace convopt {
namespace {

/// Rounds values to another type.
class Rounding {
 public:
  Rounding(const RoundedPlaces& places, TensorId tensor) : type_(places.type) {
    if (is_quantised(type_)) scale_ = places.scales[static_cast<std::size_t>(tensor)];
  }
  float operator()(float value) const {
    if (!is_quantised(type_)) return rounded(value, type_);
    const auto zero = static_cast<float>(scale_.zero_point);
    return scale_.scale * (quantised(value / scale_.scale + zero, scale_.type) - zero);
  }

 private:
  DataType type_;
  TensorScale scale_;
};

/// Rounds a tensor of f32 in place. The padding of channel blocks is zero and stays so.
void round_in_place(const TensorView& view, const Rounding& rounding) {
  if (view.is_dense()) {
    const std::int64_t count = padded_elements(view.shape, view.layout);
    for (float& value : std::span(view.as<float>(), static_cast<std::size_t>(count))) {
      value = rounding(value);
    }
    return;
  }
  for (int n = 0; n < view.shape.n(); ++n) {
    for (int c = 0; c < view.shape.c(); ++c) {
      for (int h = 0; h < view.shape.h(); ++h) {
        for (int w = 0; w < view.shape.w(); ++w)
          view.at(n, c, h, w) = rounding(view.at(n, c, h, w));
      }
    }
  }
}

/// Rounds what one step writes.
class RoundingObserver final : public Observer {
 public:
  RoundingObserver(std::size_t step, const Rounding& rounding) : step_(step), rounding_(rounding) {}
  void after_step(std::size_t step, const TensorView& destination) noexcept override {
    if (step == step_) round_in_place(destination, rounding_);
  }

 private:
  std::size_t step_;
  Rounding rounding_;
};

class Measuring {
 public:
  Measuring(Executor& executor, const Network& network, std::span<const Buffers> samples,
            std::span<const std::vector<std::vector<float>>> exact)
      : executor_(executor), network_(network), samples_(samples), exact_(exact) {}

  Result<Difference> with(Observer* observer) {
    return over_samples([&](std::size_t i) -> Result<Difference> {
      return from(samples_[i].inputs(), i, observer);
    });
  }

  Result<Difference> with_rounded_input(std::size_t input, const Rounding& rounding) {
    return over_samples([&](std::size_t i) -> Result<Difference> {
      Buffers copy(network_, network_.inputs);
      for (std::size_t j = 0; j < network_.inputs.size(); ++j) {
        std::vector<float> values = samples_[i].values(j);
        if (j == input) {
          for (float& value : values) value = rounding(value);
        }
        copy.set(j, values);
      }
      return from(copy.inputs(), i, nullptr);
    });
  }

 private:
  template <class One>
  Result<Difference> over_samples(const One& one) {
    Difference worst;
    for (std::size_t i = 0; i < samples_.size(); ++i) {
      CONVOPT_TRY(const Difference mine, one(i));
      worst = worse(worst, mine);
    }
    return worst;
  }

  Result<Difference> from(Executor::Inputs inputs, std::size_t sample, Observer* observer) {
    Buffers outputs(network_, network_.outputs);
    CONVOPT_CHECK(executor_.run(inputs, outputs.outputs(), observer));
    Difference worst;
    for (std::size_t i = 0; i < network_.outputs.size(); ++i) {
      worst = worse(worst, difference(outputs.values(i), exact_[sample][i]));
    }
    return worst;
  }

  Executor& executor_;
  const Network& network_;
  std::span<const Buffers> samples_;
  std::span<const std::vector<std::vector<float>>> exact_;
};

/// Differences of tensors that no step writes by those that some step does: results of operators
/// that are computed together with the next one, reshapes, and concatenations in place.
void fill_gaps(const Network& network, const std::vector<char>& known,
               std::vector<Difference>& tensors) {
  std::vector<char> filled = known;
  const auto take = [&](TensorId to, TensorId from) {
    if (filled[to] != 0 || filled[from] == 0) return;
    tensors[to] = tensors[from];
    filled[to] = 1;
  };
  for (const Operator& op : network.operators) {
    if (op.outputs.empty() || op.inputs.empty()) continue;
    if (op.kind == OperatorKind::reshape) take(op.outputs[0], op.inputs[0]);
    const bool joins = op.kind == OperatorKind::compute && op.workload.op == Op::concat;
    if (!joins || filled[op.outputs[0]] != 0) continue;
    for (const TensorId part : op.inputs) {
      if (filled[part] != 0) tensors[op.outputs[0]] = worse(tensors[op.outputs[0]], tensors[part]);
    }
    filled[op.outputs[0]] = 1;
  }
  for (auto op = network.operators.rbegin(); op != network.operators.rend(); ++op) {
    if (op->outputs.empty()) continue;
    for (const TensorId input : op->inputs) take(input, op->outputs[0]);
  }
}

}  // namespace

std::string name_of_rounding(DataType type) {
  return is_quantised(type) ? "int8" : std::string(to_string(type));
}

RoundedPlaces rounded_places(const Problem& problem, DataType type) {
  const auto is_of = [type](DataType other) {
    return other == type || (is_quantised(type) && is_quantised(other));
  };
  RoundedPlaces places{{}, {}, type, problem.scales};
  for (const std::vector<TensorState>& states : problem.tensors) {
    places.tensors.push_back(std::ranges::any_of(states, [&](const TensorState& state) {
      return state.pending == 0 && is_of(state.produced.type);
    }));
  }
  for (std::size_t op = 0; op < problem.operators.size(); ++op) {
    bool typed = false, rounds_weights = false;
    for (const Option& option : problem.operators[op]) {
      if (option.candidate < 0) continue;
      const Traits& traits = problem.candidates[option.candidate].primitive->info().traits;
      typed |= is_of(option.input.type) || is_of(option.output.type) || is_of(traits.product_type);
      rounds_weights |= is_of(traits.weight_type);
    }
    places.operators.push_back(typed || rounds_weights);
    // What it reads is rounded then, wherever that comes from, unless weights alone are.
    if (!typed) continue;
    for (const TensorId t : problem.network->operators[op].inputs) {
      if (!is_quantised(type) || is_quantised(problem.scales[t].type)) places.tensors[t] = 1;
    }
  }
  return places;
}

bool is_weighted(const Operator& op) {
  return op.kind == OperatorKind::compute && op.workload.has_weights();
}

std::optional<Sensitivities> recorded_sensitivities(const Calibration& calibration,
                                                    const Network& network,
                                                    const RoundedPlaces& places) {
  std::unordered_map<std::string_view, const Sensitivity*> tensors, operators;
  for (const Sensitivity& s : calibration.sensitivities) {
    if (s.type != places.type) continue;
    (s.of == Sensitivity::Of::tensor ? tensors : operators)[s.name] = &s;
  }
  Sensitivities result;
  result.tensors.resize(network.tensors.size());
  result.operators.resize(network.operators.size());
  const auto take = [](const auto& recorded, const std::string& name, Difference& difference) {
    const auto found = recorded.find(name);
    if (found == recorded.end()) return false;
    difference = {found->second->error, found->second->cosine};
    return true;
  };
  for (std::size_t t = 0; t < network.tensors.size(); ++t) {
    if (places.tensors[t] == 0) continue;
    if (!take(tensors, network.tensors[t].name, result.tensors[t])) return std::nullopt;
  }
  for (std::size_t op = 0; op < network.operators.size(); ++op) {
    if (places.operators[op] == 0 || !is_weighted(network.operators[op])) continue;
    if (!take(operators, network.operators[op].name, result.operators[op])) return std::nullopt;
  }
  return result;
}

Result<std::vector<std::vector<float>>> outputs_of(Executor& executor, const Network& network,
                                                   const Buffers& sample) {
  Buffers outputs(network, network.outputs);
  CONVOPT_CHECK(executor.run(sample.inputs(), outputs.outputs()));
  std::vector<std::vector<float>> result;
  for (std::size_t i = 0; i < network.outputs.size(); ++i) result.push_back(outputs.values(i));
  return result;
}

Result<Sensitivities> measure_sensitivities(Executor& executor, const Network& network,
                                            const Registry& registry, const WeightSource& weights,
                                            std::span<const Buffers> samples,
                                            std::span<const std::vector<std::vector<float>>> exact,
                                            const RoundedPlaces& places) {
  Sensitivities result;
  result.tensors.resize(network.tensors.size());
  result.operators.resize(network.operators.size());
  std::vector<char> known(network.tensors.size(), 0);
  Measuring measuring(executor, network, samples, exact);
  for (std::size_t i = 0; i < network.inputs.size(); ++i) {
    const TensorId input = network.inputs[i];
    if (places.tensors[input] == 0) continue;
    CONVOPT_TRY(result.tensors[input], measuring.with_rounded_input(i, {places, input}));
    known[input] = 1;
  }
  for (std::size_t s = 0; s < executor.steps().size(); ++s) {
    const ScheduleStep& step = executor.steps()[s];
    const Value& written = executor.values()[step.destination];
    if (step.is_conversion() || written.format.type != DataType::f32) continue;
    if (places.tensors[written.tensor] != 0) {
      RoundingObserver rounding(s, {places, written.tensor});
      CONVOPT_TRY(result.tensors[written.tensor], measuring.with(&rounding));
      known[written.tensor] = 1;
    }
    const int op = step.weighted_operator();
    if (places.operators[op] == 0 || !step.workload.has_weights()) continue;
    CONVOPT_TRY(Weights parameters, weights.weights(network.operators[op]));
    std::vector<float> values(parameters.weights.values().begin(),
                              parameters.weights.values().end());
    round_weights(values, step.workload.shape.oc, places.type);
    parameters.weights = std::move(values);
    CONVOPT_TRY(
        std::shared_ptr<const Kernel> kernel,
        step.primitive->prepare(step.workload, parameters.parameters(),
                                context_of(*step.primitive, step.workload, registry.context())));
    kernel = executor.exchange_kernel(s, std::move(kernel));
    Result<Difference> measured = measuring.with(nullptr);
    executor.exchange_kernel(s, std::move(kernel));
    CONVOPT_TRY(result.operators[op], std::move(measured));
  }
  fill_gaps(network, known, result.tensors);
  return result;
}

}  // namespace convopt
