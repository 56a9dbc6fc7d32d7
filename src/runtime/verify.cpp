#include "src/runtime/verify.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <new>
#include <optional>
#include <utility>

#include "core/activation.h"
#include "core/quantisation.h"
#include "core/try.h"
#include "primitives/reference/reference.h"
#include "src/runtime/buffers.h"

namespace convopt {
namespace {

std::size_t tensor_bytes(const Tensor& tensor) {
  return static_cast<std::size_t>(tensor.shape.elements()) * element_bytes(tensor.type);
}

/// NaN is itself here.
bool same_values(const std::vector<float>& a, const std::vector<float>& b) {
  return std::ranges::equal(
      a, b, [](float x, float y) { return x == y || (std::isnan(x) && std::isnan(y)); });
}

/// Keeps every tensor as the plan computed it, in nchw.
class Verifier final : public Observer {
 public:
  Verifier(const Executor& executor, const Network& network, const WeightSource& weights)
      : executor_(executor),
        network_(network),
        weights_(weights),
        made_(network.tensors.size()),
        root_(network.tensors.size()),
        producer_(network.tensors.size(), -1) {
    for (TensorId id = 0; id < std::ssize(root_); ++id) root_[id] = id;
    for (int i = 0; i < std::ssize(network.operators); ++i) {
      const Operator& op = network.operators[i];
      if (op.kind == OperatorKind::reshape) root_[op.outputs[0]] = root_[op.inputs[0]];
      if (op.kind == OperatorKind::constant ||
          (op.kind == OperatorKind::compute && op.workload.op == Op::concat)) {
        producer_[op.outputs[0]] = i;
      }
    }
  }

  /// An input of the network.
  void keep_input(TensorId tensor, std::vector<float> values) {
    keep(tensor, network_.tensors[tensor].type, std::move(values));
  }

  void after_step(std::size_t index, const TensorView& destination) noexcept override {
    if (error_) return;
    try {
      check(index, destination);
    } catch (const std::bad_alloc&) {
      error_ = make_error(ErrorCode::environment, "there is not enough memory to verify");
    }
  }

  void check(std::size_t index, const TensorView& destination) {
    const ScheduleStep& step = executor_.steps()[index];
    const Value& written = executor_.values()[step.destination];
    const TensorId tensor = written.tensor;
    const bool quantises =
        is_quantised(written.format.type) && network_.tensors[tensor].type == DataType::f32;
    std::vector<float> expected;
    if (step.is_conversion()) {
      expected = made(tensor, step.workload.input_type);
    } else {
      auto computed = compute(step);
      if (!computed) {
        error_ = computed.error();
        return;
      }
      expected = std::move(*computed);
    }
    if (quantises) to_steps(expected, written);
    const TensorShape& shape = destination.shape;
    const Activation& activation = step.workload.epilogue.activation;
    TensorCheck check{step.name, std::string(step.primitive->name()),
                      reference::max_relative_error(
                          destination, TensorView::dense(expected.data(), shape, Layout::nchw),
                          most_steps(activation) * double{activation.alpha}),
                      error_bound(step.workload, step.primitive->info().traits),
                      reference::tail_is_zero(destination)};
    // Rarely needed, and a few times as long as the computation itself. What is quantised is summed
    // exactly, and its error is relative to the end of the range.
    if (!quantises && std::isfinite(check.error) && check.error > check.bound) {
      auto condition = condition_of(step, view(expected, tensor));
      if (!condition) {
        error_ = condition.error();
        return;
      }
      check.bound = error_bound(step.workload, step.primitive->info().traits, *condition);
    }
    result_.checks.push_back(std::move(check));
    if (step.is_conversion() && step.workload.input_type == step.workload.output_type) return;
    std::vector<float> made(static_cast<std::size_t>(shape.elements()));
    reference::run(
        Workload::pointwise(Op::convert, shape), {},
        {{&destination, 1}, TensorView::dense(made.data(), shape, Layout::nchw), {}, nullptr});
    if (quantises) {
      const auto zero = static_cast<float>(written.zero_point);
      for (float& value : made) value = written.scale * (value - zero);
    }
    keep(tensor, destination.type, std::move(made));
  }

  Result<Verification> finish(const Buffers& outputs) && {
    if (error_) return *error_;
    const std::vector<Tensor> named = network_.named_outputs();
    for (std::size_t i = 0; i < network_.outputs.size(); ++i) {
      const TensorId tensor = network_.outputs[i];
      const DataType type = network_.tensors[tensor].type;
      const bool same = same_values(outputs.values(i), made(tensor, type));
      result_.checks.push_back({named[i].name, {}, same ? 0.0 : 1.0, 0.0, true});
    }
    CONVOPT_CHECK(compare_outputs(outputs, named));
    return std::move(result_);
  }

 private:
  /// Numbers in steps of the quantised value, within its limits.
  static void to_steps(std::vector<float>& numbers, const Value& value) {
    const float least = smallest_number(value.format.type);
    const float most = largest_number(value.format.type);
    const auto zero = static_cast<float>(value.zero_point);
    for (float& number : numbers) number = std::clamp(number / value.scale + zero, least, most);
  }

  /// What rounding makes of the step's sums, with these numbers.
  Result<double> condition_of(const ScheduleStep& step, const TensorView& expected) {
    if (step.operators.empty()) return 0.0;
    const Operator& op = network_.operators[step.operators.front()];
    Weights weights;
    if (step.workload.has_weights()) {
      CONVOPT_TRY(weights, weights_of(network_.operators[step.weighted_operator()], step));
    }
    std::vector<TensorView> sources;
    for (std::size_t i = 0; i < op.inputs.size(); ++i) {
      const TensorId input = op.inputs[i];
      const DataType type = type_of(input, step.workload.source_type(static_cast<int>(i)));
      sources.push_back(view(made(input, type), input));
    }
    Workload workload = step.workload.of_type(DataType::f32);
    workload.input_type = step.workload.input_type;
    return reference::condition(workload, weights.parameters(), sources, expected);
  }

  void keep(TensorId tensor, DataType type, std::vector<float> values) {
    made_[root_[tensor]][type] = std::move(values);
  }

  /// The type in which a step reads or writes the tensor: the step's, where the plan may choose.
  DataType type_of(TensorId tensor, DataType of_step) const {
    const DataType own = network_.tensors[tensor].type;
    return own == DataType::f32 ? of_step : own;
  }

  /// Of one of the step's operators, as the step's primitive keeps them.
  Result<Weights> weights_of(const Operator& op, const ScheduleStep& step) const {
    CONVOPT_TRY(Weights weights, weights_.weights(op));
    const DataType type = step.primitive->info().traits.weight_type;
    if (type == DataType::f32) return weights;
    std::vector<float> rounded(weights.weights.values().begin(), weights.weights.values().end());
    round_weights(rounded, op.workload.shape.oc, type);
    weights.weights = std::move(rounded);
    return weights;
  }

  /// Computes the network from its inputs to its outputs by definition.
  Result<void> compare_outputs(const Buffers& outputs, const std::vector<Tensor>& named) {
    std::vector<std::vector<float>> exact(network_.tensors.size());
    for (const TensorId input : network_.inputs) {
      exact[input] = made(input, network_.tensors[input].type);
    }
    for (const Operator& op : network_.operators) {
      std::vector<float>& result = exact[op.outputs[0]];
      if (op.kind == OperatorKind::reshape) {
        result = exact[op.inputs[0]];
        continue;
      }
      Weights weights;
      if (op.kind == OperatorKind::constant || op.workload.has_weights()) {
        CONVOPT_TRY(weights, weights_.weights(op));
      }
      if (op.kind == OperatorKind::constant) {
        result.assign(weights.weights.values().begin(), weights.weights.values().end());
        continue;
      }
      std::vector<TensorView> sources;
      for (const TensorId input : op.inputs) sources.push_back(view(exact[input], input));
      result.resize(static_cast<std::size_t>(network_.tensors[op.outputs[0]].shape.elements()));
      reference::run(op.workload.of_type(DataType::f32), weights.parameters(),
                     {sources, view(result, op.outputs[0]), {}, nullptr});
    }
    for (std::size_t i = 0; i < network_.outputs.size(); ++i) {
      result_.output_errors.push_back(
          {named[i].name, difference(outputs.values(i), exact[network_.outputs[i]])});
    }
    return {};
  }

  TensorView view(std::vector<float>& values, TensorId tensor) const {
    return TensorView::dense(values.data(), network_.tensors[tensor].shape, Layout::nchw);
  }

  /// The tensor as the plan computed it, in that type. A concatenation in place is no step: it is
  /// what its parts were when they were written.
  std::vector<float>& made(TensorId tensor, DataType type) {
    std::vector<float>& values = made_[root_[tensor]][type];
    const int index = producer_[root_[tensor]];
    if (!values.empty() || index < 0) return values;
    const Operator& op = network_.operators[index];
    if (op.kind == OperatorKind::constant) {
      if (const auto loaded = weights_.weights(op)) {
        values.assign(loaded->weights.values().begin(), loaded->weights.values().end());
      }
      return values;
    }
    std::vector<TensorView> parts;
    for (const TensorId part : op.inputs) parts.push_back(view(made(part, type), part));
    values.resize(static_cast<std::size_t>(network_.tensors[op.outputs[0]].shape.elements()));
    reference::run(op.workload, {}, {parts, view(values, op.outputs[0]), {}, nullptr});
    return values;
  }

  /// The step's operators one after the other, each by its definition.
  Result<std::vector<float>> compute(const ScheduleStep& step) {
    std::vector<float> current;
    TensorId current_id = kNone;
    for (const int index : step.operators) {
      const Operator& op = network_.operators[index];
      Weights weights;
      if (op.workload.has_weights()) {
        CONVOPT_TRY(weights, weights_of(op, step));
      }
      const bool is_first = current_id == kNone;
      const DataType planned = is_first               ? step.workload.input_type
                               : op.inputs.size() > 1 ? step.workload.residual_type()
                                                      : step.workload.output_type;
      std::vector<TensorView> sources;
      for (std::size_t i = 0; i < op.inputs.size(); ++i) {
        const TensorId input = op.inputs[i];
        const DataType type = is_first ? step.workload.source_type(static_cast<int>(i)) : planned;
        sources.push_back(
            view(input == current_id ? current : made(input, type_of(input, type)), input));
      }
      std::vector<float> next(
          static_cast<std::size_t>(network_.tensors[op.outputs[0]].shape.elements()));
      // Here, all numbers are floats. What the type of a source still says is that of weights.
      Workload workload = op.workload.of_type(DataType::f32);
      if (is_first) workload.input_type = step.workload.input_type;
      reference::run(workload, weights.parameters(),
                     {sources, view(next, op.outputs[0]), {}, nullptr});
      current = std::move(next);
      current_id = op.outputs[0];
    }
    return current;
  }

  const Executor& executor_;
  const Network& network_;
  const WeightSource& weights_;
  std::vector<std::map<DataType, std::vector<float>>> made_;  ///< by type
  std::vector<TensorId> root_;  ///< what a reshaped tensor is a view of
  std::vector<int> producer_;   ///< per tensor, the concatenation that makes it, or -1
  std::optional<Error> error_;
  Verification result_;
};

}  // namespace

double Verification::max_error() const {
  double result = 0;
  for (const TensorCheck& check : checks) result = std::max(result, check.error);
  return result;
}

const TensorCheck* Verification::first_failure() const {
  const auto failed = std::ranges::find_if(checks, [](const auto& check) { return !check.ok(); });
  return failed == checks.end() ? nullptr : &*failed;
}

Result<Verification> verify(Executor& executor, const Network& network, const WeightSource& weights,
                            Executor::Inputs inputs) {
  Verifier verifier(executor, network, weights);
  for (std::size_t i = 0; i < std::min(inputs.size(), network.inputs.size()); ++i) {
    const TensorId id = network.inputs[i];
    if (inputs[i].size() == tensor_bytes(network.tensors[id])) {
      verifier.keep_input(id, floats_of(inputs[i], network.tensors[id]));
    }
  }
  Buffers outputs(network, network.outputs);
  if (auto ran = executor.run(inputs, outputs.outputs(), &verifier); !ran) return ran.error();
  return std::move(verifier).finish(outputs);
}

}  // namespace convopt
