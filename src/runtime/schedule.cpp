#include "src/runtime/schedule.h"

#include <algorithm>
#include <limits>
#include <map>
#include <numeric>
#include <optional>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "core/quantisation.h"
#include "core/scaled_convolution.h"
#include "core/text.h"
#include "core/try.h"
#include "core/views.h"

namespace convopt {
namespace {

constexpr int kForever = std::numeric_limits<int>::max();

Error bad_plan(std::string message) { return make_error(ErrorCode::bad_input, std::move(message)); }

/// The operators of one layer of the plan, and what they read and write together.
struct Group {
  std::vector<int> operators;
  Workload workload;
  std::vector<TensorId> inputs;
  std::optional<TensorId> residual;
  TensorId result = 0;
};

/// First binds layer by layer into steps and values, then lets values share storage.
class Scheduler {
 public:
  Scheduler(const Network& network, const Plan& plan, const Registry& registry)
      : network_(network), plan_(plan), registry_(registry) {}

  Result<Schedule> run() {
    if (auto indexed = index_network(); !indexed) return indexed.error();
    for (const PlanLayer& layer : plan_.layers) {
      if (auto bound = bind(layer); !bound) return bound.error();
    }
    if (auto complete = check_complete(); !complete) return complete.error();
    if (auto possible = check_parts(); !possible) return possible.error();
    if (auto scaled = check_scales(); !scaled) return scaled.error();
    assign_storage();
    return std::move(schedule_);
  }

 private:
  Result<void> index_network() {
    uses_.assign(network_.tensors.size(), 0);
    done_.assign(network_.operators.size(), 0);
    for (int i = 0; i < std::ssize(network_.operators); ++i) {
      const Operator& op = network_.operators[i];
      if (op.kind == OperatorKind::opaque) {
        return bad_plan("operator " + in_quotes(op.name) + " of type " + in_quotes(op.type) +
                        " is not known, so the network cannot be executed");
      }
      operator_index_[op.name] = i;
      for (const TensorId input : op.inputs) ++uses_[input];
      if (op.kind == OperatorKind::reshape) reshape_of_[op.outputs.front()] = i;
      if (op.kind == OperatorKind::constant) constants_.push_back(i);
    }
    for (const TensorId output : network_.outputs) ++uses_[output];
    for (const PlanInPlace& in_place : plan_.in_place) {
      const auto found = operator_index_.find(in_place.name);
      if (found == operator_index_.end() ||
          network_.operators[found->second].workload.op != Op::concat ||
          network_.operators[found->second].kind != OperatorKind::compute) {
        return bad_plan("the plan has a concatenation " + in_quotes(in_place.name) +
                        " in place, which the network does not have");
      }
      if (std::exchange(done_[found->second], 1) != 0) {
        return bad_plan("the plan computes the operator " + in_quotes(in_place.name) + " twice");
      }
      const TensorId result = network_.operators[found->second].outputs.front();
      in_place_[result] = {found->second, of_tensor(result, in_place.format())};
    }
    for (const PlanScale& scale : plan_.scales) {
      if (!scales_.emplace(scale.tensor, &scale).second)
        return bad_plan("the plan has two scales for the tensor " + in_quotes(scale.tensor));
    }
    for (const TensorId input : network_.inputs) add_value(input, plain(input));
    for (const int op : constants_) {
      const TensorId constant = network_.operators[op].outputs.front();
      add_value(constant, plain(constant));
    }
    for (const PlanConversion& conversion : plan_.conversions) {
      const auto tensor = std::ranges::find(network_.tensors, conversion.tensor, &Tensor::name);
      if (tensor == network_.tensors.end()) {
        return bad_plan("the plan converts the tensor " + in_quotes(conversion.tensor) +
                        ", which the network does not have");
      }
      const auto id = static_cast<TensorId>(tensor - network_.tensors.begin());
      const TensorFormat target = of_tensor(id, conversion.target());
      if (!conversions_.emplace(std::pair(id, target), &conversion).second) {
        return bad_plan("the plan converts the tensor " + in_quotes(conversion.tensor) + " to " +
                        to_string(target) + " twice");
      }
    }
    return {};
  }

  /// The format with the tensor's type where that is not f32, so not the plan's to choose.
  TensorFormat of_tensor(TensorId tensor, TensorFormat planned) const {
    const DataType own = network_.tensors[tensor].type;
    return own == DataType::f32 ? planned : TensorFormat{planned.layout, own};
  }
  TensorFormat plain(TensorId tensor) const { return of_tensor(tensor, {}); }

  /// What the plan says of a tensor that it quantises; null: nothing, or the type is another.
  const PlanScale* scale_of(TensorId tensor, DataType type) const {
    if (network_.tensors[tensor].type != DataType::f32 || !is_quantised(type)) return nullptr;
    const auto found = scales_.find(network_.tensors[tensor].name);
    return found != scales_.end() && found->second->type == type ? found->second : nullptr;
  }
  /// The format in which a layer that writes in this one reads its residual.
  TensorFormat of_residual(TensorId residual, TensorFormat output) const {
    if (!is_quantised(output.type)) return of_tensor(residual, output);
    const auto found = scales_.find(network_.tensors[residual].name);
    return {output.layout, found != scales_.end() ? found->second->type : output.type};
  }

  void set_zero_points(Workload& workload, TensorId source) const {
    const auto found = scales_.find(network_.tensors[source].name);
    workload.zero_points =
        minds_zero_points(workload) && found != scales_.end() && found->second->zero_point != 0;
  }

  /// Quantised tensors have scales, which operations that move their numbers keep.
  Result<void> check_scales() const {
    for (const Value& value : schedule_.values) {
      const Tensor& tensor = network_.tensors[value.tensor];
      const bool quantises = tensor.type == DataType::f32 && is_quantised(value.format.type);
      if (!quantises || scale_of(value.tensor, value.format.type) != nullptr) continue;
      return bad_plan("the plan stores the tensor " + in_quotes(tensor.name) + " in " +
                      to_string(value.format) + " without a scale");
    }
    const auto same = [&](int a, int b) {
      return schedule_.values[a].same_steps(schedule_.values[b]);
    };
    for (const ScheduleStep& step : schedule_.steps) {
      CONVOPT_CHECK(check_rounding(step));
      if (!keeps_scale(step.workload.op)) continue;
      for (const int source : step.sources) {
        if (same(source, step.destination)) continue;
        return bad_plan("layer " + in_quotes(step.name) +
                        " of the plan reads and writes quantised tensors of different scales");
      }
    }
    for (const Value& value : schedule_.values) {
      if (value.part_of == kNone || value.same_steps(schedule_.values[value.part_of])) continue;
      return bad_plan("the plan concatenates tensors of different scales in place");
    }
    return {};
  }

  /// Whether a plan's text is of the workload's representative. Earlier plans name the rounding of
  /// what is stored in int8, too.
  static bool is_timed_as(const std::string& text, const Workload& workload) {
    const Workload representative = timed_as(workload);
    if (text.empty() || text == representative.text()) return true;
    const auto planned = Workload::parse(text);
    return planned && timed_as(*planned) == representative;
  }

  /// What rounds to a tensor's numbers has its scale and zero point.
  Result<void> check_rounding(const ScheduleStep& step) const {
    const Value& result = schedule_.values[step.destination];
    const Activation& activation = step.workload.epilogue.activation;
    const DataType type = result.format.type;
    if (activation.kind != ActivationKind::quantise || !is_quantised(type)) return {};
    const float lowest = smallest_number(type) - static_cast<float>(result.zero_point);
    if (activation.alpha == result.scale && activation.beta == lowest) return {};
    return bad_plan("the plan stores the result of layer " + in_quotes(step.name) +
                    " with another scale or zero point than the network rounds it with");
  }

  int add_value(TensorId tensor, TensorFormat format) {
    const int index = static_cast<int>(schedule_.values.size());
    schedule_.values.push_back({tensor, format});
    if (const PlanScale* scale = scale_of(tensor, format.type)) {
      schedule_.values.back().scale = scale->scale;
      schedule_.values.back().zero_point = scale->zero_point;
    }
    values_[{tensor, format}] = index;
    roots_.push_back(index);
    return index;
  }

  /// Which operators the layer computes: its own and those of its epilogue.
  Result<Group> group(const PlanLayer& layer) {
    Group group;
    const auto take = [&](const std::string& name) -> Result<const Operator*> {
      const auto found = operator_index_.find(name);
      if (found == operator_index_.end()) {
        return bad_plan("the plan has a layer " + in_quotes(name) +
                        ", which the network does not have");
      }
      if (std::exchange(done_[found->second], 1) != 0) {
        return bad_plan("the plan computes the operator " + in_quotes(name) + " twice");
      }
      group.operators.push_back(found->second);
      return &network_.operators[found->second];
    };
    const auto main = take(layer.name);
    if (!main) return main.error();
    group.workload = (*main)->workload;
    if (group.workload.input_type == DataType::f32) group.workload.input_type = layer.input_type;
    if (group.workload.output_type == DataType::f32) group.workload.output_type = layer.output_type;
    group.inputs = (*main)->inputs;
    set_zero_points(group.workload, group.inputs.front());
    if (group.workload.op == Op::add && is_quantised(group.workload.input_type)) {
      const DataType second = of_residual(group.inputs[1], layer.input()).type;
      if (second != group.workload.input_type) group.workload.second_type = second;
    }
    group.result = (*main)->outputs.front();
    for (const std::string& name : layer.fused) {
      const auto next = take(name);
      if (!next) return next.error();
      const Operator& op = **next;
      const auto cannot = [&](std::string_view why) {
        return bad_plan("the plan fuses " + in_quotes(name) + " into " + in_quotes(layer.name) +
                        ", but " + std::string(why));
      };
      if (std::ranges::count(op.inputs, group.result) != 1)
        return cannot("it does not read that result exactly once");
      if (uses_[group.result] != 1) return cannot("other operators need what lies between");
      if (op.kind != OperatorKind::compute) return cannot("it computes nothing");
      if (const auto scaled = scaled_convolution(group.workload, op.workload)) {
        group.workload = *scaled;
        group.result = op.outputs.front();
        continue;
      }
      Epilogue& epilogue = group.workload.epilogue;
      if (epilogue.activation.kind != ActivationKind::none) {
        return cannot("an activation ends an epilogue");
      }
      if (op.workload.op == Op::add && !op.workload.repeats() && !epilogue.residual) {
        epilogue.residual = true;
        group.residual = op.inputs[op.inputs.front() == group.result ? 1 : 0];
        const DataType type = of_residual(*group.residual, layer.output()).type;
        if (type != group.workload.output_type) epilogue.residual_type = type;
        epilogue.activation = op.workload.epilogue.activation;
      } else if (op.workload.op == Op::activation) {
        epilogue.activation = op.workload.epilogue.activation;
      } else {
        return cannot("no epilogue can compute it");
      }
      group.result = op.outputs.front();
    }
    if (!is_timed_as(layer.workload, group.workload)) {
      return bad_plan("layer " + in_quotes(layer.name) + " of the plan is " + layer.workload +
                      ", but the network has " + group.workload.text());
    }
    return group;
  }

  Result<void> bind(const PlanLayer& layer) {
    const auto known = operator_index_.find(layer.name);
    // A reshape is a view and a constant is there, whether the plan mentions them or not.
    if (known != operator_index_.end() &&
        network_.operators[known->second].kind != OperatorKind::compute) {
      return {};
    }
    auto bound = group(layer);
    if (!bound) return bound.error();
    ScheduleStep step;
    step.name = layer.name;
    step.predicted_us = layer.predicted_us;
    step.operators = std::move(bound->operators);
    step.workload = std::move(bound->workload);
    if (auto found = set_primitive(step, layer.primitive, layer.input_layout, layer.output_layout);
        !found) {
      return found;
    }
    const std::string reader = "layer " + in_quotes(layer.name);
    for (std::size_t i = 0; i < bound->inputs.size(); ++i) {
      const TensorFormat planned{layer.input().layout,
                                 step.workload.source_type(static_cast<int>(i))};
      const TensorId input = bound->inputs[i];
      const auto value = require(input, of_tensor(input, planned), reader);
      if (!value) return value.error();
      step.sources.push_back(*value);
    }
    if (bound->residual) {
      const auto value =
          require(*bound->residual, of_residual(*bound->residual, layer.output()), reader);
      if (!value) return value.error();
      step.residual = *value;
    }
    step.destination = add_value(bound->result, of_tensor(bound->result, layer.output()));
    schedule_.steps.push_back(std::move(step));
    return {};
  }

  Result<void> set_primitive(ScheduleStep& step, const std::string& name, Layout input,
                             Layout output) {
    const auto where = [&] {
      return "the plan computes " + in_quotes(step.name) + " by " + in_quotes(name);
    };
    step.primitive = registry_.find(name);
    if (step.primitive == nullptr) {
      return make_error(ErrorCode::environment, where() + ", which does not exist here");
    }
    const PrimitiveInfo& info = step.primitive->info();
    if (!info.computes(step.workload) || info.input_layout != input ||
        info.output_layout != output) {
      return bad_plan(where() + ", which is for other layouts, types or another operation");
    }
    if (const auto applies = step.primitive->applicability(step.workload, registry_.context());
        !applies) {
      return make_error(ErrorCode::environment, where() + ", which cannot: " + applies.reason);
    }
    return {};
  }

  /// The tensor in a format: there already, or by the plan's conversion, which is emitted before
  /// the first step that needs it, or as a view of what it is a reshape of, or a concatenation of.
  Result<int> require(TensorId tensor, TensorFormat format, const std::string& reader) {
    if (const auto known = values_.find({tensor, format}); known != values_.end()) {
      return known->second;
    }
    if (const auto planned = conversions_.find({tensor, format}); planned != conversions_.end()) {
      const PlanConversion& conversion = *planned->second;
      conversions_.erase(planned);  // so that conversions that need each other end
      return convert(tensor, conversion, format, reader);
    }
    if (const auto reshape = reshape_of_.find(tensor);
        reshape != reshape_of_.end() && format.layout == Layout::nchw) {
      const TensorId whole = network_.operators[reshape->second].inputs.front();
      const bool planned = network_.tensors[tensor].type == DataType::f32;
      const auto source = require(whole, planned ? of_tensor(whole, format) : plain(whole), reader);
      if (!source) return source;
      const int view = add_value(tensor, format);
      if (!schedule_.values[view].same_steps(schedule_.values[*source])) {
        return bad_plan("the plan reshapes " + in_quotes(network_.tensors[whole].name) +
                        " into a tensor of another scale");
      }
      roots_[view] = roots_[*source];
      reshaped_.push_back(*source);
      return view;
    }
    if (const auto concatenation = in_place_.find(tensor);
        concatenation != in_place_.end() && concatenation->second.format == format) {
      return concatenate(concatenation->second.op, format, reader);
    }
    return bad_plan(reader + " needs the tensor " + in_quotes(network_.tensors[tensor].name) +
                    " in " + to_string(format) + ", which the plan has not computed by then");
  }

  Result<int> convert(TensorId tensor, const PlanConversion& conversion, TensorFormat target,
                      const std::string& reader) {
    const TensorFormat origin = of_tensor(tensor, conversion.source());
    ScheduleStep step;
    step.name = conversion.tensor;
    step.predicted_us = conversion.predicted_us;
    step.workload = Workload::pointwise(Op::convert, network_.tensors[tensor].shape);
    step.workload.input_type = origin.type;
    step.workload.output_type = target.type;
    set_zero_points(step.workload, tensor);
    CONVOPT_CHECK(set_primitive(step, conversion.primitive, origin.layout, target.layout));
    CONVOPT_TRY(const int source, require(tensor, origin, reader));
    step.sources = {source};
    step.destination = add_value(tensor, target);
    schedule_.steps.push_back(std::move(step));
    return schedule_.steps.back().destination;
  }

  /// Makes the parts, wherever they were written, ranges of one value.
  Result<int> concatenate(int index, TensorFormat format, const std::string& reader) {
    const Operator& op = network_.operators[index];
    std::vector<int> parts;
    for (const TensorId input : op.inputs) {
      const auto part = require(input, format, reader);
      if (!part) return part;
      parts.push_back(*part);
    }
    const int whole = add_value(op.outputs.front(), format);
    int first_channel = 0;
    for (std::size_t i = 0; i < parts.size(); ++i) {
      Value& part = schedule_.values[parts[i]];
      if (part.part_of != kNone ||
          parts[i] < std::ssize(network_.inputs) + std::ssize(constants_) ||
          first_channel % channel_block(format.layout) != 0 || roots_[parts[i]] == roots_[whole]) {
        return bad_plan("the plan concatenates " + in_quotes(op.name) + " in place in " +
                        to_string(format) + ", but " +
                        in_quotes(network_.tensors[part.tensor].name) + " cannot be written there");
      }
      part.part_of = whole;
      part.first_channel = first_channel;
      first_channel += op.workload.parts[i];
      std::ranges::replace(roots_, roots_[parts[i]], whole);
    }
    return whole;
  }

  /// Nobody meets a part who takes it for a tensor of its own.
  Result<void> check_parts() {
    const auto is_part = [&](int value) {
      return value != kNone && schedule_.values[value].part_of != kNone;
    };
    const auto refuse = [&](int value, const std::string& who) {
      return bad_plan(who + " cannot handle the tensor " +
                      in_quotes(network_.tensors[schedule_.values[value].tensor].name) +
                      " in place in a concatenation");
    };
    for (const int output : outputs_) {
      if (is_part(output)) return refuse(output, "an output of the network");
    }
    for (const int source : reshaped_) {
      if (is_part(source)) return refuse(source, "a reshape");
    }
    for (const ScheduleStep& step : schedule_.steps) {
      std::vector<int> touched = step.sources;
      touched.push_back(step.residual);
      touched.push_back(step.destination);
      for (const int value : touched) {
        if (!is_part(value)) continue;
        const Value& part = schedule_.values[value];
        if (!step.primitive->info().traits.strided_views &&
            !channels_are_dense(network_.tensors[part.tensor].shape, part.format.layout)) {
          return refuse(value,
                        in_quotes(step.primitive->name()) + " of layer " + in_quotes(step.name));
        }
      }
    }
    return {};
  }

  Result<void> check_complete() {
    for (std::size_t i = 0; i < done_.size(); ++i) {
      const Operator& op = network_.operators[i];
      if (done_[i] == 0 && op.kind == OperatorKind::compute) {
        return bad_plan("the plan does not compute the operator " + in_quotes(op.name));
      }
    }
    for (const TensorId output : network_.outputs) {
      const auto value = require(output, plain(output), "the end of the network");
      if (!value) return value.error();
      outputs_.push_back(*value);
    }
    if (!conversions_.empty()) {
      const PlanConversion& unused = *conversions_.begin()->second;
      return bad_plan("the plan converts the tensor " + in_quotes(unused.tensor) + " to " +
                      to_string(unused.target()) + ", which nothing reads");
    }
    return {};
  }

  void assign_storage() {
    const auto count = schedule_.values.size();
    std::vector<int> last(count, kNone);
    std::vector<bool> is_input(count, false);
    for (int s = 0; s < std::ssize(schedule_.steps); ++s) {
      const ScheduleStep& step = schedule_.steps[s];
      for (const int source : step.sources) last[roots_[source]] = s;
      if (step.residual != kNone) last[roots_[step.residual]] = s;
      last[roots_[step.destination]] = s;
    }
    for (const int output : outputs_) last[roots_[output]] = kForever;
    // Inputs and constants are the first values; nothing may be written over them.
    const std::size_t first_constant = network_.inputs.size();
    for (std::size_t i = 0; i < first_constant + constants_.size(); ++i) is_input[i] = true;
    for (std::size_t i = 0; i < constants_.size(); ++i) last[roots_[first_constant + i]] = kForever;

    // A sum is written over its residual where nobody needs that afterwards: half the memory
    // traffic of the epilogue, and what primitives ask for that can only accumulate.
    for (int s = 0; s < std::ssize(schedule_.steps); ++s) {
      ScheduleStep& step = schedule_.steps[s];
      if (step.residual == kNone) continue;
      const int root = roots_[step.residual];
      const bool is_source =
          std::ranges::any_of(step.sources, [&](int source) { return roots_[source] == root; });
      const bool is_part = schedule_.values[step.destination].part_of != kNone;
      if (last[root] == s && !is_input[root] && !is_source && !is_part) {
        const int old = roots_[step.destination];
        last[root] = last[old];
        std::ranges::replace(roots_, old, root);
      } else {
        step.copies_residual = step.primitive->info().traits.overwrites_residual;
      }
    }

    std::vector<int> storage_of_root(count, kNone);
    for (std::size_t v = 0; v < count; ++v) {
      int& storage = storage_of_root[roots_[v]];
      if (storage == kNone) {
        storage = static_cast<int>(schedule_.storages.size());
        schedule_.storages.push_back({{kForever, last[roots_[v]], 0}});
      }
      schedule_.values[v].storage = storage;
      // A view shares the elements of the whole, and a sum has the shape of its residual.
      const Value& value = schedule_.values[v];
      std::size_t& bytes = schedule_.storages[storage].life.bytes;
      const auto elements = static_cast<std::size_t>(
          padded_elements(network_.tensors[value.tensor].shape, value.format.layout));
      bytes = std::max(bytes, element_bytes(value.format.type) * elements);
    }
    for (int s = 0; s < std::ssize(schedule_.steps); ++s) {
      int& first = storage_of(schedule_.steps[s].destination).life.first;
      first = std::min(first, s);
    }
    for (std::size_t i = 0; i < network_.inputs.size(); ++i) {
      storage_of(static_cast<int>(i)).input = static_cast<int>(i);
    }
    for (std::size_t i = 0; i < constants_.size(); ++i) {
      Storage& storage = storage_of(static_cast<int>(first_constant + i));
      storage.constant = constants_[i];
      storage.life.first = 0;
    }
    for (std::size_t i = 0; i < outputs_.size(); ++i) {
      Storage& storage = storage_of(outputs_[i]);
      if (storage.input == kNone && storage.output == kNone && storage.constant == kNone) {
        storage.output = static_cast<int>(i);
      } else {
        schedule_.output_copies.push_back(
            {schedule_.values[outputs_[i]].storage, static_cast<int>(i)});
      }
    }
  }

  Storage& storage_of(int value) { return schedule_.storages[schedule_.values[value].storage]; }

  const Network& network_;
  const Plan& plan_;
  const Registry& registry_;

  std::unordered_map<std::string_view, int> operator_index_;
  std::unordered_map<std::string_view, const PlanScale*> scales_;  ///< by tensor
  std::unordered_map<TensorId, int> reshape_of_;  ///< operator that makes the tensor a view
  std::vector<int> constants_;                    ///< operators that are constants
  std::vector<int> uses_;                         ///< readers of each tensor, outputs included
  std::vector<char> done_;
  std::map<std::pair<TensorId, TensorFormat>, const PlanConversion*> conversions_;  ///< not emitted
  std::map<std::pair<TensorId, TensorFormat>, int> values_;
  /// Concatenations in place by their results.
  struct InPlace {
    int op = kNone;
    TensorFormat format;
  };
  std::unordered_map<TensorId, InPlace> in_place_;
  std::vector<int> reshaped_;  ///< values of which there are reshaped views
  std::vector<int> roots_;     ///< per value, the value whose storage it shares
  std::vector<int> outputs_;
  Schedule schedule_;
};

/// Notes which steps share a kernel.
void share_kernels(const Network& network, Schedule& schedule) {
  std::unordered_map<const StoredWeights*, std::vector<int>> makers;
  for (int s = 0; s < std::ssize(schedule.steps); ++s) {
    ScheduleStep& step = schedule.steps[static_cast<std::size_t>(s)];
    if (!step.workload.has_weights() || step.operators.empty()) continue;
    const Operator& op = network.operators[static_cast<std::size_t>(step.weighted_operator())];
    if (op.weights == nullptr) continue;
    std::vector<int>& same_weights = makers[op.weights.get()];
    const auto same = std::ranges::find_if(same_weights, [&](int other) {
      const ScheduleStep& first = schedule.steps[static_cast<std::size_t>(other)];
      return first.primitive == step.primitive && first.workload == step.workload &&
             scales_of(schedule, first) == scales_of(schedule, step);
    });
    if (same != same_weights.end()) {
      step.kernel_of = *same;
    } else {
      same_weights.push_back(s);
    }
  }
}

}  // namespace

Quantisation scales_of(const Schedule& schedule, const ScheduleStep& step) {
  if (keeps_scale(step.workload.op)) return {};
  const Value& input = schedule.values[step.sources.front()];
  const Value& output = schedule.values[step.destination];
  Quantisation scales{input.scale, 1, output.scale, input.zero_point, 0, output.zero_point};
  const int second = step.workload.op == Op::add ? step.sources[1] : step.residual;
  if (second != kNone) {
    scales.residual = schedule.values[second].scale;
    scales.residual_zero = schedule.values[second].zero_point;
  }
  return scales;
}

Result<Schedule> make_schedule(const Network& network, const Plan& plan, const Registry& registry) {
  CONVOPT_TRY(auto schedule, Scheduler(network, plan, registry).run());
  share_kernels(network, schedule);
  return schedule;
}

}  // namespace convopt
