// The selection for a network as a PBQP. Nodes are operators and tensors. Every operator takes one
// of its options; every tensor is in one of its states: the format in which it was produced, and
// the formats to which it was converted besides. The tensor pays for a conversion, so once however
// many consumers share it. Edges between operators and tensors are constraints, of cost zero or
// infinity; all other costs are at the nodes, and their sum is the time of the network.
//
// Fusing is a state, too: a tensor between a convolution and an operator that it absorbs never
// exists in memory. Its state says in which format the chain is computed and how many operators of
// the chain are still to come (`pending`); the absorbed operators' options cost nothing and pass
// the chain on. So an addition may be absorbed by either of its producers, and the other one's
// tensor must be in the format of the first one's result.
//
// A concatenation costs nothing where the producers of its parts write into it. That, too, is a
// state of these tensors (`placed`), which only primitives may write and read that can handle
// views.
//
// A format is a layout and a type. Only image tensors that the network has in f32 may take other
// types; all others have one, their own, for which f32 stands in their formats. The network is fed
// and read in nchw and in its own types.
//
// In int8, a tensor has one type and one scale, which follow from its range (calibration.h) and not
// from the choice. Operators that only move data keep them. A tensor inside a chain is never
// stored, so its format is that of the chain's result; a residual may be of the other of both
// types.
#pragma once

#include <algorithm>
#include <chrono>
#include <deque>
#include <functional>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "convopt/error.hpp"
#include "convopt/network.hpp"
#include "convopt/primitive.hpp"
#include "src/select/costs.h"
#include "src/select/format_set.h"
#include "src/select/fusion.h"
#include "src/select/pbqp/graph.h"
#include "src/select/tensor_scale.h"

namespace convopt {

/// Limits of the primitives in a plan. Names are of primitives or families, and concern
/// convolutions only: other operators take whatever is fastest.
struct Limits {
  std::vector<std::string> allow = {};  ///< empty: all
  std::vector<std::string> exclude = {};
  std::size_t max_workspace = SIZE_MAX;  ///< bytes, of every operator
  double max_error = 0;  ///< convolutions whose error_bound() is larger are left out; 0: no limit
  /// In which tensors may be stored, weights kept and products computed. Always with f32.
  std::set<DataType> types = {DataType::f32};
  /// Per tensor of the network, how it is stored in int8. Empty: none is.
  std::vector<TensorScale> scales = {};
};

/// Reason why the limits leave out a primitive for its name or its error; empty if they do not.
std::string excluded_by(const Limits& limits, const Workload& workload, const PrimitiveInfo& info);
/// Reason why the limits leave out a primitive for its workspace, if it applies; else empty.
std::string over_workspace(const Limits& limits, const Workload& workload,
                           const Primitive& primitive, const Context& context);

/// A primitive for a workload, whether it may be used or not.
struct Candidate {
  enum class Absence : std::uint8_t { none, inapplicable, limits, no_cost };

  int workload = -1;  ///< index into Problem::workloads
  const Primitive* primitive = nullptr;
  Absence absence = Absence::none;
  std::string reason;  ///< of its absence
  /// Used in baselines only: the library's own choice, which the limits exclude.
  bool baseline_only = false;
  Cost cost;

  bool present() const { return absence == Absence::none; }
};

struct Option {
  int candidate = -1;          ///< index into Problem::candidates; -1: takes no time of its own
  TensorFormat input, output;  ///< of all inputs, of all outputs and a residual
  int absorbed_through = -1;   ///< input through which the operator is absorbed; -1: it is not
  int pending_in = 0;          ///< operators still to come in a chain: this one and its successors
  int pending_out = 0;         ///< operators that this one's chain still absorbs after it
  bool in_place = false;       ///< a concatenation whose parts are already where it wants them
  bool placed = false;         ///< absorbed: its chain's result is such a part
  DataType residual_type = DataType::f32;    ///< absorbed: of the inputs that are not in the chain
  std::optional<DataType> second_type = {};  ///< not absorbed: of the second input, see Workload

  /// Value of `pending` that it requires of its input's tensor.
  int pending_at(int input_index) const { return input_index == absorbed_through ? pending_in : 0; }
  /// The format in which it reads an input.
  TensorFormat input_at(int input_index) const {
    if (absorbed_through >= 0 && input_index != absorbed_through) {
      return {input.layout, residual_type};
    }
    return input_index == 1 ? TensorFormat{input.layout, second_type.value_or(input.type)} : input;
  }
  bool operator==(const Option&) const = default;
};

struct TensorState {
  TensorFormat produced;
  FormatSet converted;  ///< exists in these formats, too
  int pending = 0;      ///< > 0: inside a chain, not in memory
  bool placed = false;  ///< it, or the chain's result, is a part of a concatenation's result

  bool available(TensorFormat format) const {
    return format == produced || converted.contains(format);
  }
};

struct Problem {
  const Network* network = nullptr;
  const Registry* registry = nullptr;
  Context context;

  std::deque<Workload> workloads;  ///< distinct; addresses are stable
  std::vector<Candidate> candidates;
  /// An operator with the operators that it absorbs, in one combination of types.
  struct Variant {
    int workload = -1;
    std::vector<int> absorbed;
    DataType input_type = DataType::f32, output_type = DataType::f32;
    std::optional<DataType> second_type = {};  ///< see Workload
  };
  /// Per operator. First in the network's own types, then in each other combination that primitives
  /// compute; in each of them by itself first, then with longer and longer chains.
  std::vector<std::vector<Variant>> variants;
  std::vector<const Primitive*> library_default;  ///< per operator; null: none, or no convolution
  std::vector<int> concatenation;                 ///< per tensor, see placements()

  std::vector<DataType> types;      ///< of any tensor's formats, f32 first
  std::vector<TensorScale> scales;  ///< per tensor, as the limits give them; or empty
  /// Per tensor, index of the fastest candidate from format to format, see conversion().
  std::vector<std::vector<int>> conversions;

  std::vector<std::vector<Option>> operators;
  std::vector<std::vector<TensorState>> tensors;
  double predict_seconds = 0;  ///< spent asking for costs

  /// Risk-adjusted (see Cost), as is state_ns().
  double option_ns(const Option& option) const {
    return option.candidate < 0 ? 0.0 : candidates[option.candidate].cost.risk_adjusted_ns();
  }
  /// Whether the option reads, multiplies and writes in the network's own types, by weights as they
  /// are.
  bool in_own_types(const Option& option) const {
    if (option.input.type != DataType::f32 || option.output.type != DataType::f32) return false;
    return option.candidate < 0 ||
           candidates[option.candidate].primitive->info().traits.type_of_weights() == DataType::f32;
  }
  double state_ns(std::size_t tensor, const TensorState& state) const;
  /// Whether the primitive can read or write the tensor as channels of a larger one.
  bool takes_views(const Primitive& primitive, TensorId tensor, TensorFormat format) const;
  /// Index of the fastest candidate that converts the tensor; -1: there is none.
  int conversion(std::size_t tensor, TensorFormat source, TensorFormat target) const {
    const std::vector<int>& candidates_of_pairs = conversions[tensor];
    const std::size_t place = format_index(source) * format_count() + format_index(target);
    return place < candidates_of_pairs.size() ? candidates_of_pairs[place] : -1;
  }
  /// Calls `visit(candidate, target)` for each conversion of the state.
  template <class Visit>
  void for_each_conversion(std::size_t tensor, const TensorState& state, Visit visit) const {
    state.converted.for_each(
        [&](TensorFormat target) { visit(conversion(tensor, state.produced, target), target); });
  }

  std::size_t format_count() const { return types.size() * kLayouts.size(); }
  /// Position of the format among those of all types.
  std::size_t format_index(TensorFormat format) const {
    const auto type = std::ranges::find(types, format.type) - types.begin();
    return static_cast<std::size_t>(type) * kLayouts.size() +
           static_cast<std::size_t>(format.layout);
  }
};

/// Which operation and types no primitive of the registry is for, in words; empty if there is one.
std::string lack_of_primitives(const Registry& registry, const Workload& workload);

/// Asks the registry what applies and the source, once, what it costs. Network and registry outlive
/// the problem. Fails if some operator is left without any option.
Result<Problem> build_problem(const Network& network, const Registry& registry,
                              const CostSource& costs, const Limits& limits = {});

/// An option for every operator and a state for every tensor, as indices.
struct Assignment {
  std::vector<int> operators, tensors;
  bool operator==(const Assignment&) const = default;
};

struct Solution {
  Assignment assignment;
  double ns = 0;  ///< risk-adjusted (see Cost)
  double lower_bound_ns = 0;
  bool optimal = false;
  double gap = 0;  ///< relative distance to the lower bound
  int branches = 0;
};

/// Filter of an operator's options. The default leaves out those that only baselines may
/// use.
using OptionFilter = std::function<bool(int op, const Option& option)>;

/// Penalties in nanoseconds that are added to the costs of options and states (Lagrange multipliers
/// of memory and error limits). Empty: none.
struct Surcharge {
  std::function<double(int op, const Option& option)> option;
  std::function<double(std::size_t tensor, const TensorState& state)> state;
};

/// Fails if there is no assignment at all. Surcharges count in the solution's time.
Result<Solution> solve(const Problem& problem, std::chrono::duration<double> time_limit,
                       const OptionFilter& filter = {}, const Surcharge& surcharge = {});

/// The assignment's time by the problem's own costs, risk-adjusted (see Cost).
double time_ns(const Problem& problem, const Assignment& assignment);
/// The time that is expected of it.
double expected_ns(const Problem& problem, const Assignment& assignment);

/// solve() with the options in the network's own types alone.
Result<Solution> solve_in_own_types(const Problem& problem,
                                    std::chrono::duration<double> time_limit);

/// The problem as a graph: operators first, then tensors. Labels of the nodes' options are indices
/// into the problem's options and states only where nothing was left out; `labels` always says.
struct ProblemGraph {
  pbqp::Graph graph;
  std::vector<std::vector<int>> labels;
};
/// Of an operator's options that agree with the same states of its tensors.
enum class Keep : std::uint8_t { all, cheapest_of_alike };
ProblemGraph to_graph(const Problem& problem, const OptionFilter& filter = {},
                      const Surcharge& surcharge = {}, Keep keep = Keep::all);

/// The assignment's time by other costs, with the same primitives; fails if they do not know one.
Result<double> price_ns(const Problem& problem, const Assignment& assignment,
                        const CostSource& costs);

}  // namespace convopt
