// build_problem(): the candidates, options and states of a network.
#include <algorithm>
#include <bit>
#include <chrono>
#include <iterator>
#include <optional>
#include <set>
#include <span>
#include <unordered_map>
#include <utility>

#include "core/parallel.h"
#include "core/quantisation.h"
#include "core/text.h"
#include "src/select/calibration.h"
#include "src/select/problem.h"

namespace convopt {
namespace {

using Clock = std::chrono::steady_clock;

bool names(const std::vector<std::string>& list, const PrimitiveInfo& info) {
  return std::ranges::any_of(
      list, [&](const std::string& name) { return name == info.name || name == info.family; });
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
    find_variants();
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
    const Workload workload = timed_as(given);
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

  void find_variants() {
    const std::size_t count = network().operators.size();
    problem_.variants.resize(count);
    problem_.library_default.resize(count, nullptr);
    for (std::size_t op = 0; op < count; ++op) {
      if (network().operators[op].kind != OperatorKind::compute) continue;
      const std::vector<FusedWorkload> own = fusions(network(), flow_, static_cast<int>(op));
      for (const FusedWorkload& variant : own) {
        problem_.variants[op].push_back({intern(variant.workload), variant.absorbed});
      }
      for (const DataType input : problem_.types) {
        for (const DataType output : problem_.types) add_typed_variants(op, own, input, output);
      }
    }
  }

  /// The variants in types that are not the network's, as far as the tensors admit them.
  void add_typed_variants(std::size_t op, const std::vector<FusedWorkload>& own, DataType input,
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
    for (const FusedWorkload& variant : own) {
      if (variant.workload.op != typed.op) break;  // what scales its source is in f32
      const int last = variant.absorbed.empty() ? static_cast<int>(op) : variant.absorbed.back();
      if (variant.workload.epilogue.residual && variant.absorbed.size() == 1) {
        const std::vector<TensorId>& summands = network().operators[last].inputs;
        const TensorId residual = summands[summands.front() == head.outputs.front() ? 1 : 0];
        const DataType type = type_beside(output, residual);
        if (!admits(residual, type) || is_quantised(type) != is_quantised(output)) return;
        if (type != output) residual_type = type;
      }
      // What lies between is not stored.
      if (!all_admit(network().operators[last].outputs, output)) continue;
      typed.epilogue = variant.workload.epilogue;
      typed.epilogue.residual_type = residual_type;
      problem_.variants[op].push_back(
          {intern(typed), variant.absorbed, input, output, typed.second_type});
    }
  }

  /// Workloads of conversions between the formats of tensors that only images have.
  void find_conversions() {
    std::set<DataType> used = {DataType::f32};
    for (const std::vector<Problem::Variant>& variants : problem_.variants) {
      for (const Problem::Variant& variant : variants) {
        for (const auto& [primitive, id] : candidate_ids_[variant.workload]) {
          if (problem_.candidates[id].present())
            used.insert({variant.input_type, variant.output_type});
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

  /// Why the limits leave out what the primitive multiplies; empty if they do not.
  std::string excluded_product(const Traits& traits) const {
    if (!limits_.types.contains(traits.product_type))
      return "not admitted: it multiplies in " + std::string(to_string(traits.product_type));
    if (!limits_.types.contains(traits.weight_type))
      return "not admitted: it keeps weights in " + std::string(to_string(traits.weight_type));
    return {};
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
    if (std::string reason = excluded_product(info.traits); !reason.empty()) {
      absent(Candidate::Absence::limits, std::move(reason));
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

  /// The variants of an operator by the same operation in the same types, with what may compute
  /// them.
  struct Group {
    std::span<const Problem::Variant> variants;
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
    for (const std::vector<Problem::Variant>& variants : problem_.variants) {
      if (variants.empty() || problem_.workloads[variants[0].workload].op != Op::conv) continue;
      if (std::ranges::find(asked, variants[0].workload) == asked.end())
        asked.push_back(variants[0].workload);
    }
    std::vector<const Primitive*> choices(asked.size(), nullptr);
    in_parallel(asked.size(), [&](std::size_t i) {
      const Workload& plain = problem_.workloads[asked[i]];
      const Primitive* choice = problem_.registry->library_default(plain);
      if (choice != nullptr && choice->info().computes(plain)) choices[i] = choice;
    });
    for (std::size_t op = 0; op < problem_.variants.size(); ++op) {
      const std::vector<Problem::Variant>& variants = problem_.variants[op];
      if (variants.empty()) continue;
      const auto place = std::ranges::find(asked, variants[0].workload);
      if (place == asked.end() || choices[place - asked.begin()] == nullptr) continue;
      problem_.library_default[op] = choices[place - asked.begin()];
      for (const Problem::Variant& variant : of_same_types(variants))
        defaults_[variant.workload] = problem_.library_default[op];
    }
  }

  std::vector<Group> distinct_groups() const {
    std::vector<Group> groups;
    std::set<std::vector<int>> known;  // workloads of each
    for (std::size_t op = 0; op < problem_.variants.size(); ++op) {
      std::span<const Problem::Variant> others = problem_.variants[op];
      while (!others.empty()) {
        Group group{of_same_operation(of_same_types(others)), {}};
        const bool is_first = others.size() == problem_.variants[op].size();
        others = others.subspan(group.variants.size());
        std::vector<int> workloads;
        for (const Problem::Variant& variant : group.variants)
          workloads.push_back(variant.workload);
        if (!known.insert(std::move(workloads)).second) continue;
        group.primitives = primitives_for(problem_.workloads[group.variants[0].workload]);
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

  /// The leading variants that are in the types of the first.
  static std::span<const Problem::Variant> of_same_types(
      std::span<const Problem::Variant> variants) {
    const auto end = std::ranges::find_if(variants, [&](const Problem::Variant& variant) {
      return variant.input_type != variants[0].input_type ||
             variant.output_type != variants[0].output_type;
    });
    return variants.first(static_cast<std::size_t>(end - variants.begin()));
  }

  /// The leading variants that are the first one's operation: a product's own, or all convolutions
  /// that it is folded into.
  std::span<const Problem::Variant> of_same_operation(
      std::span<const Problem::Variant> variants) const {
    const Op op = problem_.workloads[variants[0].workload].op;
    const auto end = std::ranges::find_if(variants, [&](const Problem::Variant& variant) {
      return problem_.workloads[variant.workload].op != op;
    });
    return variants.first(static_cast<std::size_t>(end - variants.begin()));
  }

  void assess(Group& group) const {
    const auto is_present = [&](const Problem::Variant& variant, const Primitive* primitive) {
      group.candidates.push_back(assess(variant.workload, primitive));
      return group.candidates.back().present();
    };
    for (const Primitive* primitive : group.primitives) {
      if (!is_present(group.variants[0], primitive)) continue;
      // Only the longest chain that the primitive can compute.
      for (std::size_t variant = group.variants.size() - 1; variant > 0; --variant) {
        if (is_present(group.variants[variant], primitive)) break;
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
      add_primitives(op, options);
      for (std::size_t input = 0; input < description.inputs.size(); ++input) {
        add_absorbed(static_cast<int>(op), input, options);
      }
      if (description.workload.op == Op::concat) add_in_place(description, options);
    }
  }

  /// The operator by each primitive, alone or with the operators that it absorbs.
  void add_primitives(std::size_t op, std::vector<Option>& options) const {
    for (const Problem::Variant& variant : problem_.variants[op]) {
      std::vector<int> ids;
      for (const auto& [primitive, id] : candidate_ids_[variant.workload]) ids.push_back(id);
      std::ranges::sort(ids);
      for (const int id : ids) {
        const Candidate& c = problem_.candidates[id];
        if (!c.present()) continue;
        Option option;
        option.candidate = id;
        option.input = {c.primitive->info().input_layout, variant.input_type};
        option.output = {c.primitive->info().output_layout, variant.output_type};
        option.second_type = variant.second_type;
        option.pending_out = static_cast<int>(variant.absorbed.size());
        options.push_back(option);
      }
    }
  }

  /// The operator in the epilogue of the chain that produces this input.
  void add_absorbed(int op, std::size_t input, std::vector<Option>& options) const {
    const std::vector<TensorId>& inputs = network().operators[op].inputs;
    const TensorId tensor = inputs[input];
    const int longest = longest_chain_into(op, tensor);
    for (int pending = 1; pending <= longest; ++pending) {
      for_each_format(chain_result(tensor, pending), [&](TensorFormat format) {
        if (!may_be_written(tensor, format, pending)) return;
        Option option{-1, format, format, static_cast<int>(input), pending, pending - 1};
        option.residual_type = format.type;
        if (inputs.size() > 1) option.residual_type = type_beside(format.type, inputs[1 - input]);
        options.push_back(option);
        option.placed = true;
        if (may_be_placed(tensor, pending, format.layout)) options.push_back(option);
      });
    }
  }

  /// A concatenation whose parts are written into its result by their producers.
  void add_in_place(const Operator& concatenation, std::vector<Option>& options) const {
    for_each_format(concatenation.outputs.front(), [&](TensorFormat format) {
      const bool written = std::ranges::all_of(concatenation.inputs, [&](TensorId part) {
        return admits(part, format.type) && may_be_written(part, format, 0);
      });
      if (!written || !may_be_placed(concatenation.inputs.front(), 0, format.layout)) return;
      Option option{-1, format, format};
      option.in_place = true;
      options.push_back(option);
    });
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
    if (producer < 0 || problem_.variants[producer].empty()) return 0;
    const std::vector<int>& absorbed = of_same_types(problem_.variants[producer]).back().absorbed;
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
    const int id = problem_.variants[op][0].workload;
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
      fastest.assign(problem_.format_count() * problem_.format_count(), -1);
      for (const auto& [workload, source_type, target_type] : conversions) {
        for (const auto& [primitive, id] : candidate_ids_[workload]) {
          const Candidate& c = problem_.candidates[id];
          if (!c.present()) continue;
          const std::size_t source =
              problem_.format_index({primitive->info().input_layout, source_type});
          const std::size_t target =
              problem_.format_index({primitive->info().output_layout, target_type});
          int& best = fastest[source * problem_.format_count() + target];
          if (best >= 0) {
            const double ns = problem_.candidates[best].cost.risk_adjusted_ns();
            if (ns < c.cost.risk_adjusted_ns() || (ns == c.cost.risk_adjusted_ns() && best < id))
              continue;
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
        views = views && problem_.takes_views(*problem_.candidates[id].primitive, t, produced);
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

}  // namespace convopt
