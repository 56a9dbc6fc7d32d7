// Whole networks by the real primitives.
#include <gtest/gtest.h>

#include <algorithm>

#include "primitives/reference/reference.h"
#include "src/runtime/verify.h"
#include "tests/runtime/allocations.h"
#include "tests/runtime/support.h"

namespace convopt::testing {
namespace {

const Registry& registry() {
  static const auto made = [] {
    Context context;
    context.isa = default_isa();
    auto result = Registry::create(context);
    EXPECT_TRUE(result.ok()) << result.error().message;
    return std::move(*result);
  }();
  return *made;
}

/// Bottlenecks, a branch with a concatenation whose parts end inside a channel block, a depthwise
/// layer, pooling and a classifier.
Network mixed_network() {
  return network_of("[1, 3, 17, 15]", R"(
      {"name": "stem", "op": "conv", "oc": 32, "kernel": 3, "stride": 2, "padding": 1},
      {"name": "stem_relu", "op": "relu"},
      {"name": "pool", "op": "max_pool", "kernel": 3, "stride": 1, "padding": 1},
      {"name": "narrow", "op": "conv", "oc": 16, "kernel": 1},
      {"name": "narrow_relu", "op": "relu"},
      {"name": "middle", "op": "conv", "oc": 16, "kernel": 3, "padding": 1},
      {"name": "middle_relu", "op": "relu"},
      {"name": "wide", "op": "conv", "oc": 32, "kernel": 1},
      {"name": "sum", "op": "add", "inputs": ["wide", "pool"]},
      {"name": "sum_relu", "op": "relu"},
      {"name": "depthwise", "op": "conv", "oc": 32, "groups": 32, "kernel": 3, "padding": 1},
      {"name": "relu6", "op": "relu6"},
      {"name": "b1", "op": "conv", "inputs": ["relu6"], "oc": 20, "kernel": 1},
      {"name": "b2", "op": "conv", "inputs": ["relu6"], "oc": 12, "kernel": 5, "padding": 2},
      {"name": "cat", "op": "concat", "inputs": ["b1", "b2"]},
      {"name": "gap", "op": "global_avg_pool"},
      {"name": "fc", "op": "fully_connected", "oc": 10},
      {"name": "prob", "op": "softmax"})");
}

enum class Whose { anybodys, own };

/// The choice-th primitive, of as many as apply, from `layout` to itself; null if none applies.
const Primitive* choose(const Workload& workload, Layout layout, std::size_t choice, Whose whose) {
  std::vector<const Primitive*> applicable;
  for (const Primitive* primitive : registry().primitives()) {
    const PrimitiveInfo& info = primitive->info();
    if (whose == Whose::own && info.family == "onednn") continue;
    if (info.traits.weight_type != DataType::f32) continue;  // errs more
    if (info.computes(workload) && info.input_layout == layout && info.output_layout == layout &&
        primitive->applicability(workload, registry().context())) {
      applicable.push_back(primitive);
    }
  }
  return applicable.empty() ? nullptr : applicable[choice % applicable.size()];
}

/// Every operator by its choice-th primitive in one layout, in nchw where there is none; the
/// epilogues that a convolution's primitive takes are fused into it.
class UniformPlan {
 public:
  UniformPlan(const Network& network, Layout layout, std::size_t choice,
              Whose whose = Whose::anybodys)
      : network_(network), layout_(layout), choice_(choice), whose_(whose) {
    for (const TensorId input : network.inputs) made_[input] = Layout::nchw;
  }

  Plan make() {
    for (std::size_t i = 0; i < network_.operators.size(); ++i) {
      if (std::ranges::find(fused_, i) != fused_.end()) continue;
      const Operator& op = network_.operators[i];
      if (op.kind == OperatorKind::reshape) {
        need(op.inputs[0], Layout::nchw);
        made_[op.outputs[0]] = Layout::nchw;
        continue;
      }
      add_layer(i);
    }
    for (const TensorId output : network_.outputs) need(output, Layout::nchw);
    return std::move(plan_);
  }

 private:
  void add_layer(std::size_t index) {
    const Operator& op = network_.operators[index];
    PlanLayer layer;
    layer.name = op.name;
    Workload workload = op.workload;
    TensorId result = op.outputs[0];
    Layout layout = layout_;
    if (choose(workload, layout, choice_, whose_) == nullptr) layout = Layout::nchw;
    // The network is written so that an operator and its epilogue stand in a row.
    for (std::size_t next = index + 1; next < network_.operators.size(); ++next) {
      const Operator& follower = network_.operators[next];
      Workload longer = workload;
      if (op.workload.op != Op::conv || follower.inputs[0] != result) break;
      if (follower.workload.op == Op::add) {
        longer.epilogue.residual = true;
      } else if (follower.workload.op == Op::activation) {
        longer.epilogue.activation = follower.workload.epilogue.activation;
      } else {
        break;
      }
      if (choose(longer, layout, choice_, whose_) == nullptr) break;
      if (longer.epilogue.residual && !workload.epilogue.residual) need(follower.inputs[1], layout);
      workload = longer;
      layer.fused.push_back(follower.name);
      fused_.push_back(next);
      result = follower.outputs[0];
    }
    const Primitive* primitive = choose(workload, layout, choice_, whose_);
    ASSERT_NE(primitive, nullptr) << workload.text();
    layer.primitive = primitive->name();
    layer.workload = workload.text();
    layer.input_layout = layer.output_layout = layout;
    for (const TensorId input : op.inputs) need(input, layout);
    made_[result] = layout;
    plan_.layers.push_back(layer);
  }

  void need(TensorId tensor, Layout layout) {
    const std::string& name = network_.tensors[tensor].name;
    const Layout made = made_.at(tensor);
    const bool known = std::ranges::any_of(plan_.conversions, [&](const PlanConversion& other) {
      return other.tensor == name && other.target_layout == layout;
    });
    if (made == layout || known) return;
    const Workload conversion = Workload::pointwise(Op::convert, network_.tensors[tensor].shape);
    std::vector<const Primitive*> applicable;
    for (const Primitive* primitive : registry().primitives()) {
      const PrimitiveInfo& info = primitive->info();
      if (whose_ == Whose::own && info.family == "onednn") continue;
      if (info.computes(conversion) && info.input_layout == made && info.output_layout == layout) {
        applicable.push_back(primitive);
      }
    }
    ASSERT_FALSE(applicable.empty());
    const std::string chosen(applicable[choice_ % applicable.size()]->name());
    plan_.conversions.push_back({name, made, layout, chosen, 0});
  }

  const Network& network_;
  Layout layout_;
  std::size_t choice_;
  Whose whose_;
  std::map<TensorId, Layout> made_;
  std::vector<std::size_t> fused_;
  Plan plan_;
};

class RealPrimitives : public ::testing::TestWithParam<Layout> {};

TEST_P(RealPrimitives, ComputeTheNetworkWithinTheirBounds) {
  const Network network = mixed_network();
  const RandomWeights weights(network, kSeed);
  // More than the primitives of any one workload.
  constexpr std::size_t kChoices = 24;
  for (std::size_t choice = 0; choice < kChoices; ++choice) {
    const Plan plan = UniformPlan(network, GetParam(), choice).make();
    auto executor = Executor::create(network, plan, registry(), weights);
    ASSERT_TRUE(executor.ok()) << executor.error().message;
    const Tensors inputs = random_inputs(network, kSeed + choice);
    const auto verified = verify(**executor, network, weights, read_spans(inputs));
    ASSERT_TRUE(verified.ok()) << verified.error().message;
    if (const TensorCheck* failure = verified->first_failure()) {
      ADD_FAILURE() << "choice " << choice << ", seed " << kSeed + choice << ": " << failure->name
                    << " by " << failure->primitive << ": error " << failure->error << ", bound "
                    << failure->bound << ", tail is zero: " << failure->tail_is_zero;
    }
  }
}

/// Weights of 1 and -1 in turns: products of neighbours cancel each other.
class Alternating final : public WeightSource {
 public:
  Result<Weights> weights(const Operator& op) const override {
    std::vector<float> values(static_cast<std::size_t>(op.workload.weight_elements()));
    for (std::size_t i = 0; i < values.size(); ++i) values[i] = i % 2 == 0 ? 1.0F : -1.0F;
    return Weights{std::move(values), {}};
  }
};

TEST_P(RealPrimitives, MayErrByWhatTheyAddUpWhereTheResultIsSmall) {
  const Network network = network_of("[1, 64, 9, 9]", R"(
      {"name": "difference", "op": "conv", "oc": 16, "kernel": 1})");
  const Alternating weights;
  Tensors inputs = random_inputs(network);
  // Pairs of channels that differ in their last digits.
  std::vector<float>& x = inputs[0];
  constexpr std::size_t kPixels = 81;
  for (std::size_t i = 0; i < x.size(); ++i) {
    if (i / kPixels % 2 == 1) x[i] = x[i - kPixels] * (1 + 0x1p-14F);
  }
  int beyond = 0;
  for (std::size_t choice = 0; choice < 24; ++choice) {
    const Plan plan = UniformPlan(network, GetParam(), choice).make();
    auto executor = Executor::create(network, plan, registry(), weights);
    ASSERT_TRUE(executor.ok()) << executor.error().message;
    const auto verified = verify(**executor, network, weights, read_spans(inputs));
    ASSERT_TRUE(verified.ok()) << verified.error().message;
    EXPECT_EQ(verified->first_failure(), nullptr) << plan.layers[0].primitive;
    const Workload& workload = network.operators[0].workload;
    if (verified->max_error() > error_bound(workload, Traits{})) ++beyond;
  }
  EXPECT_GT(beyond, 0) << "nothing was cancelled";
}

TEST_P(RealPrimitives, MayErrByRoundingsThatAddUpWhereNumbersAreAlike) {
  const Network network =
      network_of("[1, 8, 112, 112]", R"({"name": "mean", "op": "global_avg_pool"})");
  Tensors inputs = random_inputs(network);
  std::ranges::fill(inputs[0], 0.7F);
  int beyond = 0;
  for (std::size_t choice = 0; choice < 8; ++choice) {
    const Plan plan = UniformPlan(network, GetParam(), choice).make();
    const RandomWeights weights(network, kSeed);
    auto executor = Executor::create(network, plan, registry(), weights);
    ASSERT_TRUE(executor.ok()) << executor.error().message;
    const auto verified = verify(**executor, network, weights, read_spans(inputs));
    ASSERT_TRUE(verified.ok()) << verified.error().message;
    EXPECT_EQ(verified->first_failure(), nullptr) << plan.layers[0].primitive;
    const Workload& workload = network.operators[0].workload;
    if (verified->max_error() > error_bound(workload, Traits{})) ++beyond;
  }
  // The others add up rows, or lanes, before they add these.
  if (GetParam() == Layout::nhwc) {
    EXPECT_GT(beyond, 0) << "no sum was rounded far";
  }
}

// oneDNN allocates inside dnnl_primitive_execute, a hash table of the arguments each time; ours may
// not.
TEST_P(RealPrimitives, RunWithoutAllocatingAndAlwaysAlike) {
  const Network network = network_of("[1, 3, 17, 15]", R"(
      {"name": "stem", "op": "conv", "oc": 32, "kernel": 3, "stride": 2, "padding": 1},
      {"name": "stem_relu", "op": "relu"},
      {"name": "middle", "op": "conv", "oc": 32, "kernel": 3, "padding": 1},
      {"name": "sum", "op": "add", "inputs": ["middle", "stem_relu"]},
      {"name": "sum_relu", "op": "relu"},
      {"name": "b1", "op": "conv", "inputs": ["sum_relu"], "oc": 20, "kernel": 1},
      {"name": "b2", "op": "conv", "inputs": ["sum_relu"], "oc": 12, "kernel": 5, "padding": 2},
      {"name": "cat", "op": "concat", "inputs": ["b1", "b2"]},
      {"name": "relu6", "op": "relu6"})");
  const Plan plan = UniformPlan(network, GetParam(), 0, Whose::own).make();
  auto executor = Executor::create(network, plan, registry(), RandomWeights(network, kSeed));
  ASSERT_TRUE(executor.ok()) << executor.error().message;
  const Tensors inputs = random_inputs(network);
  Tensors first = empty_outputs(network);
  Tensors second = empty_outputs(network);
  const auto sources = read_spans(inputs);
  const auto first_spans = write_spans(first);
  const auto second_spans = write_spans(second);
  ASSERT_TRUE((*executor)->run(sources, first_spans).ok());
  const long before = allocation_count();
  const bool ok = (*executor)->run(sources, second_spans).ok();
  EXPECT_EQ(allocation_count() - before, 0);
  EXPECT_TRUE(ok);
  EXPECT_EQ(first, second);
}

INSTANTIATE_TEST_SUITE_P(Layouts, RealPrimitives, ::testing::ValuesIn(kLayouts),
                         [](const auto& test) { return std::string(to_string(test.param)); });

}  // namespace
}  // namespace convopt::testing
