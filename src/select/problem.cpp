#include "src/select/problem.h"

#include <algorithm>
#include <array>
#include <bit>
#include <optional>
#include <set>
#include <unordered_map>
#include <utility>

#include "core/parallel.h"
#include "core/quantisation.h"
#include "core/text.h"
#include "core/views.h"
#include "src/select/calibration.h"
#include "src/select/pbqp/solver.h"

namespace convopt {
namespace {

using Clock = std::chrono::steady_clock;

bool names(const std::vector<std::string>& list, const PrimitiveInfo& info) {
  return std::ranges::any_of(
      list, [&](const std::string& name) { return name == info.name || name == info.family; });
}

/// Whether the primitive can read or write the tensor as channels of a larger one.
bool takes_views(const Problem& problem, const Primitive* primitive, TensorId tensor,
                 TensorFormat format) {
  return primitive->info().traits.strided_views ||
         channels_are_dense(problem.network->tensors[tensor].shape, format.layout);
}

/// Whether the operator's option can leave its result in that state.
bool can_write(const Problem& problem, const Option& option, TensorId tensor,
               const TensorState& state) {
  if (state.produced != option.output || state.pending != option.pending_out) return false;
  if (option.absorbed_through >= 0) return state.placed == option.placed;
  if (!state.placed || option.in_place) return true;
  return option.candidate >= 0 &&
         takes_views(problem, problem.candidates[option.candidate].primitive, tensor,
                     option.output);
}

bool can_read(const Problem& problem, std::size_t op, const Option& option, int input,
              TensorId tensor, const TensorState& state) {
  const TensorFormat format = option.input_at(input);
  if (!state.available(format) || state.pending != option.pending_at(input)) return false;
  if (input == option.absorbed_through) return state.placed == option.placed;
  if (option.in_place) return state.placed && state.produced == format;
  if (!state.placed || state.produced != format) return true;
  // The concatenation that it is a part of reads it in place or not at all.
  if (problem.concatenation[tensor] == static_cast<int>(op)) return false;
  return option.candidate >= 0 &&
         takes_views(problem, problem.candidates[option.candidate].primitive, tensor, format);
}

/// Whether can_write() and can_read() answer alike for both.
bool are_alike(const Problem& problem, const Option& a, const Option& b) {
  Option other = a;
  other.candidate = b.candidate;
  if (other != b || (a.candidate < 0) != (b.candidate < 0)) return false;
  const auto has_views = [&](const Option& option) {
    return problem.candidates[option.candidate].primitive->info().traits.strided_views;
  };
  return a.candidate < 0 || has_views(a) == has_views(b);
}

class Builder {
 public:
  Builder(const Network& network, const Registry& registry, const Limits& limits)
      : limits_(limits), flow_(network) {
    problem_.network = &network;
    problem_.registry = &registry;
    problem_.context = registry.context();
    problem_.context.workspace_limit =
        std::min(problem_.context.workspace_limit, limits.max_workspace);
    for (const Primitive* p : registry.primitives()) by_op_[p->info().op].push_back(p);
    problem_.types = {DataType::f32};
    problem_.scales = limits.scales;
  }

  Result<Problem> build(const CostSource& costs) {
    problem_.concatenation = placements(network(), flow_);
    admit_types();
    find_ways();
    find_candidates();
    if (Result<void> asked = ask_costs(costs); !asked) return asked.error();
    add_options();
    if (Result<void> complete = check_options(); !complete) return complete.error();
    add_conversions();
    add_states();
    return std::move(problem_);
  }

 private:
  const Network& network() const { return *problem_.network; }

  int intern(const Workload& given) {
    const Workload workload = with_unit_steps(given);
    const auto [place, is_new] =
        workload_ids_.try_emplace(workload.text(), static_cast<int>(problem_.workloads.size()));
    if (is_new) {
      problem_.workloads.push_back(workload);
      candidate_ids_.emplace_back();
    }
    return place->second;
  }

  /// The types that each tensor may have.
  void admit_types() {
    for (const DataType type : limits_.types) {
      if (type != DataType::f32) problem_.types.push_back(type);
    }
    types_.assign(network().tensors.size(), {DataType::f32});
    if (problem_.types.size() == 1) return;
    const std::vector<char> exact = exact_tensors(network());
    for (std::size_t t = 0; t < types_.size(); ++t) {
      const Tensor& tensor = network().tensors[t];
      if (exact[t] != 0 || !tensor.shape.is_image() || tensor.type != DataType::f32) continue;
      for (const DataType type : std::span(problem_.types).subspan(1)) {
        if (!is_quantised(type) || int8_type(static_cast<TensorId>(t)) == type) {
          types_[t].push_back(type);
        }
      }
    }
  }

  bool admits(TensorId tensor, DataType type) const {
    return std::ranges::find(types_[tensor], type) != types_[tensor].end();
  }
  bool all_admit(const std::vector<TensorId>& tensors, DataType type) const {
    return std::ranges::all_of(tensors, [&](TensorId t) { return admits(t, type); });
  }
  std::span<const DataType> types_of(TensorId tensor) const { return types_[tensor]; }
  /// The tensor's only one; f32 if it has none.
  DataType int8_type(TensorId tensor) const {
    return problem_.scales.empty() ? DataType::f32 : problem_.scales[tensor].type;
  }
  int zero_point(TensorId tensor) const {
    return problem_.scales.empty() ? 0 : problem_.scales[tensor].zero_point;
  }
  /// The type in which a chain whose result is of `type` reads the tensor.
  DataType type_beside(DataType type, TensorId tensor) const {
    return is_quantised(type) ? int8_type(tensor) : type;
  }
  /// Calls `visit(format)` for each that the tensor may have.
  template <class Visit>
  void for_each_format(TensorId tensor, Visit visit) const {
    for (const DataType type : types_of(tensor)) {
      for (const Layout layout : kLayouts) visit(TensorFormat{layout, type});
    }
  }

  void find_ways() {
    const std::size_t count = network().operators.size();
    problem_.ways.resize(count);
    problem_.library_default.resize(count, nullptr);
    for (std::size_t op = 0; op < count; ++op) {
      if (network().operators[op].kind != OperatorKind::compute) continue;
      const std::vector<FusedWorkload> own = fusions(network(), flow_, static_cast<int>(op));
      for (const FusedWorkload& way : own) {
        problem_.ways[op].push_back({intern(way.workload), way.absorbed});
      }
      for (const DataType input : problem_.types) {
        for (const DataType output : problem_.types) add_ways(op, own, input, output);
      }
    }
  }

  /// The ways in types that are not the network's, as far as the tensors admit them.
  void add_ways(std::size_t op, const std::vector<FusedWorkload>& own, DataType input,
                DataType output) {
    if (input == DataType::f32 && output == DataType::f32) return;
    Workload typed = own.front().workload;
    const Operator& head = network().operators[op];
    if (typed.input_type != DataType::f32 || typed.output_type != DataType::f32) return;
    if (is_quantised(input) || is_quantised(output)) {
      if (!has_int8_form(typed.op) || (keeps_scale(typed.op) && input != output)) return;
    }
    typed.input_type = input;
    typed.output_type = output;
    if (typed.op == Op::add && is_quantised(input)) {
      const DataType second = int8_type(head.inputs[1]);
      if (!admits(head.inputs[0], input) || !is_quantised(second) ||
          !admits(head.inputs[1], second)) {
        return;
      }
      if (second != input) typed.second_type = second;
    } else if (!all_admit(head.inputs, input)) {
      return;
    }
    if (minds_zero_points(typed)) typed.zero_points = zero_point(head.inputs[0]) != 0;
    if (primitives_for(typed).empty()) return;
    std::optional<DataType> residual_type;
    for (const FusedWorkload& way : own) {
      const int last = way.absorbed.empty() ? static_cast<int>(op) : way.absorbed.back();
      if (way.workload.epilogue.residual && way.absorbed.size() == 1) {
        const std::vector<TensorId>& summands = network().operators[last].inputs;
        const TensorId residual = summands[summands.front() == head.outputs.front() ? 1 : 0];
        const DataType type = type_beside(output, residual);
        if (!admits(residual, type) || is_quantised(type) != is_quantised(output)) return;
        if (type != output) residual_type = type;
      }
      // What lies between is not stored.
      if (!all_admit(network().operators[last].outputs, output)) continue;
      typed.epilogue = way.workload.epilogue;
      typed.epilogue.residual_type = residual_type;
      problem_.ways[op].push_back({intern(typed), way.absorbed, input, output, typed.second_type});
    }
  }

  /// Workloads of conversions between the formats of tensors that only images have.
  void find_conversions() {
    std::set<DataType> used = {DataType::f32};
    for (const std::vector<Problem::Way>& ways : problem_.ways) {
      for (const Problem::Way& way : ways) {
        for (const auto& [primitive, id] : candidate_ids_[way.workload]) {
          if (problem_.candidates[id].present()) used.insert({way.input_type, way.output_type});
        }
      }
    }
    for (TensorId t = 0; t < std::ssize(network().tensors); ++t) {
      const Tensor& tensor = network().tensors[t];
      conversions_.emplace_back();
      if (!tensor.shape.is_image()) continue;
      const auto own = [&](DataType type) { return type == DataType::f32 ? tensor.type : type; };
      for (const DataType source : types_of(t)) {
        for (const DataType target : types_of(t)) {
          if (!used.contains(source) || !used.contains(target)) continue;
          Workload workload = Workload::pointwise(Op::convert, tensor.shape);
          workload.input_type = own(source);
          workload.output_type = own(target);
          workload.zero_points = minds_zero_points(workload) && zero_point(t) != 0;
          conversions_.back().push_back({intern(workload), source, target});
        }
      }
      for (const TypeConversion& conversion : conversions_.back()) {
        for (const Primitive* primitive : primitives_for(problem_.workloads[conversion.workload])) {
          if (!candidate_ids_[conversion.workload].contains(primitive))
            add_candidate(assess(conversion.workload, primitive));
        }
      }
    }
  }

  std::vector<const Primitive*> primitives_for(const Workload& workload) const {
    const auto of_operation = by_op_.find(workload.op);
    if (of_operation == by_op_.end()) return {};
    std::vector<const Primitive*> result;
    std::ranges::copy_if(of_operation->second, std::back_inserter(result),
                         [&](const Primitive* p) { return p->info().computes(workload); });
    return result;
  }

  /// Unless it is known: two groups may share workloads.
  void add_candidate(Candidate c) {
    const auto [place, is_new] = candidate_ids_[c.workload].try_emplace(
        c.primitive, static_cast<int>(problem_.candidates.size()));
    if (is_new) problem_.candidates.push_back(std::move(c));
  }

  bool admits_products(const PrimitiveInfo& info) const {
    return limits_.types.contains(info.traits.product_type);
  }

  Candidate assess(int id, const Primitive* primitive) const {
    const Workload& workload = problem_.workloads[id];
    const PrimitiveInfo& info = primitive->info();
    Candidate c;
    c.workload = id;
    c.primitive = primitive;
    const auto absent = [&c](Candidate::Absence absence, std::string reason) {
      c.absence = absence;
      c.reason = std::move(reason);
    };
    if (!admits_products(info)) {
      absent(Candidate::Absence::limits,
             "not admitted: it multiplies in " + std::string(to_string(info.traits.product_type)));
      return c;
    }
    if (std::string reason = excluded_by(limits_, workload, info); !reason.empty()) {
      const auto of_workload = defaults_.find(id);
      if (of_workload == defaults_.end() || of_workload->second != primitive) {
        absent(Candidate::Absence::limits, std::move(reason));
        return c;
      }
      c.baseline_only = true;
      c.reason = std::move(reason);
    }
    if (Applicability answer = primitive->applicability(workload, problem_.context); !answer) {
      absent(Candidate::Absence::inapplicable, std::move(answer.reason));
    } else if (!c.baseline_only) {
      std::string reason = over_workspace(limits_, workload, *primitive, problem_.context);
      if (!reason.empty()) absent(Candidate::Absence::limits, std::move(reason));
    }
    return c;
  }

  /// The ways of an operator in the same types, with what may compute them.
  struct Group {
    std::span<const Problem::Way> ways;
    std::vector<const Primitive*> primitives;
    std::vector<Candidate> candidates = {};  ///< of these, once they are assessed
  };

  void find_candidates() {
    find_defaults();
    std::vector<Group> groups = distinct_groups();
    in_parallel(groups.size(), [&](std::size_t i) { assess(groups[i]); });
    // In the order of the network, whichever thread was first.
    for (Group& group : groups) {
      for (Candidate& c : group.candidates) add_candidate(std::move(c));
    }
    find_conversions();
  }

  /// The library's choice for every convolution.
  void find_defaults() {
    std::vector<int> asked;  // plain workloads
    for (const std::vector<Problem::Way>& ways : problem_.ways) {
      if (ways.empty() || problem_.workloads[ways[0].workload].op != Op::conv) continue;
      if (std::ranges::find(asked, ways[0].workload) == asked.end())
        asked.push_back(ways[0].workload);
    }
    std::vector<const Primitive*> choices(asked.size(), nullptr);
    in_parallel(asked.size(), [&](std::size_t i) {
      const Workload& plain = problem_.workloads[asked[i]];
      const Primitive* choice = problem_.registry->library_default(plain);
      if (choice != nullptr && choice->info().computes(plain)) choices[i] = choice;
    });
    for (std::size_t op = 0; op < problem_.ways.size(); ++op) {
      const std::vector<Problem::Way>& ways = problem_.ways[op];
      if (ways.empty()) continue;
      const auto place = std::ranges::find(asked, ways[0].workload);
      if (place == asked.end() || choices[place - asked.begin()] == nullptr) continue;
      problem_.library_default[op] = choices[place - asked.begin()];
      for (const Problem::Way& way : of_same_types(ways))
        defaults_[way.workload] = problem_.library_default[op];
    }
  }

  std::vector<Group> distinct_groups() const {
    std::vector<Group> groups;
    std::set<std::vector<int>> known;  // workloads of each
    for (std::size_t op = 0; op < problem_.ways.size(); ++op) {
      std::span<const Problem::Way> others = problem_.ways[op];
      while (!others.empty()) {
        Group group{of_same_types(others), {}};
        const bool is_first = others.size() == problem_.ways[op].size();
        others = others.subspan(group.ways.size());
        std::vector<int> workloads;
        for (const Problem::Way& way : group.ways) workloads.push_back(way.workload);
        if (!known.insert(std::move(workloads)).second) continue;
        group.primitives = primitives_for(problem_.workloads[group.ways[0].workload]);
        const Primitive* choice = problem_.library_default[op];
        // One that discovery did not meet.
        if (is_first && choice != nullptr &&
            std::ranges::find(group.primitives, choice) == group.primitives.end()) {
          group.primitives.push_back(choice);
        }
        groups.push_back(std::move(group));
      }
    }
    return groups;
  }

  /// The leading ways that are in the types of the first.
  static std::span<const Problem::Way> of_same_types(std::span<const Problem::Way> ways) {
    const auto end = std::ranges::find_if(ways, [&](const Problem::Way& way) {
      return way.input_type != ways[0].input_type || way.output_type != ways[0].output_type;
    });
    return ways.first(static_cast<std::size_t>(end - ways.begin()));
  }

  void assess(Group& group) const {
    const auto is_present = [&](const Problem::Way& way, const Primitive* primitive) {
      group.candidates.push_back(assess(way.workload, primitive));
      return group.candidates.back().present();
    };
    for (const Primitive* primitive : group.primitives) {
      if (!is_present(group.ways[0], primitive)) continue;
      // Only the longest chain that the primitive can compute.
      for (std::size_t way = group.ways.size() - 1; way > 0; --way) {
        if (is_present(group.ways[way], primitive)) break;
      }
    }
  }

  Result<void> ask_costs(const CostSource& costs) {
    // Grouped by workload, which is what sources answer fastest.
    std::vector<int> present;
    for (std::size_t i = 0; i < problem_.candidates.size(); ++i) {
      if (problem_.candidates[i].present()) present.push_back(static_cast<int>(i));
    }
    std::ranges::stable_sort(present, {}, [&](int i) { return problem_.candidates[i].workload; });
    std::vector<Query> queries;
    for (const int i : present) {
      const Candidate& c = problem_.candidates[i];
      queries.push_back({&problem_.workloads[c.workload], &c.primitive->info()});
    }
    const Clock::time_point start = Clock::now();
    Result<std::vector<Cost>> answers = costs.costs(queries);
    problem_.predict_seconds = std::chrono::duration<double>(Clock::now() - start).count();
    if (!answers) return answers.error();
    for (std::size_t i = 0; i < present.size(); ++i) {
      Candidate& c = problem_.candidates[present[i]];
      c.cost = std::move(answers.value()[i]);
      if (!c.cost.usable()) {
        c.absence = Candidate::Absence::no_cost;
        c.reason = c.cost.reason;
      }
    }
    return {};
  }

  void add_options() {
    problem_.operators.resize(network().operators.size());
    for (std::size_t op = 0; op < problem_.operators.size(); ++op) {
      const Operator& description = network().operators[op];
      std::vector<Option>& options = problem_.operators[op];
      if (description.kind != OperatorKind::compute) {
        options.push_back({});  // nchw, free
        if (description.kind == OperatorKind::reshape) add_typed_reshapes(description, options);
        continue;
      }
      for (const Problem::Way& way : problem_.ways[op]) {
        std::vector<int> ids;
        for (const auto& [primitive, id] : candidate_ids_[way.workload]) ids.push_back(id);
        std::ranges::sort(ids);
        for (const int id : ids) {
          const Candidate& c = problem_.candidates[id];
          if (!c.present()) continue;
          Option option;
          option.candidate = id;
          option.input = {c.primitive->info().input_layout, way.input_type};
          option.output = {c.primitive->info().output_layout, way.output_type};
          option.second_type = way.second_type;
          option.pending_out = static_cast<int>(way.absorbed.size());
          options.push_back(option);
        }
      }
      for (std::size_t input = 0; input < description.inputs.size(); ++input) {
        const int longest = longest_chain_into(static_cast<int>(op), description.inputs[input]);
        for (int pending = 1; pending <= longest; ++pending) {
          for_each_format(
              chain_result(description.inputs[input], pending), [&](TensorFormat format) {
                if (!may_be_written(description.inputs[input], format, pending)) return;
                Option option{-1, format, format, static_cast<int>(input), pending, pending - 1};
                option.residual_type = format.type;
                if (description.inputs.size() > 1) {
                  option.residual_type = type_beside(format.type, description.inputs[1 - input]);
                }
                options.push_back(option);
                option.placed = true;
                if (may_be_placed(description.inputs[input], pending, format.layout)) {
                  options.push_back(option);
                }
              });
        }
      }
      if (description.workload.op != Op::concat) continue;
      for_each_format(description.outputs.front(), [&](TensorFormat format) {
        const bool written = std::ranges::all_of(description.inputs, [&](TensorId part) {
          return admits(part, format.type) && may_be_written(part, format, 0);
        });
        if (!written || !may_be_placed(description.inputs.front(), 0, format.layout)) return;
        Option option{-1, format, format};
        option.in_place = true;
        options.push_back(option);
      });
    }
  }

  /// Views of plain tensors of any type.
  void add_typed_reshapes(const Operator& reshape, std::vector<Option>& options) const {
    for (const DataType type : std::span(problem_.types).subspan(1)) {
      if (!all_admit(reshape.inputs, type) || !all_admit(reshape.outputs, type)) continue;
      const TensorFormat format{Layout::nchw, type};
      options.push_back({-1, format, format});
    }
  }

  /// Whether the tensor's producer has an option that leaves it in that format, in types other than
  /// f32, with so many operators of a chain to come. In f32 all layouts count.
  bool may_be_written(TensorId tensor, TensorFormat format, int pending) const {
    if (format.type == DataType::f32) return true;
    const int producer = flow_.producer[tensor];
    return producer >= 0 &&
           std::ranges::any_of(problem_.operators[producer], [&](const Option& option) {
             return option.output == format && option.pending_out == pending;
           });
  }

  /// Most operators that the tensor's producer may absorb, if `op` is the first of them.
  int longest_chain_into(int op, TensorId tensor) const {
    const int producer = flow_.producer[tensor];
    if (producer < 0 || problem_.ways[producer].empty()) return 0;
    const std::vector<int>& absorbed = of_same_types(problem_.ways[producer]).back().absorbed;
    return !absorbed.empty() && absorbed.front() == op ? static_cast<int>(absorbed.size()) : 0;
  }

  /// The result of the chain that the tensor is in with so many operators to come.
  TensorId chain_result(TensorId tensor, int pending) const {
    for (; pending > 0; --pending) {
      tensor = network().operators[flow_.only_consumer(tensor)].outputs.front();
    }
    return tensor;
  }

  /// Whether a tensor in this layout, or the result of the chain that it is in with so many
  /// operators to come, may be a part of a concatenation without being copied.
  bool may_be_placed(TensorId tensor, int pending, Layout layout) const {
    const int concatenation = problem_.concatenation[chain_result(tensor, pending)];
    return concatenation >= 0 && parts_fit(network().operators[concatenation].workload, layout);
  }

  Result<void> check_options() const {
    for (std::size_t op = 0; op < problem_.operators.size(); ++op) {
      const bool possible = std::ranges::any_of(problem_.operators[op], [&](const Option& o) {
        return o.candidate < 0 || !problem_.candidates[o.candidate].baseline_only;
      });
      if (possible) continue;
      return nothing_left(static_cast<int>(op));
    }
    return {};
  }

  /// One sentence with the reason that the user can do most about: a limit that keeps out what
  /// would do, else an unknown cost, else that nothing applies.
  Error nothing_left(int op) const {
    const int id = problem_.ways[op][0].workload;
    const Workload& workload = problem_.workloads[id];
    if (const std::string lack = lack_of_primitives(*problem_.registry, workload); !lack.empty()) {
      return make_error(ErrorCode::environment, "operator '" + network().operators[op].name +
                                                    "' cannot be planned: " + lack);
    }
    const std::string sentence = "no primitive is left for operator '" +
                                 network().operators[op].name + "' (" + workload.text() + ")";
    Error error = make_error(ErrorCode::environment, sentence + ": there is none for it here");
    for (const Candidate& c : problem_.candidates) {
      if (c.workload != id) continue;
      const std::string example = sentence + ": " + c.primitive->info().name;
      if (c.baseline_only || (c.absence == Candidate::Absence::limits &&
                              c.primitive->applicability(workload, problem_.context))) {
        return make_error(ErrorCode::usage, example + " would do but is " + c.reason);
      }
      if (c.absence == Candidate::Absence::no_cost) {
        error = make_error(ErrorCode::bad_input, example + " is " + c.reason);
      }
    }
    return error;
  }

  void add_conversions() {
    for (const std::vector<TypeConversion>& conversions : conversions_) {
      std::vector<int>& fastest = problem_.conversions.emplace_back();
      if (conversions.empty()) continue;
      fastest.assign(problem_.formats() * problem_.formats(), -1);
      for (const auto& [workload, source_type, target_type] : conversions) {
        for (const auto& [primitive, id] : candidate_ids_[workload]) {
          const Candidate& c = problem_.candidates[id];
          if (!c.present()) continue;
          const std::size_t source = problem_.number({primitive->info().input_layout, source_type});
          const std::size_t target =
              problem_.number({primitive->info().output_layout, target_type});
          int& best = fastest[source * problem_.formats() + target];
          if (best >= 0) {
            const double ns = problem_.candidates[best].cost.choice_ns();
            if (ns < c.cost.choice_ns() || (ns == c.cost.choice_ns() && best < id)) continue;
          }
          best = id;
        }
      }
    }
  }

  /// Formats in which each tensor is written, and in which it is read, by any option that does so
  /// in memory.
  void note_formats() {
    written_.resize(network().tensors.size());
    read_.resize(network().tensors.size());
    for (std::size_t op = 0; op < problem_.operators.size(); ++op) {
      const Operator& description = network().operators[op];
      for (const Option& option : problem_.operators[op]) {
        for (const TensorId t : description.outputs) written_[t].add(option.output);
        for (std::size_t i = 0; i < description.inputs.size(); ++i) {
          read_[description.inputs[i]].add(option.input_at(static_cast<int>(i)));
        }
      }
    }
    for (const TensorId t : network().inputs) written_[t].add({});
    for (const TensorId t : network().outputs) read_[t].add({});
  }

  void add_states() {
    note_formats();
    problem_.tensors.resize(network().tensors.size());
    for (TensorId t = 0; t < std::ssize(network().tensors); ++t) {
      written_[t].for_each([&](TensorFormat produced) { add_states(t, produced); });
    }
  }

  void add_states(TensorId t, TensorFormat produced) {
    std::vector<TensorState>& states = problem_.tensors[t];
    const auto readers =
        static_cast<int>(flow_.consumers[t].size()) + (flow_.is_output[t] != 0 ? 1 : 0);
    std::vector<TensorFormat> targets;
    read_[t].for_each([&](TensorFormat target) {
      if (target != produced && problem_.conversion(t, produced, target) >= 0) {
        targets.push_back(target);
      }
    });
    for (unsigned subset = 0; subset < 1U << targets.size(); ++subset) {
      // Inside a chain it has the format of the chain's result.
      if (std::popcount(subset) > readers || !admits(t, produced.type)) continue;
      TensorState state{produced, {}, 0};
      for (std::size_t i = 0; i < targets.size(); ++i) {
        if ((subset >> i & 1U) != 0) state.converted.add(targets[i]);
      }
      if (flow_.is_output[t] != 0 && !state.available({})) continue;
      states.push_back(state);
      if (state.converted.size() == readers) continue;  // the concatenation reads no copy
      if (!may_be_placed(t, 0, produced.layout)) continue;
      bool views = true;
      problem_.for_each_conversion(t, state, [&](int id, TensorFormat) {
        views = views && takes_views(problem_, problem_.candidates[id].primitive, t, produced);
      });
      if (views) states.push_back({produced, state.converted, 0, true});
    }
    const int reader = flow_.only_consumer(t);
    if (reader < 0) return;
    const int longest = longest_chain_into(reader, t);
    for (int pending = 1; pending <= longest; ++pending) {
      states.push_back({produced, {}, pending});
      if (may_be_placed(t, pending, produced.layout)) {
        states.push_back({produced, {}, pending, true});
      }
    }
  }

  /// Conversions between any two layouts of two types.
  struct TypeConversion {
    int workload = -1;
    DataType source = DataType::f32, target = DataType::f32;
  };

  const Limits& limits_;
  DataFlow flow_;
  Problem problem_;
  std::unordered_map<Op, std::vector<const Primitive*>> by_op_;
  std::unordered_map<std::string, int> workload_ids_;
  std::vector<std::unordered_map<const Primitive*, int>> candidate_ids_;  // by workload
  std::unordered_map<int, const Primitive*> defaults_;                    // by workload
  std::vector<std::vector<DataType>> types_;                              // by tensor, f32 first
  std::vector<std::vector<TypeConversion>> conversions_;                  // by tensor
  std::vector<FormatSet> written_, read_;                                 // by tensor
};

}  // namespace

std::string excluded_by(const Limits& limits, const Workload& workload, const PrimitiveInfo& info) {
  if (workload.op != Op::conv) return {};
  if (!limits.allow.empty() && !names(limits.allow, info)) {
    return "not among the allowed primitives";
  }
  if (names(limits.exclude, info)) return "excluded by name or family";
  if (!(limits.max_error > 0)) return {};
  const double bound = error_bound(workload, info.traits);
  if (bound <= limits.max_error) return {};
  return "too inexact: its error may reach " + significant(bound, 2) + " of the result, not " +
         significant(limits.max_error, 2);
}

std::string over_workspace(const Limits& limits, const Workload& workload,
                           const Primitive& primitive, const Context& context) {
  if (limits.max_workspace == SIZE_MAX) return {};
  const std::size_t bytes = primitive.workspace_bytes(workload, context);
  if (bytes <= limits.max_workspace) return {};
  return "over the limit of workspace: it needs " + counted(bytes, "byte") + ", allowed are " +
         std::to_string(limits.max_workspace);
}

double Problem::state_ns(std::size_t tensor, const TensorState& state) const {
  double sum = 0;
  for_each_conversion(tensor, state,
                      [&](int id, TensorFormat) { sum += candidates[id].cost.choice_ns(); });
  return sum;
}

std::string lack_of_primitives(const Registry& registry, const Workload& workload) {
  if (std::ranges::any_of(registry.primitives(),
                          [&](const Primitive* p) { return p->info().computes(workload); })) {
    return {};
  }
  std::string types(to_string(workload.input_type));
  if (workload.output_type != workload.input_type) {
    types += " to " + std::string(to_string(workload.output_type));
  }
  if (!workload.is_image()) {
    types += " tensors of rank " + std::to_string(workload.first.rank());
    if (workload.first.is_image()) types += " along axis " + std::to_string(workload.axis);
  }
  return "no primitive computes " + std::string(to_string(workload.op)) + " of " + types;
}

Result<Problem> build_problem(const Network& network, const Registry& registry,
                              const CostSource& costs, const Limits& limits) {
  return Builder(network, registry, limits).build(costs);
}

ProblemGraph to_graph(const Problem& problem, const OptionFilter& filter,
                      const Surcharge& surcharge, Keep keep) {
  const std::vector<Operator>& operators = problem.network->operators;
  ProblemGraph result;
  // Formats that the operators' remaining options produce, by the operators still to come in a
  // chain, and read of each tensor: a state that is never produced, or converts to a format that is
  // never read, can be dropped.
  std::vector<std::array<FormatSet, kLongestChain + 1>> offered(problem.tensors.size());
  std::vector<FormatSet> asked(problem.tensors.size());
  for (std::size_t op = 0; op < problem.operators.size(); ++op) {
    std::vector<int> kept;
    std::vector<double> costs;
    for (std::size_t i = 0; i < problem.operators[op].size(); ++i) {
      const Option& option = problem.operators[op][i];
      const bool baseline_only =
          option.candidate >= 0 && problem.candidates[option.candidate].baseline_only;
      if (filter ? !filter(static_cast<int>(op), option) : baseline_only) continue;
      const double ns = problem.option_ns(option) +
                        (surcharge.option ? surcharge.option(static_cast<int>(op), option) : 0.0);
      if (keep == Keep::cheapest_of_alike) {
        const auto alike = std::ranges::find_if(kept, [&](int other) {
          return are_alike(problem, problem.operators[op][other], option);
        });
        if (alike != kept.end()) {
          const auto least = costs.begin() + (alike - kept.begin());
          if (*least <= ns) continue;
          costs.erase(least);
          kept.erase(alike);
        }
      }
      kept.push_back(static_cast<int>(i));
      costs.push_back(ns);
      for (const TensorId t : operators[op].outputs) {
        offered[t][option.pending_out].add(option.output);
      }
      for (std::size_t input = 0; input < operators[op].inputs.size(); ++input) {
        asked[operators[op].inputs[input]].add(option.input_at(static_cast<int>(input)));
      }
    }
    result.graph.add_node(std::move(costs));
    result.labels.push_back(std::move(kept));
  }
  for (const TensorId t : problem.network->inputs) offered[t][0].add({});
  for (const TensorId t : problem.network->outputs) asked[t].add({});
  for (std::size_t t = 0; t < problem.tensors.size(); ++t) {
    std::vector<int> kept;
    std::vector<double> costs;
    for (std::size_t i = 0; i < problem.tensors[t].size(); ++i) {
      const TensorState& state = problem.tensors[t][i];
      if (!offered[t][state.pending].contains(state.produced)) continue;
      if (!state.converted.is_within(asked[t])) continue;
      kept.push_back(static_cast<int>(i));
      costs.push_back(problem.state_ns(t, state) +
                      (surcharge.state ? surcharge.state(t, state) : 0.0));
    }
    result.graph.add_node(std::move(costs));
    result.labels.push_back(std::move(kept));
  }

  const auto connect = [&](std::size_t op, TensorId t, auto agree) {
    const std::size_t node = operators.size() + static_cast<std::size_t>(t);
    const std::vector<int>& options = result.labels[op];
    const std::vector<int>& states = result.labels[node];
    pbqp::Matrix costs(static_cast<int>(options.size()), static_cast<int>(states.size()));
    for (int i = 0; i < costs.rows(); ++i) {
      for (int j = 0; j < costs.columns(); ++j) {
        if (!agree(problem.operators[op][options[i]], problem.tensors[t][states[j]])) {
          costs(i, j) = pbqp::kImpossible;
        }
      }
    }
    result.graph.add_edge(static_cast<int>(op), static_cast<int>(node), std::move(costs));
  };
  for (std::size_t op = 0; op < operators.size(); ++op) {
    for (const TensorId t : operators[op].outputs) {
      connect(op, t, [&](const Option& option, const TensorState& state) {
        return can_write(problem, option, t, state);
      });
    }
    for (std::size_t input = 0; input < operators[op].inputs.size(); ++input) {
      const TensorId t = operators[op].inputs[input];
      connect(op, t, [&](const Option& option, const TensorState& state) {
        return can_read(problem, op, option, static_cast<int>(input), t, state);
      });
    }
  }
  return result;
}

Result<Solution> solve(const Problem& problem, std::chrono::duration<double> time_limit,
                       const OptionFilter& filter, const Surcharge& surcharge) {
  ProblemGraph formulated = to_graph(problem, filter, surcharge, Keep::cheapest_of_alike);
  const pbqp::GraphSolution solved = pbqp::solve(formulated.graph, time_limit);
  if (!solved.feasible()) {
    return make_error(ErrorCode::environment,
                      "no plan exists for network '" + problem.network->name +
                          "': some layouts cannot be converted into those that follow");
  }
  Solution result;
  result.ns = solved.cost;
  result.lower_bound_ns = solved.lower_bound;
  result.optimal = solved.optimal();
  result.gap = solved.gap();
  result.branches = solved.branches;
  const std::size_t count = problem.operators.size();
  for (std::size_t node = 0; node < formulated.labels.size(); ++node) {
    std::vector<int>& part = node < count ? result.assignment.operators : result.assignment.tensors;
    part.push_back(formulated.labels[node][solved.choice[node]]);
  }
  return result;
}

namespace {

/// One for each operator that takes time and for each conversion.
std::vector<int> used_candidates(const Problem& problem, const Assignment& assignment) {
  std::vector<int> used;
  for (std::size_t op = 0; op < problem.operators.size(); ++op) {
    const Option& option = problem.operators[op][assignment.operators[op]];
    if (option.candidate >= 0) used.push_back(option.candidate);
  }
  for (std::size_t t = 0; t < problem.tensors.size(); ++t) {
    problem.for_each_conversion(t, problem.tensors[t][assignment.tensors[t]],
                                [&](int id, TensorFormat) { used.push_back(id); });
  }
  return used;
}

}  // namespace

double time_ns(const Problem& problem, const Assignment& assignment) {
  double sum = 0;
  for (std::size_t op = 0; op < problem.operators.size(); ++op)
    sum += problem.option_ns(problem.operators[op][assignment.operators[op]]);
  for (std::size_t t = 0; t < problem.tensors.size(); ++t)
    sum += problem.state_ns(t, problem.tensors[t][assignment.tensors[t]]);
  return sum;
}

double expected_ns(const Problem& problem, const Assignment& assignment) {
  double sum = 0;
  for (const int id : used_candidates(problem, assignment))
    sum += problem.candidates[id].cost.estimate.ns;
  return sum;
}

Result<Solution> solve_in_own_types(const Problem& problem,
                                    std::chrono::duration<double> time_limit) {
  return solve(problem, time_limit, [&](int, const Option& option) {
    return problem.in_own_types(option) &&
           (option.candidate < 0 || !problem.candidates[option.candidate].baseline_only);
  });
}

Result<double> price_ns(const Problem& problem, const Assignment& assignment,
                        const CostSource& costs) {
  std::vector<Query> queries;
  for (const int id : used_candidates(problem, assignment)) {
    const Candidate& c = problem.candidates[id];
    queries.push_back({&problem.workloads[c.workload], &c.primitive->info()});
  }
  const Result<std::vector<Cost>> answers = costs.costs(queries);
  if (!answers) return answers.error();
  double sum = 0;
  for (std::size_t i = 0; i < queries.size(); ++i) {
    const Cost& cost = answers.value()[i];
    if (!cost.usable()) {
      return make_error(ErrorCode::bad_input, "no time is known for " + queries[i].primitive->name +
                                                  " on " + queries[i].workload->text() + ": " +
                                                  cost.reason);
    }
    sum += cost.estimate.ns;
  }
  return sum;
}

}  // namespace convopt
