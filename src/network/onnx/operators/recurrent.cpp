// Recurrent layers: LSTM and GRU as operations of their own. Those with peepholes or other
// activations, and RNN, are unrolled: one product with all steps of the input, then step by step
// one with the state.
#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "core/try.h"
#include "src/network/onnx/operators/handlers.h"
#include "src/network/onnx/operators/parts.h"

namespace convopt::onnx_reader {
namespace {

/// Most steps that are unrolled, in all directions of a layer together.
constexpr std::int64_t kMostSteps = 2048;

/// What a recurrent operator is given, in its own order of dimensions: [direction][gate][...].
struct Layer {
  std::int64_t steps = 0, batch = 0, inputs = 0, hidden = 0, directions = 0, gates = 0;
  Value x;                  ///< [step][batch][input]
  ConstantPointer weights;  ///< [direction][gate * hidden][input]
  /// Of the recurrence, by direction and first gate: made once, so that all steps have the same.
  mutable std::map<std::pair<std::int64_t, std::int64_t>, Value> columns;
  ConstantPointer recurrence;  ///< [direction][gate * hidden][hidden]
  ConstantPointer bias;        ///< [direction][2 * gate * hidden], or null
  /// [direction][3 * hidden], or null: how much the gates of an LSTM see of the cell.
  ConstantPointer peepholes;
  std::vector<std::string> activations;
};

/// Rows [first, first + count) of one direction, as a matrix to multiply with from the right.
Constant columns_of(const Constant& matrix, std::int64_t direction, std::int64_t first,
                    std::int64_t count) {
  const std::int64_t rows = matrix.dims[1], width = matrix.dims[2];
  const auto begin = matrix.floats.begin() + (direction * rows + first) * width;
  return transposed(Constant::of_floats({count, width}, {begin, begin + count * width}), {1, 0});
}

/// Elements [first, first + count) of one direction's biases; zeros where there are none.
std::vector<float> bias_of(const Layer& layer, std::int64_t direction, std::int64_t first,
                           std::int64_t count) {
  if (layer.bias == nullptr) return std::vector<float>(static_cast<std::size_t>(count), 0.0F);
  const auto begin =
      layer.bias->floats.begin() + direction * 2 * layer.gates * layer.hidden + first;
  return {begin, begin + count};
}

Result<Value> activated(Import& model, const Node& node, const Value& x, const std::string& name) {
  ActivationKind kind = ActivationKind::tanh;
  if (name == "Sigmoid") {
    kind = ActivationKind::sigmoid;
  } else if (name == "Relu") {
    kind = ActivationKind::relu;
  } else if (name != "Tanh") {
    return node.unsupported("the activation " + name);
  }
  return activate(model, node, x, {kind});
}

Result<Layer> layer_of(Import& model, const Node& node, std::int64_t gates) {
  Layer layer;
  layer.gates = gates;
  CONVOPT_TRY(const auto x, model.tensor_input(node, 0));
  CONVOPT_TRY(layer.weights, model.constant_input(node, 1));
  CONVOPT_TRY(layer.recurrence, model.constant_input(node, 2));
  CONVOPT_TRY(layer.bias, model.constant_input(node, 3));
  CONVOPT_TRY(layer.peepholes, model.constant_input(node, 7));
  layer.x = *x;
  if (node.integer("layout", 0) != 0) {
    if (x->dims.size() != 3) return node.error("its input must have three dimensions");
    CONVOPT_TRY(layer.x, transposed_value(model, node, *x, {1, 0, 2}));
  }
  const std::string direction = node.text("direction", "forward");
  layer.directions = direction == "bidirectional" ? 2 : 1;
  const bool fits = layer.x.dims.size() == 3 && layer.weights != nullptr &&
                    layer.recurrence != nullptr && layer.weights->dims.size() == 3 &&
                    layer.recurrence->dims.size() == 3;
  if (!fits) return node.error("its weights or input have the wrong number of dimensions");
  layer.steps = layer.x.dims[0];
  layer.batch = layer.x.dims[1];
  layer.inputs = layer.x.dims[2];
  layer.hidden = layer.recurrence->dims[2];
  const std::int64_t rows = gates * layer.hidden;
  if (layer.weights->dims != Dims{layer.directions, rows, layer.inputs} ||
      layer.recurrence->dims != Dims{layer.directions, rows, layer.hidden} ||
      !layer.weights->is_float || !layer.recurrence->is_float ||
      (layer.bias != nullptr &&
       (!layer.bias->is_float || layer.bias->dims != Dims{layer.directions, 2 * rows})) ||
      (layer.peepholes != nullptr &&
       (gates != 4 || !layer.peepholes->is_float ||
        layer.peepholes->dims != Dims{layer.directions, 3 * layer.hidden})))
    return node.error("its weights do not fit its input " + dims_text(layer.x.dims));
  if (layer.batch * layer.hidden > kMaxSize) return node.error("its state is too large");
  if (node.has("clip")) return node.unsupported("clipping");
  if (node.has("activation_alpha") || node.has("activation_beta"))
    return node.unsupported("parameters of activations");
  if (node.has_input(4)) {
    CONVOPT_TRY(const auto lengths, model.constant_input(node, 4));
    if (std::ranges::any_of(lengths->integers, [&](auto length) { return length != layer.steps; }))
      return node.unsupported("sequences shorter than its input");
  }
  return layer;
}

/// The states at the beginning, [direction][batch][hidden].
Result<Value> initial_states(Import& model, const Node& node, const Layer& layer, int index) {
  const Dims dims = {layer.directions, layer.batch, layer.hidden};
  if (!node.has_input(index)) {
    const auto count = static_cast<std::size_t>(layer.directions * layer.batch * layer.hidden);
    return constant_value(Constant::of_floats(dims, std::vector<float>(count, 0.0F)));
  }
  CONVOPT_TRY(const auto given, model.tensor_input(node, index));
  Value state = *given;
  if (node.integer("layout", 0) != 0) {
    CONVOPT_TRY(state, transposed_value(model, node, state, {1, 0, 2}));
  }
  if (state.dims != dims)
    return node.error("its initial state of the shape " + dims_text(state.dims) +
                      " does not fit its weights");
  return state;
}

/// The state of one direction at the beginning, [batch][hidden].
Result<Value> initial_state(Import& model, const Node& node, const Layer& layer, int index,
                            std::int64_t direction) {
  CONVOPT_TRY(const auto states, initial_states(model, node, layer, index));
  return part_of(model, node, states, 0, direction, 1, false);
}

/// Gate `index` of a row of all gates.
Result<Value> gate(Import& model, const Node& node, const Layer& layer, const Value& all,
                   std::int64_t index, std::int64_t count = 1) {
  return axis_range(model, node, node.name() + "/gate", all, 1, index * layer.hidden,
                    count * layer.hidden, 1);
}

/// The results of one direction.
struct Direction {
  std::vector<Value> states;  ///< after every step, in the order of the input, [batch][hidden]
  Value last, last_cell;
};

/// One step: the new state, given what the input adds to every gate.
using Step = Result<void> (*)(Import& model, const Node& node, const Layer& layer,
                              std::int64_t direction, const Value& from_input, Value& state,
                              Value& cell);

Result<Value> from_state(Import& model, const Node& node, const Layer& layer,
                         std::int64_t direction, const Value& state, std::int64_t first,
                         std::int64_t count) {
  Value& columns = layer.columns[{direction, first}];
  if (columns.constant == nullptr)
    columns = constant_value(
        columns_of(*layer.recurrence, direction, first * layer.hidden, count * layer.hidden));
  return product(model, node, state, columns);
}

std::string activation_name(const Layer& layer, std::int64_t direction, std::size_t index,
                            std::size_t per_direction, const char* fallback) {
  const std::size_t at = static_cast<std::size_t>(direction) * per_direction + index;
  return at < layer.activations.size() ? layer.activations[at] : fallback;
}

/// A gate of an LSTM that sees the cell.
Result<Value> peeping_gate(Import& model, const Node& node, const Layer& layer,
                           std::int64_t direction, const Value& all, std::int64_t index,
                           const Value& cell, const std::string& activation) {
  const auto first = layer.peepholes->floats.begin() + (3 * direction + index) * layer.hidden;
  CONVOPT_TRY(const auto raw, gate(model, node, layer, all, index));
  CONVOPT_TRY(
      const auto seen,
      binary(model, node, Op::multiply, cell,
             constant_value(Constant::of_floats({layer.hidden}, {first, first + layer.hidden}))));
  CONVOPT_TRY(const auto sum, binary(model, node, Op::add, raw, seen));
  return activated(model, node, sum, activation);
}

/// Gates in the order input, output, forget, cell.
Result<void> lstm_step(Import& model, const Node& node, const Layer& layer, std::int64_t direction,
                       const Value& from_input, Value& state, Value& cell) {
  CONVOPT_TRY(const auto recurrent, from_state(model, node, layer, direction, state, 0, 4));
  CONVOPT_TRY(const auto all, binary(model, node, Op::add, from_input, recurrent));
  const auto name = [&](std::size_t index, const char* fallback) {
    return activation_name(layer, direction, index, 3, fallback);
  };
  const bool peeps = layer.peepholes != nullptr;
  const auto peeping = [&](std::int64_t index) {
    return peeping_gate(model, node, layer, direction, all, index, cell, name(0, "Sigmoid"));
  };
  Value input, output, forget;
  if (peeps) {
    CONVOPT_TRY(input, peeping(0));
    CONVOPT_TRY(forget, peeping(2));
  } else {
    CONVOPT_TRY(const auto first_gates, gate(model, node, layer, all, 0, 3));
    CONVOPT_TRY(const auto gates, activated(model, node, first_gates, name(0, "Sigmoid")));
    CONVOPT_TRY(input, gate(model, node, layer, gates, 0));
    CONVOPT_TRY(output, gate(model, node, layer, gates, 1));
    CONVOPT_TRY(forget, gate(model, node, layer, gates, 2));
  }
  CONVOPT_TRY(const auto raw, gate(model, node, layer, all, 3));
  CONVOPT_TRY(const auto candidate, activated(model, node, raw, name(1, "Tanh")));
  CONVOPT_TRY(const auto kept, binary(model, node, Op::multiply, forget, cell));
  CONVOPT_TRY(const auto added, binary(model, node, Op::multiply, input, candidate));
  CONVOPT_TRY(cell, binary(model, node, Op::add, kept, added));
  if (peeps) {
    CONVOPT_TRY(output, peeping(1));
  }
  CONVOPT_TRY(const auto shown, activated(model, node, cell, name(2, "Tanh")));
  CONVOPT_TRY(state, binary(model, node, Op::multiply, output, shown));
  return {};
}

/// Gates in the order update, reset, hidden.
Result<void> gru_step(Import& model, const Node& node, const Layer& layer, std::int64_t direction,
                      const Value& from_input, Value& state, Value&) {
  const auto name = [&](std::size_t index, const char* fallback) {
    return activation_name(layer, direction, index, 2, fallback);
  };
  CONVOPT_TRY(const auto input_gates, gate(model, node, layer, from_input, 0, 2));
  CONVOPT_TRY(const auto state_gates, from_state(model, node, layer, direction, state, 0, 2));
  CONVOPT_TRY(const auto sums, binary(model, node, Op::add, input_gates, state_gates));
  CONVOPT_TRY(const auto gates, activated(model, node, sums, name(0, "Sigmoid")));
  CONVOPT_TRY(const auto update, gate(model, node, layer, gates, 0));
  CONVOPT_TRY(const auto reset, gate(model, node, layer, gates, 1));
  CONVOPT_TRY(const auto from_input_hidden, gate(model, node, layer, from_input, 2));
  Value hidden;
  const std::int64_t rows = layer.gates * layer.hidden;
  const Value bias = constant_value(Constant::of_floats(
      {layer.hidden}, bias_of(layer, direction, rows + 2 * layer.hidden, layer.hidden)));
  if (node.integer("linear_before_reset", 0) != 0) {
    CONVOPT_TRY(const auto line, from_state(model, node, layer, direction, state, 2, 1));
    CONVOPT_TRY(const auto shifted, binary(model, node, Op::add, line, bias));
    CONVOPT_TRY(hidden, binary(model, node, Op::multiply, reset, shifted));
  } else {
    CONVOPT_TRY(const auto kept, binary(model, node, Op::multiply, reset, state));
    CONVOPT_TRY(const auto line, from_state(model, node, layer, direction, kept, 2, 1));
    CONVOPT_TRY(hidden, binary(model, node, Op::add, line, bias));
  }
  CONVOPT_TRY(const auto all, binary(model, node, Op::add, from_input_hidden, hidden));
  CONVOPT_TRY(const auto candidate, activated(model, node, all, name(1, "Tanh")));
  // (1 - update) * candidate + update * state
  CONVOPT_TRY(const auto difference, binary(model, node, Op::subtract, state, candidate));
  CONVOPT_TRY(const auto moved, binary(model, node, Op::multiply, update, difference));
  CONVOPT_TRY(state, binary(model, node, Op::add, candidate, moved));
  return {};
}

Result<void> rnn_step(Import& model, const Node& node, const Layer& layer, std::int64_t direction,
                      const Value& from_input, Value& state, Value&) {
  CONVOPT_TRY(const auto recurrent, from_state(model, node, layer, direction, state, 0, 1));
  CONVOPT_TRY(const auto sum, binary(model, node, Op::add, from_input, recurrent));
  CONVOPT_TRY(state, activated(model, node, sum, activation_name(layer, direction, 0, 1, "Tanh")));
  return {};
}

/// The biases that are added to what the input gives. The recurrent bias of GRU's hidden gate goes
/// where the state's product goes.
std::vector<float> input_bias(const Layer& layer, std::int64_t direction) {
  const std::int64_t rows = layer.gates * layer.hidden;
  std::vector<float> sum = bias_of(layer, direction, 0, rows);
  const std::vector<float> recurrent = bias_of(layer, direction, rows, rows);
  const std::int64_t shared = layer.gates == 3 ? 2 * layer.hidden : rows;
  for (std::int64_t i = 0; i < shared; ++i)
    sum[static_cast<std::size_t>(i)] += recurrent[static_cast<std::size_t>(i)];
  return sum;
}

Result<Direction> run_direction(Import& model, const Node& node, const Layer& layer, Step step,
                                std::int64_t direction) {
  const std::int64_t rows = layer.gates * layer.hidden;
  CONVOPT_TRY(const auto products,
              product(model, node, layer.x,
                      constant_value(columns_of(*layer.weights, direction, 0, rows))));
  CONVOPT_TRY(const auto from_input,
              binary(model, node, Op::add, products,
                     constant_value(Constant::of_floats({rows}, input_bias(layer, direction)))));
  CONVOPT_TRY(Value state, initial_state(model, node, layer, 5, direction));
  Value cell;
  if (layer.gates == 4) {
    CONVOPT_TRY(cell, initial_state(model, node, layer, 6, direction));
  }
  const bool backwards = direction == 1 || node.text("direction", "forward") == "reverse";
  Direction result;
  for (std::int64_t i = 0; i < layer.steps; ++i) {
    const std::int64_t at = backwards ? layer.steps - 1 - i : i;
    CONVOPT_TRY(const auto slice,
                axis_range(model, node, node.name() + "/step", from_input, 0, at, 1, 1));
    CONVOPT_TRY(const auto row, reshaped_value(model, node, slice, {layer.batch, rows}));
    CONVOPT_CHECK(step(model, node, layer, direction, row, state, cell));
    result.states.push_back(state);
  }
  if (backwards) std::ranges::reverse(result.states);
  result.last = state;
  result.last_cell = cell;
  return result;
}

/// Values with a new dimension, one behind the other along it.
Result<Value> stacked(Import& model, const Node& node, const std::vector<Value>& values,
                      std::size_t axis) {
  std::vector<Value> parts;
  for (const Value& value : values) {
    Dims dims = value.sizes();
    dims.insert(dims.begin() + static_cast<std::ptrdiff_t>(axis), 1);
    CONVOPT_TRY(auto part, reshaped_value(model, node, value, std::move(dims)));
    parts.push_back(std::move(part));
  }
  return joined(model, node, parts, axis);
}

/// Whether the operations lstm and gru compute the layer.
bool is_operation(const Layer& layer) {
  if (layer.gates == 1 || layer.peepholes != nullptr) return false;
  const std::size_t functions = layer.gates == 4 ? 3 : 2;
  for (std::size_t i = 0; i < layer.activations.size(); ++i) {
    if (layer.activations[i] != (i % functions == 0 ? "Sigmoid" : "Tanh")) return false;
  }
  return true;
}

/// Weights in the order of the operation.
std::shared_ptr<const StoredWeights> operation_weights(const Layer& layer) {
  std::vector<float> weights(layer.weights->floats.begin(), layer.weights->floats.end());
  weights.insert(weights.end(), layer.recurrence->floats.begin(), layer.recurrence->floats.end());
  StoredWeights stored;
  stored.weights = std::move(weights);
  if (layer.bias != nullptr)
    stored.bias = std::vector<float>(layer.bias->floats.begin(), layer.bias->floats.end());
  return std::make_shared<const StoredWeights>(std::move(stored));
}

/// The results: [step][direction][batch][hidden], then [direction][batch][hidden] of the last
/// steps.
Result<std::vector<Value>> operation(Import& model, const Node& node, const Layer& layer) {
  const bool is_lstm = layer.gates == 4;
  std::vector<TensorId> sources;
  const auto add_source = [&](const Value& value) -> Result<void> {
    CONVOPT_TRY(const Value* const tensor, model.as_tensor(node.name(), value));
    CONVOPT_TRY(const TensorId id, model.shaped(node.name(), *tensor, ranked_shape(tensor->dims)));
    sources.push_back(id);
    return {};
  };
  CONVOPT_CHECK(add_source(layer.x));
  for (int index = 5; index < (is_lstm ? 7 : 6); ++index) {
    CONVOPT_TRY(const auto states, initial_states(model, node, layer, index));
    CONVOPT_CHECK(add_source(states));
  }
  Workload workload =
      Workload::recurrent(is_lstm ? Op::lstm : Op::gru, model.graph().shape(sources[0]),
                          model.graph().shape(sources[1]));
  const bool is_reversed = node.text("direction", "forward") == "reverse";
  workload.reversed = is_reversed ? 1 : 0;
  const bool keeps_cell = is_lstm && node.output_count() > 2 && !node.output(2).empty();
  workload.keeps_cell = keeps_cell ? 1 : 0;
  if (!is_lstm) workload.reset_after = node.integer("linear_before_reset", 0) != 0 ? 1 : 0;
  if (!workload.validate())
    return node.error("its input of the shape " + dims_text(layer.x.dims) + " cannot be computed");
  const TensorShape shape = workload.output();
  CONVOPT_TRY(const Value all, made(model.graph().add(model.label(node), sources, workload,
                                                      operation_weights(layer)),
                                    Dims(shape.sizes().begin(), shape.sizes().end())));
  std::vector<Value> results(is_lstm ? 3 : 2, all);
  if (keeps_cell) {
    CONVOPT_TRY(results[0], part_of(model, node, all, 0, 0, layer.steps, true));
    CONVOPT_TRY(results[2], part_of(model, node, all, 0, layer.steps, 1, false));
  }
  std::vector<Value> lasts;
  for (std::int64_t direction = 0; direction < layer.directions; ++direction) {
    const std::int64_t last = is_reversed || direction == 1 ? 0 : layer.steps - 1;
    CONVOPT_TRY(const auto states, part_of(model, node, all, 0, last, 1, false));
    CONVOPT_TRY(auto one, part_of(model, node, states, 0, direction, 1, true));
    lasts.push_back(std::move(one));
  }
  CONVOPT_TRY(results[1], joined(model, node, lasts, 0));
  return results;
}

/// The same of what is unrolled.
Result<std::vector<Value>> unrolled(Import& model, const Node& node, const Layer& layer) {
  const std::int64_t gates = layer.gates;
  const Step step = gates == 4 ? lstm_step : gates == 3 ? gru_step : rnn_step;
  if (layer.steps * layer.directions > kMostSteps)
    return node.unsupported("more than " + std::to_string(kMostSteps) + " steps");
  std::vector<Value> sequences, lasts, cells;
  for (std::int64_t direction = 0; direction < layer.directions; ++direction) {
    CONVOPT_TRY(const auto one, run_direction(model, node, layer, step, direction));
    CONVOPT_TRY(auto sequence, stacked(model, node, one.states, 0));
    sequences.push_back(std::move(sequence));
    lasts.push_back(one.last);
    cells.push_back(one.last_cell);
  }
  std::vector<Value> results(gates == 4 ? 3 : 2);
  CONVOPT_TRY(results[0], stacked(model, node, sequences, 1));
  CONVOPT_TRY(results[1], stacked(model, node, lasts, 0));
  if (gates == 4) {
    CONVOPT_TRY(results[2], stacked(model, node, cells, 0));
  }
  return results;
}

Result<std::vector<Value>> recurrent(Import& model, const Node& node) {
  const std::string_view type = node.type();
  if (node.integer("input_forget", 0) != 0) return node.unsupported("coupled gates");
  CONVOPT_TRY(Layer layer, layer_of(model, node, type == "LSTM" ? 4 : type == "GRU" ? 3 : 1));
  layer.activations = node.texts("activations");
  CONVOPT_TRY(std::vector<Value> results,
              is_operation(layer) ? operation(model, node, layer) : unrolled(model, node, layer));
  if (node.integer("layout", 0) == 0) return results;
  CONVOPT_TRY(results[0], transposed_value(model, node, results[0], {2, 0, 1, 3}));
  for (std::size_t i = 1; i < results.size(); ++i) {
    CONVOPT_TRY(results[i], transposed_value(model, node, results[i], {1, 0, 2}));
  }
  return results;
}

}  // namespace

OperatorTable recurrent_operators() {
  static constexpr OperatorHandler kHandlers[] = {
      {"LSTM", nullptr, recurrent},
      {"GRU", nullptr, recurrent},
      {"RNN", nullptr, recurrent},
  };
  return kHandlers;
}

}  // namespace convopt::onnx_reader
