// From networks to plans, with primitives and times made up by the tests.
#include "src/select/select.h"

#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <random>
#include <set>

#include "core/json.h"
#include "core/views.h"
#include "src/select/explain.h"
#include "src/select/export.h"
#include "src/select/pbqp/solver.h"
#include "src/select/workloads.h"
#include "tests/select/fakes.h"

namespace convopt {
namespace {

using testing::FakeCosts;
using testing::FakePrimitive;
using testing::FakeRegistry;
using testing::NetworkBuilder;

const std::vector<Layout> kTwo = {Layout::nchw, Layout::nhwc};
constexpr TensorFormat kNchw{Layout::nchw}, kNhwc{Layout::nhwc};
constexpr TensorFormat kNchwBf16{Layout::nchw, DataType::bf16},
    kNhwcBf16{Layout::nhwc, DataType::bf16};

Platform platform() {
  Platform p;
  p.machine.vendor = "AuthenticAMD";
  p.isa = Isa::avx2;
  return p;
}

/// Convolutions in nchw, nhwc and one that goes from nchw to nhwc; the library's is the first.
FakeRegistry two_layouts() {
  FakeRegistry registry;
  registry.add("lib_conv_nchw", "lib", Op::conv, Layout::nchw, Layout::nchw);
  registry.add("own_nhwc", "own", Op::conv, Layout::nhwc, Layout::nhwc);
  registry.add("own_nchw_nhwc", "first", Op::conv, Layout::nchw, Layout::nhwc);
  registry.add_others(kTwo);
  registry.default_name = "lib_conv_nchw";
  return registry;
}

/// An independent account of what a network costs: every operator's primitive and way of fusing is
/// enumerated, and each tensor pays for the layouts that its readers want.
class Enumeration {
 public:
  Enumeration(const Network& network, const Registry& registry, const CostSource& costs,
              std::vector<DataType> types = {DataType::f32})
      : network_(network),
        registry_(registry),
        costs_(costs),
        types_(std::move(types)),
        state_(network.operators.size()) {}

  double best() {
    best_ = INFINITY;
    choose(0, 0);
    return best_;
  }

 private:
  struct State {
    const Primitive* primitive = nullptr;  // null: free
    TensorFormat input, output;
    int absorbed_by = -1;    // operator
    int absorbed_from = -1;  // tensor
    bool in_place = false;   // a concatenation whose parts are written where it wants them
  };

  double time(const Workload& workload, const Primitive* primitive) const {
    if (!primitive->applicability(workload, registry_.context())) return INFINITY;
    const Query query{&workload, &primitive->info()};
    return costs_.costs({&query, 1}).value()[0].estimate.ns;
  }

  std::vector<int> readers(TensorId t) const {
    std::vector<int> result;
    for (std::size_t op = 0; op < network_.operators.size(); ++op) {
      for (const TensorId in : network_.operators[op].inputs) {
        if (in == t) result.push_back(static_cast<int>(op));
      }
    }
    for (const TensorId out : network_.outputs) {
      if (out == t) result.push_back(-1);
    }
    return result;
  }

  void choose(std::size_t op, double so_far) {
    if (op == network_.operators.size()) {
      if (placed_as_they_can_be()) best_ = std::min(best_, so_far + conversions());
      return;
    }
    const Operator& o = network_.operators[op];
    State& state = state_[op];
    if (state.absorbed_by >= 0) return choose(op + 1, so_far);
    if (o.kind != OperatorKind::compute) {
      for (const DataType type : types_) {
        state = {nullptr, {Layout::nchw, type}, {Layout::nchw, type}, -1, -1, false};
        choose(op + 1, so_far);
      }
      return;
    }
    if (parts_may_be_placed(op)) {
      for (const DataType type : types_) {
        for (const Layout layout : kTwo) {
          state = {nullptr, {layout, type}, {layout, type}, -1, -1, true};
          choose(op + 1, so_far);
        }
      }
    }
    for (const Primitive* p : registry_.primitives()) {
      const PrimitiveInfo& info = p->info();
      Workload workload = o.workload;
      workload.input_type = info.input_type;
      workload.output_type = info.output_type;
      if (!info.computes(workload) || !admits(info)) continue;
      state = {p, source(info), result(info), -1, -1, false};
      choose(op + 1, so_far + time(workload, p));
      // Or the longest chain after it that this primitive can compute.
      struct Chain {
        Workload workload;
        std::vector<int> absorbed;
        std::vector<TensorId> through;
      };
      std::vector<Chain> chains{{workload, {}, {}}};
      while (chains.back().workload.epilogue.activation.kind == ActivationKind::none) {
        Chain longer = chains.back();
        const int last = longer.absorbed.empty() ? static_cast<int>(op) : longer.absorbed.back();
        const TensorId t = network_.operators[last].outputs[0];
        const std::vector<int> next = readers(t);
        if (next.size() != 1 || next[0] < 0) break;
        const Operator& n = network_.operators[next[0]];
        if (n.kind != OperatorKind::compute) break;
        if (n.workload.op == Op::activation &&
            (o.workload.op == Op::conv || o.workload.op == Op::add)) {
          longer.workload.epilogue.activation = n.workload.epilogue.activation;
        } else if (n.workload.op == Op::add && o.workload.op == Op::conv &&
                   longer.absorbed.empty()) {
          longer.workload.epilogue.residual = true;
        } else {
          break;
        }
        longer.absorbed.push_back(next[0]);
        longer.through.push_back(t);
        chains.push_back(longer);
      }
      while (chains.size() > 1 && !p->applicability(chains.back().workload, registry_.context())) {
        chains.pop_back();
      }
      const Chain& chain = chains.back();
      if (chain.absorbed.empty() || state_[chain.absorbed[0]].absorbed_by >= 0) continue;
      for (std::size_t i = 0; i < chain.absorbed.size(); ++i) {
        state_[chain.absorbed[i]] = {
            nullptr, result(info), result(info), static_cast<int>(op), chain.through[i], false};
      }
      choose(op + 1, so_far + time(chain.workload, p));
      for (const int absorbed : chain.absorbed) state_[absorbed] = {};
    }
  }

  static TensorFormat source(const PrimitiveInfo& info) {
    return {info.input_layout, info.input_type};
  }
  static TensorFormat result(const PrimitiveInfo& info) {
    return {info.output_layout, info.output_type};
  }
  bool admits(const PrimitiveInfo& info) const {
    return std::ranges::count(types_, info.input_type) > 0 &&
           std::ranges::count(types_, info.output_type) > 0;
  }

  int producer(TensorId t) const {
    for (std::size_t op = 0; op < network_.operators.size(); ++op) {
      if (network_.operators[op].outputs[0] == t) return static_cast<int>(op);
    }
    return -1;
  }
  bool is_concatenation(int op) const {
    return op >= 0 && network_.operators[op].workload.op == Op::concat &&
           network_.operators[op].kind == OperatorKind::compute;
  }

  /// Parts are computed, belong to one concatenation once, and nobody outside sees them.
  bool parts_may_be_placed(std::size_t op) const {
    if (!is_concatenation(static_cast<int>(op))) return false;
    return std::ranges::all_of(network_.operators[op].inputs, [&](TensorId part) {
      const std::vector<int> all = readers(part);
      const int from = producer(part);
      return from >= 0 && network_.operators[from].kind == OperatorKind::compute &&
             std::ranges::count(all, -1) == 0 &&
             std::ranges::count_if(all, [&](int reader) { return is_concatenation(reader); }) == 1;
    });
  }

  bool handles_views(const Primitive* p, TensorId t, TensorFormat format) const {
    return p != nullptr && (p->info().traits.strided_views ||
                            channels_are_dense(network_.tensors[t].shape, format.layout));
  }

  /// Whoever writes or reads a part of a concatenation in place can handle a view of it, and has it
  /// in the layout of the whole.
  bool placed_as_they_can_be() const {
    for (std::size_t op = 0; op < state_.size(); ++op) {
      if (!state_[op].in_place) continue;
      const TensorFormat format = state_[op].output;
      for (const TensorId part : network_.operators[op].inputs) {
        const int from = producer(part);
        const State& writer = state_[from];
        if (writer.output != format) return false;
        const Primitive* by =
            writer.absorbed_by >= 0 ? state_[writer.absorbed_by].primitive : writer.primitive;
        if (!writer.in_place && !handles_views(by, part, format)) return false;
        for (const int reader : readers(part)) {
          if (reader == static_cast<int>(op) || state_[reader].absorbed_from == part) continue;
          // An operator in an epilogue, or a reshape, reads no views.
          const State& state = state_[reader];
          if (state.input == format && !handles_views(state.primitive, part, format)) return false;
        }
      }
    }
    return true;
  }

  bool is_placed(TensorId t) const {
    for (const int reader : readers(t)) {
      if (reader >= 0 && state_[reader].in_place) return true;
    }
    return false;
  }

  double conversions() const {
    double sum = 0;
    for (std::size_t t = 0; t < network_.tensors.size(); ++t) {
      const TensorId id = static_cast<TensorId>(t);
      TensorFormat produced;
      for (std::size_t op = 0; op < network_.operators.size(); ++op) {
        if (network_.operators[op].outputs[0] == id) produced = state_[op].output;
      }
      std::set<TensorFormat> wanted;
      bool in_memory = true;
      for (const int reader : readers(id)) {
        if (reader < 0) {
          wanted.insert(TensorFormat{});
        } else if (state_[reader].absorbed_from == id) {
          in_memory = false;
        } else {
          wanted.insert(state_[reader].input);
        }
      }
      if (!in_memory) continue;
      for (const TensorFormat& target : wanted) {
        if (target == produced) continue;
        Workload workload = Workload::pointwise(Op::convert, network_.tensors[t].shape);
        workload.input_type = produced.type;
        workload.output_type = target.type;
        double least = INFINITY;
        for (const Primitive* p : registry_.primitives()) {
          if (p->info().op != Op::convert || source(p->info()) != produced ||
              result(p->info()) != target) {
            continue;
          }
          if (is_placed(id) && !handles_views(p, id, produced)) continue;
          least = std::min(least, time(workload, p));
        }
        sum += least;
      }
    }
    return sum;
  }

  const Network& network_;
  const Registry& registry_;
  const CostSource& costs_;
  std::vector<DataType> types_;
  std::vector<State> state_;
  double best_ = INFINITY;
};

/// Grows a network at random; every tensor without a reader is an output.
Network random_network(std::uint64_t seed, int operators, bool concatenates = false) {
  std::mt19937_64 engine(seed);
  const auto below = [&](std::size_t n) { return static_cast<int>(engine() % n); };
  NetworkBuilder builder;
  std::vector<TensorId> tensors{builder.input()};
  // Recent tensors more often, so that there are chains as well as branches.
  const auto any = [&] {
    const int back = std::min(below(3), below(3));
    return tensors[std::max<int>(0, static_cast<int>(tensors.size()) - 1 - back)];
  };
  for (int i = 0; i < operators; ++i) {
    const std::string name = "op" + std::to_string(i);
    switch (below(concatenates ? 9 : 7)) {
      case 0:
      case 1:
      case 2:
        tensors.push_back(builder.conv(name, any(), 1 + 2 * below(2)));
        break;
      case 3:
        tensors.push_back(builder.relu(name, any()));
        break;
      case 4:
      case 5:
        tensors.push_back(builder.add(name, any(), any()));
        break;
      case 6:
        tensors.push_back(builder.reshape(name, any()));
        break;
      default: {
        std::vector<TensorId> parts{any(), any()};
        if (below(3) == 0) parts.push_back(any());
        tensors.push_back(builder.concat(name, std::move(parts)));
      }
    }
  }
  std::vector<TensorId> outputs;
  for (const TensorId t : tensors) {
    bool read = false;
    for (const Operator& o : builder.network.operators) {
      read = read || std::ranges::find(o.inputs, t) != o.inputs.end();
    }
    if (!read) outputs.push_back(t);
  }
  return builder.build(outputs);
}

TEST(Select, CostsWhatEnumerationOfPlansFinds) {
  FakeRegistry registry = two_layouts();
  // One that cannot add: chains are absorbed in part or not at all.
  registry.add("plain_nchw", "own", Op::conv, Layout::nchw, Layout::nchw,
               [](const Workload& w) { return !w.epilogue.residual; });
  for (std::uint64_t seed = 1; seed <= 150; ++seed) {
    const Network network = random_network(seed, 6);
    const FakeCosts costs = FakeCosts::random(seed, seed % 2 == 0 ? 100 : 6);
    const auto selection = select(network, registry, costs, platform());
    ASSERT_TRUE(selection.ok()) << "seed " << seed << ": " << selection.error().message;
    ASSERT_TRUE(selection->solution.optimal);
    ASSERT_NEAR(selection->solution.ns, Enumeration(network, registry, costs).best(), 1e-6)
        << "seed " << seed;
    for (const auto& baseline : {selection->baselines.library_default,
                                 selection->baselines.best_single, selection->baselines.greedy}) {
      if (!baseline) continue;
      ASSERT_LE(selection->solution.ns, baseline->ns) << "seed " << seed;
    }
  }
}

TEST(Select, CostsWhatEnumerationOfPlansWithConcatenationsFinds) {
  // In nchw every primitive can handle channels of a larger tensor, in nhwc only some.
  FakeRegistry registry = two_layouts();
  registry.add("views_nhwc", "own", Op::conv, Layout::nhwc, Layout::nhwc, {}, true);
  registry.add("views_activation_nhwc", "own", Op::activation, Layout::nhwc, Layout::nhwc, {},
               true);
  registry.add("views_convert", "layout", Op::convert, Layout::nhwc, Layout::nchw, {}, true);
  int in_place = 0;
  for (std::uint64_t seed = 1; seed <= 400; ++seed) {
    const Network network = random_network(seed, 6, true);
    const FakeCosts costs = FakeCosts::random(seed, seed % 2 == 0 ? 100 : 6);
    const auto selection = select(network, registry, costs, platform());
    ASSERT_TRUE(selection.ok()) << "seed " << seed << ": " << selection.error().message;
    ASSERT_TRUE(selection->solution.optimal);
    ASSERT_NEAR(selection->solution.ns, Enumeration(network, registry, costs).best(), 1e-6)
        << "seed " << seed;
    in_place += static_cast<int>(selection->plan.in_place.size());
  }
  EXPECT_GT(in_place, 20);
}

/// Convolutions in both types and from each to the other, additions and activations in one layout
/// of each, all conversions.
FakeRegistry two_types() {
  FakeRegistry registry = two_layouts();
  registry.add_typed({kNchw, kNhwc, kNchwBf16, kNhwcBf16});
  registry.add("own_nhwc_into_bf16", "own", Op::conv, kNhwc, kNhwcBf16);
  registry.add("own_nhwc_bf16_out_of", "own", Op::conv, kNhwcBf16, kNhwc,
               [](const Workload& w) { return !w.epilogue.residual; });
  return registry;
}

SelectOptions in_bf16() {
  SelectOptions options;
  options.limits.types = {DataType::f32, DataType::bf16};
  return options;
}

TEST(SelectTypes, CostWhatEnumerationOfPlansFinds) {
  const FakeRegistry registry = two_types();
  std::size_t layers = 0, conversions = 0, in_place = 0;
  for (std::uint64_t seed = 1; seed <= 400; ++seed) {
    const Network network = random_network(seed, 4, seed % 4 != 0);
    const FakeCosts costs = FakeCosts::random(seed, seed % 2 == 0 ? 100 : 6);
    const auto selection = select(network, registry, costs, platform(), in_bf16());
    ASSERT_TRUE(selection.ok()) << "seed " << seed << ": " << selection.error().message;
    ASSERT_TRUE(selection->solution.optimal);
    const double best =
        Enumeration(network, registry, costs, {DataType::f32, DataType::bf16}).best();
    ASSERT_NEAR(selection->solution.ns, best, 1e-6) << "seed " << seed;
    for (const PlanLayer& l : selection->plan.layers) layers += l.output_type == DataType::bf16;
    for (const PlanConversion& c : selection->plan.conversions)
      conversions += c.source_type != c.target_type;
    for (const PlanInPlace& p : selection->plan.in_place) in_place += p.type == DataType::bf16;
  }
  EXPECT_GT(layers, 100U);
  EXPECT_GT(conversions, 100U);
  EXPECT_GT(in_place, 0U);
}

/// Times by name of the primitive; what is not named takes 1000 ns. A fused workload costs 1 more.
FakeCosts times(std::map<std::string, double> by_name) {
  return FakeCosts([by_name](const Workload& w, const PrimitiveInfo& p) {
    const auto found = by_name.find(p.name);
    const double ns = found == by_name.end() ? 1000 : found->second;
    const bool fused = w.op != Op::activation &&
                       (w.epilogue.residual || w.epilogue.activation.kind != ActivationKind::none);
    return ns + (fused ? 1 : 0);
  });
}

const PlanLayer* find_layer(const Plan& plan, const std::string& name) {
  for (const PlanLayer& layer : plan.layers) {
    if (layer.name == name) return &layer;
  }
  return nullptr;
}

TEST(SelectTypes, AChainIsInBf16WhereThatIsCheaper) {
  const FakeRegistry registry = two_types();
  NetworkBuilder builder;
  TensorId t = builder.input();
  for (const char* name : {"a", "b", "c"}) t = builder.conv(name, t);
  const Network network = builder.build({t});
  for (const double conversion : {20.0, 100.0}) {
    const FakeCosts costs = times({{"lib_conv_nchw", 100},
                                   {"lib_conv_nchw_bf16", 40},
                                   {"convert_nchw_nchw_bf16", conversion},
                                   {"convert_nchw_bf16_nchw", conversion}});
    const auto selection = select(network, registry, costs, platform(), in_bf16());
    ASSERT_TRUE(selection.ok()) << selection.error().message;
    const Plan& plan = selection->plan;
    const bool pays = conversion < 100;
    EXPECT_EQ(selection->solution.ns, pays ? 160 : 300);
    ASSERT_EQ(plan.conversions.size(), pays ? 2U : 0U);
    EXPECT_EQ(plan.layers[1].input(), pays ? kNchwBf16 : kNchw);
    EXPECT_EQ(plan.layers[1].workload.find("_bf16") != std::string::npos, pays);
    if (!pays) continue;
    EXPECT_EQ(plan.conversions[0].tensor, "in");
    EXPECT_EQ(plan.conversions[0].source(), kNchw);
    EXPECT_EQ(plan.conversions[0].target(), kNchwBf16);
    EXPECT_EQ(plan.conversions[1].source(), kNchwBf16);
    // The library's default is in the network's own types.
    ASSERT_TRUE(selection->baselines.library_default.has_value());
    EXPECT_EQ(selection->baselines.library_default->ns, 300);
  }
}

TEST(SelectTypes, AConversionIsPaidOncePerTensorAndFormat) {
  const FakeRegistry registry = two_types();
  NetworkBuilder builder;
  const TensorId shared = builder.pool("shared", builder.input());
  std::vector<TensorId> outputs;
  for (const char* name : {"a", "b", "c"}) outputs.push_back(builder.conv(name, shared));
  for (const char* name : {"x", "y"}) outputs.push_back(builder.relu(name, shared));
  const Network network = builder.build({builder.concat("joined", outputs)});
  const FakeCosts costs = times({{"lib_max_pool_nchw", 10},
                                 {"own_nhwc_bf16_out_of", 50},  // wants nhwc in bf16
                                 {"lib_activation_nhwc", 5},    // wants nhwc in f32
                                 {"convert_nchw_nhwc", 30},
                                 {"convert_nchw_nhwc_bf16", 70},
                                 {"lib_concat_nhwc", 5},
                                 {"convert_nhwc_nchw", 5}});
  const auto selection = select(network, registry, costs, platform(), in_bf16());
  ASSERT_TRUE(selection.ok()) << selection.error().message;
  std::vector<std::string> converted;
  for (const PlanConversion& c : selection->plan.conversions)
    converted.push_back(c.tensor + " " + to_string(c.target()));
  EXPECT_EQ(converted,
            (std::vector<std::string>{"shared nhwc", "shared nhwc_bf16", "joined nchw"}));
  EXPECT_EQ(selection->solution.ns, 10 + 30 + 70 + 3 * 50 + 2 * 5 + 5 + 5);
}

TEST(SelectTypes, AResidualHasTheTypeOfTheResult) {
  const FakeRegistry registry = two_types();
  NetworkBuilder builder;
  const TensorId pooled = builder.pool("pool", builder.input());
  const TensorId conv = builder.conv("conv", builder.input());
  const Network network = builder.build({builder.add("add", conv, pooled)});
  const FakeCosts costs = times({{"lib_conv_nchw_bf16", 10},
                                 {"lib_max_pool_nchw", 10},
                                 {"convert_nchw_nchw_bf16", 30},
                                 {"convert_nchw_bf16_nchw", 40}});
  const auto selection = select(network, registry, costs, platform(), in_bf16());
  ASSERT_TRUE(selection.ok()) << selection.error().message;
  // The input to bf16, the pool in f32 and its result to bf16, the convolution with the addition,
  // its result to f32.
  EXPECT_EQ(selection->solution.ns, 30 + 10 + 30 + 11 + 40);
  ASSERT_EQ(selection->plan.layers.size(), 2U);
  EXPECT_EQ(selection->plan.layers[1].fused, std::vector<std::string>{"add"});
  EXPECT_EQ(selection->plan.layers[1].output(), kNchwBf16);
}

TEST(SelectTypes, ConcatenatesInPlaceInBf16) {
  const FakeRegistry registry = two_types();
  NetworkBuilder builder;
  const TensorId a = builder.conv("a", builder.input());
  const TensorId b = builder.relu("b", builder.conv("c", builder.input()));
  const Network network = builder.build({builder.concat("joined", {a, b})});
  const FakeCosts costs = times(
      {{"lib_conv_nchw_bf16", 10}, {"convert_nchw_nchw_bf16", 30}, {"convert_nchw_bf16_nchw", 40}});
  const auto selection = select(network, registry, costs, platform(), in_bf16());
  ASSERT_TRUE(selection.ok()) << selection.error().message;
  EXPECT_EQ(selection->solution.ns, 30 + 10 + 11 + 40);
  ASSERT_EQ(selection->plan.in_place.size(), 1U);
  EXPECT_EQ(selection->plan.in_place[0].format(), kNchwBf16);
}

TEST(SelectTypes, F32AloneIsThatOfARegistryWithoutOtherTypes) {
  const FakeRegistry with = two_types(), without = two_layouts();
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    const Network network = random_network(seed, 12, true);
    const FakeCosts costs = FakeCosts::random(seed, 3);
    const auto a = select(network, with, costs, platform());
    const auto b = select(network, without, costs, platform());
    ASSERT_TRUE(a.ok() && b.ok());
    EXPECT_EQ(export_problem(a->problem, a->solution), export_problem(b->problem, b->solution));
    Plan plan = a->plan;
    plan.load_ms = b->plan.load_ms;
    plan.predict_ms = b->plan.predict_ms;
    plan.solve_ms = b->plan.solve_ms;
    plan.total_ms = b->plan.total_ms;
    EXPECT_EQ(to_json(plan), to_json(b->plan));
  }
}

TEST(SelectTypes, WhatBecomesAnIndexStaysExact) {
  NetworkBuilder builder;
  const TensorId conv = builder.conv("conv", builder.input());
  const TensorId scores = builder.relu("relu", builder.conv("scores", conv));
  Network network = builder.build({scores});
  network.tensors.push_back({"best", {1, 1, 8, 8}});
  const auto best = static_cast<TensorId>(network.tensors.size()) - 1;
  const Workload arg_maximum = Workload::along(Op::arg_maximum, network.tensors[scores].shape, 1);
  network.operators.push_back(
      {"best", "arg_maximum", OperatorKind::compute, arg_maximum, {scores}, {best}, nullptr});
  const std::vector<char> exact = exact_tensors(network);
  EXPECT_EQ(exact[conv], 0);
  EXPECT_EQ(exact[scores], 1);
  EXPECT_EQ(exact[network.operators[2].inputs[0]], 1);  // before the activation
  EXPECT_EQ(exact[best], 0);
}

TEST(Select, SharedConversionIsPaidOnce) {
  const FakeRegistry registry = two_layouts();
  NetworkBuilder builder;
  const TensorId shared = builder.pool("pool", builder.input());
  std::vector<TensorId> outputs;
  for (const char* name : {"a", "b", "c"}) outputs.push_back(builder.conv(name, shared));
  const Network network = builder.build({builder.pool("last", builder.concat("cat", outputs))});
  // Three conversions of 400 would cost more than three slow convolutions, one does not. (The pool
  // in nhwc is made unattractive, so that the conversion must come after it.)
  const FakeCosts costs = times({{"lib_conv_nchw", 300},
                                 {"own_nchw_nhwc", 5000},
                                 {"own_nhwc", 100},
                                 {"lib_max_pool_nhwc", 9000},
                                 {"lib_max_pool_nchw", 10},
                                 {"lib_concat_nchw", 10},
                                 {"lib_concat_nhwc", 10},
                                 {"convert_nchw_nhwc", 400},
                                 {"convert_nhwc_nchw", 20}});
  const auto selection = select(network, registry, costs, platform());
  ASSERT_TRUE(selection.ok());
  EXPECT_EQ(selection->solution.ns, 10 + 400 + 3 * 100 + 10 + 20 + 10);
  ASSERT_EQ(selection->plan.conversions.size(), 2U);
  EXPECT_EQ(selection->plan.conversions[0].tensor, "pool");
  EXPECT_EQ(selection->plan.conversions[0].target_layout, Layout::nhwc);
  EXPECT_EQ(selection->plan.conversions[0].primitive, "convert_nchw_nhwc");
}

TEST(Select, FusesConvolutionAdditionAndActivation) {
  const FakeRegistry registry = two_layouts();
  NetworkBuilder builder;
  const TensorId entry = builder.conv("entry", builder.input());
  const TensorId branch = builder.conv("branch", entry);
  const Network network = builder.build({builder.relu("relu", builder.add("add", branch, entry))});
  const auto selection = select(network, registry, times({}), platform());
  ASSERT_TRUE(selection.ok());
  EXPECT_EQ(selection->solution.ns, 1000 + 1001);
  ASSERT_EQ(selection->plan.layers.size(), 2U);
  const PlanLayer& layer = selection->plan.layers[1];
  EXPECT_EQ(layer.name, "branch");
  EXPECT_EQ(layer.fused, (std::vector<std::string>{"add", "relu"}));
  EXPECT_TRUE(layer.workload.ends_with(":add+relu")) << layer.workload;
  EXPECT_EQ(layer.shape, "n1_ic16_ih8_iw8_oc16_kh3_kw3_s1_p1");
}

/// An image times a factor per channel, a convolution of that, and a sum with the image.
Network excited() {
  NetworkBuilder builder;
  const TensorId image = builder.conv("image", builder.input());
  const TensorId scaled = builder.scale("scaled", image, builder.mean("mean", image));
  return builder.build({builder.add("sum", builder.conv("conv", scaled, 1), image)});
}

TEST(Select, FoldsFactorsIntoTheConvolutionThatReadsTheProductWhereThatIsFaster) {
  FakeRegistry registry = two_layouts();
  registry.add("multiply_nchw", "lib", Op::multiply, Layout::nchw, Layout::nchw);
  registry.add("mean_nchw", "lib", Op::avg_pool_include, Layout::nchw, Layout::nchw);
  const Network network = excited();
  for (const bool folds : {true, false}) {
    const FakeCosts costs([&](const Workload& w, const PrimitiveInfo& p) {
      return w.scaled ? (folds ? 1500.0 : 2500.0) : p.name == "lib_conv_nchw" ? 1000.0 : 1010.0;
    });
    const auto selection = select(network, registry, costs, platform());
    ASSERT_TRUE(selection.ok()) << selection.error().message;
    const PlanLayer* layer = find_layer(selection->plan, "scaled");
    ASSERT_NE(layer, nullptr);
    EXPECT_EQ(layer->op, folds ? "conv" : "multiply");
    EXPECT_EQ(layer->fused,
              folds ? (std::vector<std::string>{"conv", "sum"}) : std::vector<std::string>());
    EXPECT_EQ(layer->workload, folds ? "conv:n1_ic16_ih8_iw8_oc16_kh1_kw1_s1_p0_scaled:add"
                                     : "multiply:n1_c16_h8_w8_by1x16x1x1");
    // Convolution, mean, then one or two layers more.
    EXPECT_EQ(selection->solution.ns, folds ? 1000 + 1010 + 1500 : 1000 + 1010 + 1010 + 1000);
    // What each convolution takes by itself is what baselines compare.
    ASSERT_TRUE(selection->baselines.library_default && selection->baselines.greedy);
    EXPECT_EQ(selection->baselines.library_default->ns, 4020);
    EXPECT_EQ(selection->baselines.greedy->ns, 4020);
  }
}

TEST(Select, ConcatenatesInPlaceWhereNobodyElseNeedsTheParts) {
  FakeRegistry registry = two_layouts();
  const FakeCosts costs([](const Workload& w, const PrimitiveInfo& p) {
    return w.op == Op::concat ? 50.0 : p.input_layout == Layout::nchw ? 10.0 : 11.0;
  });
  for (const bool part_is_output : {false, true}) {
    NetworkBuilder builder;
    const TensorId a = builder.conv("a", builder.input());
    const TensorId b = builder.relu("b", builder.conv("c", builder.input()));
    const TensorId joined = builder.concat("joined", {a, b});
    const Network network =
        builder.build(part_is_output ? std::vector{joined, a} : std::vector{joined});
    const auto selection = select(network, registry, costs, platform());
    ASSERT_TRUE(selection.ok()) << selection.error().message;
    EXPECT_EQ(selection->plan.in_place.size(), part_is_output ? 0U : 1U);
    EXPECT_DOUBLE_EQ(selection->solution.ns, part_is_output ? 70.0 : 20.0);
  }
}

TEST(Select, DoesNotFuseWhereOthersReadWhatLiesBetween) {
  const FakeRegistry registry = two_layouts();
  NetworkBuilder builder;
  const TensorId conv = builder.conv("conv", builder.input());
  const TensorId relu = builder.relu("relu", conv);
  const Network network = builder.build({builder.add("add", conv, relu), conv});
  const auto selection = select(network, registry, times({}), platform());
  ASSERT_TRUE(selection.ok());
  EXPECT_EQ(selection->plan.layers.size(), 3U);
  EXPECT_EQ(selection->solution.ns, 3000);
}

TEST(Select, EitherProducerMayAbsorbAnAddition) {
  FakeRegistry registry = two_layouts();
  NetworkBuilder builder;
  const TensorId left = builder.conv("left", builder.input(), 3);
  const TensorId right = builder.conv("right", builder.input(), 1);
  const Network network = builder.build({builder.relu("relu", builder.add("add", left, right))});
  for (const int absorbing_kernel : {1, 3}) {
    // Only one of the two kernels profits from fusing.
    const FakeCosts costs([&](const Workload& w, const PrimitiveInfo&) {
      return w.op == Op::conv && w.epilogue.residual && w.shape.kh != absorbing_kernel ? 5000.0
                                                                                       : 1000.0;
    });
    const auto selection = select(network, registry, costs, platform());
    ASSERT_TRUE(selection.ok());
    EXPECT_EQ(selection->solution.ns, 2000);
    const std::string absorbing = absorbing_kernel == 3 ? "left" : "right";
    const PlanLayer* layer = find_layer(selection->plan, absorbing);
    ASSERT_NE(layer, nullptr);
    EXPECT_EQ(layer->fused, (std::vector<std::string>{"add", "relu"}));
    // It runs after the other one, whose result it adds.
    EXPECT_EQ(selection->plan.layers.back().name, absorbing);
  }
}

TEST(Select, ResidualMustBeInTheLayoutOfTheResult) {
  const FakeRegistry registry = two_layouts();
  NetworkBuilder builder;
  const TensorId pooled = builder.pool("pool", builder.input());
  const TensorId conv = builder.conv("conv", builder.input());
  const Network network = builder.build({builder.add("add", conv, pooled)});
  const FakeCosts costs = times({{"own_nchw_nhwc", 10},
                                 {"lib_max_pool_nchw", 10},
                                 {"lib_max_pool_nhwc", 9000},
                                 {"convert_nchw_nhwc", 30},
                                 {"convert_nhwc_nchw", 40},
                                 {"lib_add_nchw", 500}});
  const auto selection = select(network, registry, costs, platform());
  ASSERT_TRUE(selection.ok());
  // Pool in nchw, its result to nhwc, the convolution with the addition, its result to nchw.
  EXPECT_EQ(selection->solution.ns, 10 + 30 + 11 + 40);
}

TEST(Select, NetworksAreFedAndReadInNchw) {
  const FakeRegistry registry = two_layouts();
  NetworkBuilder builder;
  const Network network = builder.build({builder.conv("conv", builder.input())});
  const FakeCosts costs = times({{"lib_conv_nchw", 700},
                                 {"own_nhwc", 100},
                                 {"own_nchw_nhwc", 650},
                                 {"convert_nchw_nhwc", 300},
                                 {"convert_nhwc_nchw", 200}});
  const auto selection = select(network, registry, costs, platform());
  ASSERT_TRUE(selection.ok());
  EXPECT_EQ(selection->plan.conversions.size(), 2U);
  EXPECT_EQ(selection->solution.ns, 300 + 100 + 200);
}

TEST(Select, ReshapeWantsNchw) {
  const FakeRegistry registry = two_layouts();
  NetworkBuilder builder;
  const TensorId conv = builder.conv("conv", builder.input());
  const Network network = builder.build({builder.reshape("flatten", conv)});
  const auto selection = select(
      network, registry, times({{"own_nchw_nhwc", 1}, {"convert_nhwc_nchw", 2}}), platform());
  ASSERT_TRUE(selection.ok());
  EXPECT_EQ(selection->solution.ns, 3);
  ASSERT_EQ(selection->plan.conversions.size(), 1U);
  EXPECT_EQ(selection->plan.conversions[0].tensor, "conv");
}

TEST(Select, Baselines) {
  const FakeRegistry registry = two_layouts();
  NetworkBuilder builder;
  TensorId t = builder.input();
  for (int i = 0; i < 3; ++i) t = builder.conv("c" + std::to_string(i), t, 1 + 2 * (i % 2));
  const Network network = builder.build({t});
  // own_nhwc is the fastest by itself, but only on the layer in the middle, between conversions.
  const FakeCosts costs([](const Workload& w, const PrimitiveInfo& p) {
    if (p.op == Op::convert) return 60.0;
    if (p.name == "lib_conv_nchw") return 100.0;
    if (p.name == "own_nhwc") return w.shape.kh == 3 ? 50.0 : 150.0;
    return 1000.0;
  });
  const auto selection = select(network, registry, costs, platform());
  ASSERT_TRUE(selection.ok());
  ASSERT_TRUE(selection->baselines.library_default && selection->baselines.best_single &&
              selection->baselines.greedy);
  EXPECT_EQ(selection->baselines.library_default->ns, 300);
  EXPECT_EQ(selection->baselines.greedy->ns, 100 + 60 + 50 + 60 + 100);
  EXPECT_EQ(selection->baselines.best_single->ns, 300);
  EXPECT_EQ(selection->baselines.best_single_primitive, "lib_conv_nchw");
  EXPECT_EQ(selection->solution.ns, 300);
  EXPECT_DOUBLE_EQ(selection->plan.baselines.greedy_ms, 370e-6);
}

TEST(Select, BaselinesStayWhenTheLibraryIsExcluded) {
  const FakeRegistry registry = two_layouts();
  NetworkBuilder builder;
  const Network network = builder.build({builder.conv("conv", builder.input())});
  SelectOptions options;
  options.limits.exclude = {"lib"};
  const auto selection =
      select(network, registry, times({{"lib_conv_nchw", 10}}), platform(), options);
  ASSERT_TRUE(selection.ok()) << selection.error().message;
  EXPECT_EQ(selection->plan.layers[0].family, "first");
  ASSERT_TRUE(selection->baselines.library_default.has_value());
  EXPECT_EQ(selection->baselines.library_default->ns, 10);
}

TEST(Select, LimitsByNameFamilyErrorAndWorkspace) {
  FakeRegistry registry = two_layouts();
  registry.add("hungry_nchw", "hungry", Op::conv, Layout::nchw, Layout::nchw).workspace = 1000;
  NetworkBuilder builder;
  const Network network = builder.build({builder.conv("conv", builder.input())});
  const FakeCosts costs = times({{"hungry_nchw", 1}, {"lib_conv_nchw", 10}, {"own_nhwc", 20}});
  const auto chosen = [&](const Limits& limits) -> std::string {
    const auto selection = select(network, registry, costs, platform(), {limits});
    return selection ? selection->plan.layers[0].primitive : selection.error().message;
  };
  EXPECT_EQ(chosen({}), "hungry_nchw");
  EXPECT_EQ(chosen({.max_workspace = 999}), "lib_conv_nchw");
  EXPECT_EQ(chosen({.max_workspace = 1000}), "hungry_nchw");
  EXPECT_EQ(chosen({.allow = {"own_nhwc"}}), "own_nhwc");
  EXPECT_EQ(chosen({.allow = {"own", "lib"}}), "lib_conv_nchw");
  EXPECT_EQ(chosen({.exclude = {"hungry", "lib_conv_nchw"}}), "own_nchw_nhwc");
}

TEST(Select, ErrorLimit) {
  FakeRegistry registry;
  registry.add("lib_conv_nchw", "lib", Op::conv, Layout::nchw, Layout::nchw);
  registry.add_others(kTwo);
  NetworkBuilder builder;
  const Network network = builder.build({builder.conv("conv", builder.input())});
  SelectOptions options;
  options.limits.max_error = 1e-12;
  const auto none = select(network, registry, times({}), platform(), options);
  ASSERT_FALSE(none.ok());
  EXPECT_EQ(none.error().code, ErrorCode::usage);
  EXPECT_NE(none.error().message.find("'conv'"), std::string::npos);
  EXPECT_NE(none.error().message.find("lib_conv_nchw would do but is too inexact"),
            std::string::npos)
      << none.error().message;
  options.limits.max_error = 1;
  EXPECT_TRUE(select(network, registry, times({}), platform(), options).ok());
}

TEST(Select, UnknownNamesGetASuggestion) {
  const FakeRegistry registry = two_layouts();
  const auto typo = check_names(registry, {"own_nhcw"});
  ASSERT_FALSE(typo.ok());
  EXPECT_EQ(typo.error().code, ErrorCode::usage);
  EXPECT_NE(typo.error().message.find("'own_nhwc'"), std::string::npos) << typo.error().message;
  EXPECT_FALSE(check_names(registry, {"lib_add_nchw"}).ok());
  EXPECT_TRUE(check_names(registry, {"lib", "own", "own_nchw_nhwc"}).ok());
}

TEST(Select, RefusesTypesThatNoPrimitiveComputes) {
  NetworkBuilder b;
  Network network = b.build({b.conv("c1", b.input())});
  for (Tensor& tensor : network.tensors) tensor.type = DataType::bf16;
  for (Operator& op : network.operators) op.workload = op.workload.of_type(DataType::bf16);
  const FakeRegistry registry = two_layouts();
  const auto refused = select(network, registry, FakeCosts::random(1), platform());
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().message,
            "operator 'c1' cannot be planned: no primitive computes conv of bf16");
  Workload mixed = network.operators[0].workload;
  mixed.output_type = DataType::f32;
  EXPECT_EQ(lack_of_primitives(registry, mixed), "no primitive computes conv of bf16 to f32");
  EXPECT_EQ(lack_of_primitives(registry, mixed.of_type(DataType::f32)), "");
}

TEST(Select, MissingTimesAreNeverInvented) {
  const FakeRegistry registry = two_layouts();
  NetworkBuilder builder;
  const Network network = builder.build({builder.conv("conv", builder.input())});
  const FakeCosts some([](const Workload&, const PrimitiveInfo& p) {
    return p.name == "own_nhwc" || p.op == Op::convert ? 5.0 : -1.0;
  });
  const auto selection = select(network, registry, some, platform());
  ASSERT_TRUE(selection.ok());
  EXPECT_EQ(selection->plan.layers[0].primitive, "own_nhwc");
  EXPECT_FALSE(selection->baselines.library_default.has_value());
  EXPECT_EQ(selection->plan.baselines.library_default_ms, 0);

  const FakeCosts nothing([](const Workload&, const PrimitiveInfo&) { return -1.0; });
  const auto impossible = select(network, registry, nothing, platform());
  ASSERT_FALSE(impossible.ok());
  EXPECT_EQ(impossible.error().code, ErrorCode::bad_input);
}

TEST(Select, AsksOnceForCostsAndOncePerWorkloadForApplicability) {
  FakeRegistry registry = two_layouts();
  FakePrimitive& counted = registry.add("counted", "own", Op::conv, Layout::nchw, Layout::nchw);
  NetworkBuilder builder;
  TensorId t = builder.input();
  for (int i = 0; i < 10; ++i) t = builder.conv("c" + std::to_string(i), t);
  const Network network = builder.build({t});
  const FakeCosts costs = times({});
  ASSERT_TRUE(build_problem(network, registry, costs).ok());
  EXPECT_EQ(costs.calls, 1);
  EXPECT_EQ(counted.asked, 1);
}

TEST(Select, SameInputsSamePlan) {
  const FakeRegistry registry = two_layouts();
  const Network network = random_network(4, 40);
  const FakeCosts costs = FakeCosts::random(1, 3);  // many ties
  const auto first = select(network, registry, costs, platform());
  ASSERT_TRUE(first.ok());
  for (int repeat = 0; repeat < 3; ++repeat) {
    const auto again = select(network, registry, costs, platform());
    ASSERT_TRUE(again.ok());
    EXPECT_EQ(again->solution.assignment, first->solution.assignment);
  }
}

TEST(Select, AlikeOptionsChangeNothing) {
  FakeRegistry registry = two_layouts();
  for (int i = 0; i < 5; ++i) {
    const bool has_views = i % 2 != 0;
    registry.add("more" + std::to_string(i), "own", Op::conv, Layout::nchw, Layout::nchw, {},
                 has_views);
  }
  for (std::uint64_t seed = 1; seed <= 30; ++seed) {
    const Network network = random_network(seed, 12, true);
    // Many ties.
    const auto problem = build_problem(network, registry, FakeCosts::random(seed, 3));
    ASSERT_TRUE(problem.ok());
    const ProblemGraph all = to_graph(*problem);
    const ProblemGraph cheapest = to_graph(*problem, {}, {}, Keep::cheapest_of_alike);
    std::size_t options = 0, kept = 0;
    for (int n = 0; n < all.graph.size(); ++n) {
      options += static_cast<std::size_t>(all.graph.node(n).options());
      kept += static_cast<std::size_t>(cheapest.graph.node(n).options());
    }
    EXPECT_LT(kept, options) << "seed " << seed;
    const std::vector<int> choice = pbqp::solve(all.graph).choice;
    const auto solution = solve(*problem, std::chrono::seconds(5));
    ASSERT_TRUE(solution.ok());
    Assignment expected;
    for (std::size_t n = 0; n < choice.size(); ++n) {
      (n < problem->operators.size() ? expected.operators : expected.tensors)
          .push_back(all.labels[n][choice[n]]);
    }
    EXPECT_EQ(time_ns(*problem, expected), solution->ns) << "seed " << seed;
    EXPECT_EQ(expected, solution->assignment) << "seed " << seed;
  }
}

TEST(Select, PlanAddsUp) {
  const FakeRegistry registry = two_layouts();
  const Network network = random_network(8, 30);
  const auto selection = select(network, registry, FakeCosts::random(2), platform());
  ASSERT_TRUE(selection.ok());
  double sum = 0;
  for (const PlanLayer& layer : selection->plan.layers) sum += layer.predicted_us;
  for (const PlanConversion& c : selection->plan.conversions) sum += c.predicted_us;
  EXPECT_NEAR(selection->plan.predicted_ms, sum / 1e3, 1e-9);
  EXPECT_NEAR(selection->solution.ns, sum * 1e3, 1e-6);
}

// Of two that are expected to take about as long, the surer one; what is told is what is expected.
TEST(Select, UnsureTimesCountForMoreInChoicesAlone) {
  class Unsure final : public CostSource {
   public:
    explicit Unsure(double caution) : caution_(caution) {}
    Result<std::vector<Cost>> costs(std::span<const Query> queries) const override {
      auto result = times_.costs(queries);
      for (std::size_t i = 0; i < queries.size(); ++i) {
        if (queries[i].primitive->name == "own_nhwc") result.value()[i].risk_factor = caution_;
      }
      return result;
    }

   private:
    FakeCosts times_{[](const Workload& w, const PrimitiveInfo& p) {
      return w.op != Op::conv ? 1.0 : p.name == "own_nhwc" ? 900.0 : 1000.0;
    }};
    double caution_;
  };
  const FakeRegistry registry = two_layouts();
  NetworkBuilder builder;
  const Network network = builder.build({builder.conv("a", builder.input(), 3)});
  const auto bold = select(network, registry, Unsure(1.05), platform());
  const auto careful = select(network, registry, Unsure(1.5), platform());
  ASSERT_TRUE(bold && careful);
  EXPECT_EQ(bold->plan.layers.front().primitive, "own_nhwc");
  EXPECT_NEAR(bold->plan.predicted_ms, 902e-6, 1e-12);
  EXPECT_NE(careful->plan.layers.front().primitive, "own_nhwc");
  EXPECT_NEAR(careful->plan.baselines.best_single_primitive_ms, 1000e-6, 2e-6);

  // Forced to it, the plan is told to take what is expected, and comes last all the same.
  const Explanation why = explain(careful->problem, careful->solution, 0, std::chrono::seconds(5));
  EXPECT_EQ(why.alternatives.back().primitive->name(), "own_nhwc");
  EXPECT_NEAR(why.alternatives.back().plan_ns, 902, 1e-6);
}

TEST(Select, PriceByOtherCosts) {
  const FakeRegistry registry = two_layouts();
  const Network network = random_network(9, 20);
  const FakeCosts predicted = FakeCosts::random(1), measured = FakeCosts::random(2);
  const auto problem = build_problem(network, registry, predicted);
  ASSERT_TRUE(problem.ok());
  const auto chosen = solve(*problem, std::chrono::seconds(5));
  ASSERT_TRUE(chosen.ok());
  const auto own = price_ns(*problem, chosen->assignment, predicted);
  ASSERT_TRUE(own.ok());
  EXPECT_DOUBLE_EQ(*own, chosen->ns);

  const auto oracle = build_problem(network, registry, measured);
  ASSERT_TRUE(oracle.ok());
  const auto best = solve(*oracle, std::chrono::seconds(5));
  const auto paid = price_ns(*problem, chosen->assignment, measured);
  ASSERT_TRUE(best.ok() && paid.ok());
  EXPECT_GE(*paid, best->ns);

  const FakeCosts nothing([](const Workload&, const PrimitiveInfo&) { return -1.0; });
  EXPECT_FALSE(price_ns(*problem, chosen->assignment, nothing).ok());
}

TEST(Explain, ForcesEveryCandidateAndNamesTheAbsent) {
  FakeRegistry registry = two_layouts();
  registry.add("never", "own", Op::conv, Layout::nchw, Layout::nchw,
               [](const Workload&) { return false; });
  NetworkBuilder builder;
  const Network network =
      builder.build({builder.relu("relu", builder.conv("conv", builder.input()))});
  const FakeCosts costs = times({{"lib_conv_nchw", 100},
                                 {"own_nhwc", 90},
                                 {"own_nchw_nhwc", 500},
                                 {"convert_nchw_nhwc", 30},
                                 {"convert_nhwc_nchw", 20}});
  const auto selection = select(network, registry, costs, platform());
  ASSERT_TRUE(selection.ok());
  const Explanation conv =
      explain(selection->problem, selection->solution, 0, std::chrono::seconds(5));
  ASSERT_EQ(conv.alternatives.size(), 3U);
  EXPECT_EQ(conv.alternatives[0].primitive->name(), "lib_conv_nchw");
  EXPECT_TRUE(conv.alternatives[0].chosen);
  EXPECT_EQ(conv.alternatives[0].elsewhere_ns, 0);
  EXPECT_EQ(conv.alternatives[0].absorbed, std::vector<int>{1});
  EXPECT_EQ(conv.alternatives[1].primitive->name(), "own_nhwc");
  EXPECT_EQ(conv.alternatives[1].plan_ns, 91 + 30 + 20);
  EXPECT_EQ(conv.alternatives[1].elsewhere_ns, 30 + 20);
  EXPECT_EQ(conv.alternatives[2].plan_ns, 501 + 20);
  ASSERT_EQ(conv.absent.size(), 1U);
  EXPECT_EQ(conv.absent[0].primitive->name(), "never");
  EXPECT_EQ(conv.absent[0].reason, "it cannot");

  const Explanation relu =
      explain(selection->problem, selection->solution, 1, std::chrono::seconds(5));
  ASSERT_EQ(relu.alternatives.size(), 3U);  // in the epilogue, or by itself in either layout
  EXPECT_EQ(relu.alternatives[0].primitive, nullptr);
  EXPECT_TRUE(relu.alternatives[0].chosen);
}

TEST(Explain, ChosenComesFirstAmongEquals) {
  const FakeRegistry registry = two_layouts();
  const Network network = random_network(12, 12);
  const auto selection = select(network, registry, FakeCosts::random(5, 3), platform());
  ASSERT_TRUE(selection.ok());
  for (std::size_t op = 0; op < network.operators.size(); ++op) {
    const Explanation e = explain(selection->problem, selection->solution, static_cast<int>(op),
                                  std::chrono::seconds(5));
    ASSERT_FALSE(e.alternatives.empty());
    EXPECT_TRUE(e.alternatives[0].chosen);
    EXPECT_EQ(e.alternatives[0].plan_ns, selection->solution.ns);
  }
}

TEST(Export, ValueIsTheSolutionsAndTheOptimum) {
  const FakeRegistry registry = two_layouts();
  NetworkBuilder builder;
  const TensorId a = builder.conv("a", builder.input());
  const Network network = builder.build({builder.add("add", builder.conv("b", a), a)});
  const auto selection = select(network, registry, FakeCosts::random(3), platform());
  ASSERT_TRUE(selection.ok());
  const auto parsed = parse_json(export_problem(selection->problem, selection->solution), "export");
  ASSERT_TRUE(parsed.ok());
  const Json& json = *parsed;
  EXPECT_EQ(json["schema"], "convopt.pbqp/1");
  const auto number = [](const Json& j) { return j.is_null() ? INFINITY : j.get<double>(); };
  const auto price = [&](const std::vector<int>& choice) {
    double sum = 0;
    for (std::size_t n = 0; n < choice.size(); ++n)
      sum += number(json["nodes"][n]["costs"][choice[n]]);
    for (const Json& edge : json["edges"]) {
      sum += number(edge["costs"][choice[edge["from"].get<int>()]][choice[edge["to"].get<int>()]]);
    }
    return sum;
  };
  const auto solution = json["solution"].get<std::vector<int>>();
  EXPECT_NEAR(price(solution), json["value"].get<double>(), 1e-9);
  EXPECT_NEAR(json["value"].get<double>() * 1e3, selection->solution.ns, 1e-6);

  // Depth first over the nodes, with edges priced as soon as both ends are known.
  std::vector<int> choice(json["nodes"].size(), -1);
  std::vector<std::vector<const Json*>> edges(choice.size());
  for (const Json& edge : json["edges"]) {
    edges[std::max(edge["from"].get<int>(), edge["to"].get<int>())].push_back(&edge);
  }
  double best = INFINITY;
  const std::function<void(std::size_t, double)> visit = [&](std::size_t n, double so_far) {
    if (so_far >= best) return;
    if (n == choice.size()) {
      best = so_far;
      return;
    }
    for (std::size_t i = 0; i < json["nodes"][n]["costs"].size(); ++i) {
      choice[n] = static_cast<int>(i);
      double sum = so_far + number(json["nodes"][n]["costs"][i]);
      for (const Json* edge : edges[n]) {
        sum += number(
            (*edge)["costs"][choice[(*edge)["from"].get<int>()]][choice[(*edge)["to"].get<int>()]]);
      }
      visit(n + 1, sum);
    }
  };
  visit(0, 0);
  EXPECT_NEAR(best, json["value"].get<double>(), 1e-9);
}

/// As many primitives and layouts as the real registry has.
FakeRegistry crowded() {
  FakeRegistry registry;
  const std::vector<Layout> layouts(kLayouts.begin(), kLayouts.end());
  for (const Layout from : layouts) {
    for (int i = 0; i < 12; ++i) {
      registry.add("conv" + std::to_string(i) + "_" + std::string(to_string(from)), "lib", Op::conv,
                   from, from);
    }
    for (const Layout to : layouts) {
      registry.add("first_" + std::string(to_string(from)) + "_" + std::string(to_string(to)),
                   "lib", Op::conv, from, to);
    }
    for (const Op op : {Op::avg_pool_include, Op::avg_pool_exclude, Op::softmax, Op::lrn,
                        Op::upsample_nearest, Op::upsample_bilinear}) {
      registry.add("lib_" + std::string(to_string(op)) + "_" + std::string(to_string(from)), "lib",
                   op, from, from);
    }
  }
  registry.add_others(layouts);
  registry.default_name = "conv0_nChw16c";
  return registry;
}

TEST(ShippedNetworks, AreSolvedByReductionsAlone) {
  const FakeRegistry registry = crowded();
  int networks = 0;
  for (const auto& entry :
       std::filesystem::directory_iterator(CONVOPT_SOURCE_DIR "/data/networks")) {
    if (entry.path().extension() != ".json") continue;
    SCOPED_TRACE(entry.path().filename());
    ++networks;
    const auto network = load_network(entry.path());
    ASSERT_TRUE(network.ok()) << network.error().message;
    for (const std::uint64_t seed : {1, 2, 3}) {
      const auto selection =
          select(*network, registry, FakeCosts::random(seed, 100000), platform());
      ASSERT_TRUE(selection.ok()) << selection.error().message;
      EXPECT_TRUE(selection->solution.optimal);
      EXPECT_EQ(selection->solution.branches, 0);
      std::size_t convolutions = 0, layers = 0;
      for (const Operator& op : network->operators) {
        convolutions += op.kind == OperatorKind::compute && op.workload.op == Op::conv ? 1 : 0;
      }
      for (const PlanLayer& layer : selection->plan.layers) layers += layer.op == "conv" ? 1 : 0;
      EXPECT_EQ(layers, convolutions);
    }
  }
  EXPECT_GE(networks, 15);
}

TEST(Workloads, AreWhatPlansConsistOf) {
  NetworkBuilder builder;
  const TensorId a = builder.conv("a", builder.input());
  const TensorId b = builder.conv("b", a);
  const Network network = builder.build({builder.relu("relu", builder.add("add", b, a))});
  std::vector<std::string> texts;
  for (const Workload& w : network_workloads(network)) texts.push_back(w.text());
  const std::string conv = "conv:n1_ic16_ih8_iw8_oc16_kh3_kw3_s1_p1";
  EXPECT_EQ(texts, (std::vector<std::string>{
                       conv, conv + ":add+relu", "add:n1_c16_h8_w8", "add:n1_c16_h8_w8:relu",
                       "activation:n1_c16_h8_w8:relu", "convert:n1_c16_h8_w8"}));
  texts.clear();
  for (const Workload& w : network_workloads(network, {DataType::f32, DataType::bf16}))
    texts.push_back(w.text());
  EXPECT_EQ(texts.size(), 4U * 6U);
  EXPECT_EQ(texts[1], conv + "_f32_bf16");
  EXPECT_EQ(texts[3], conv + "_bf16");
  EXPECT_EQ(texts.back(), "convert:n1_c16_h8_w8_bf16");
  texts.clear();
  for (const Workload& w : network_workloads(excited(), {DataType::f32, DataType::bf16}))
    texts.push_back(w.text());
  const std::string scaled = "conv:n1_ic16_ih8_iw8_oc16_kh1_kw1_s1_p0_scaled";
  EXPECT_EQ(std::ranges::count(texts, scaled + ":add"), 1);
  EXPECT_EQ(
      std::ranges::count_if(
          texts, [](const std::string& text) { return text.find("scaled") != std::string::npos; }),
      1);
}

}  // namespace
}  // namespace convopt
