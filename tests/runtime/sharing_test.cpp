// Work that is too little for two threads starts none.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "primitives/sharing.h"
#include "src/runtime/executor.h"
#include "tests/runtime/forks.h"
#include "tests/runtime/support.h"

namespace convopt::testing {
namespace {

const Registry& two_threads() {
  static const auto made = [] {
    Context context;
    context.isa = default_isa();
    context.threads = 2;
    auto result = Registry::create(context);
    EXPECT_TRUE(result.ok()) << result.error().message;
    return std::move(*result);
  }();
  return *made;
}

/// Layers of all kinds on an image of that many rows and columns.
Network network_of_size(int size) {
  const std::string side = std::to_string(size);
  return network_of("[1, 8, " + side + ", " + side + "]", R"(
      {"name": "conv", "op": "conv", "oc": 8, "kernel": 3, "padding": 1},
      {"name": "depthwise", "op": "conv", "oc": 8, "groups": 8, "kernel": 3, "padding": 1},
      {"name": "tanh", "op": "tanh"},
      {"name": "sum", "op": "add", "inputs": ["tanh", "conv"]},
      {"name": "pool", "op": "max_pool", "kernel": 3, "stride": 1, "padding": 1},
      {"name": "gap", "op": "global_avg_pool"},
      {"name": "fc", "op": "fully_connected", "oc": 10},
      {"name": "prob", "op": "softmax"})");
}

/// Every operator by its choice-th primitive of nchw.
Plan plan_of(const Network& network, std::size_t choice) {
  Plan plan;
  for (const Operator& op : network.operators) {
    if (op.kind != OperatorKind::compute) continue;
    std::vector<const Primitive*> applicable;
    for (const Primitive* primitive : two_threads().primitives()) {
      const PrimitiveInfo& info = primitive->info();
      if (info.computes(op.workload) && info.input_layout == Layout::nchw &&
          info.output_layout == Layout::nchw &&
          primitive->applicability(op.workload, two_threads().context())) {
        applicable.push_back(primitive);
      }
    }
    PlanLayer layer;
    layer.name = op.name;
    layer.primitive = applicable.at(choice % applicable.size())->name();
    plan.layers.push_back(std::move(layer));
  }
  return plan;
}

long forks_of_a_run(const Network& network, std::size_t choice) {
  const RandomWeights weights(network, kSeed);
  auto executor = Executor::create(network, plan_of(network, choice), two_threads(), weights);
  EXPECT_TRUE(executor.ok()) << executor.error().message;
  if (!executor) return -1;
  const Tensors inputs = random_inputs(network);
  Tensors outputs = empty_outputs(network);
  const long before = fork_count();
  EXPECT_TRUE((*executor)->run(read_spans(inputs), write_spans(outputs)).ok());
  return fork_count() - before;
}

TEST(Sharing, SmallNetworksStartNoThreads) {
  if (!counts_forks()) GTEST_SKIP() << "this compiler's runtime has other names";
  const Network small = network_of_size(4), large = network_of_size(60);
  for (std::size_t choice = 0; choice < 6; ++choice) {
    EXPECT_EQ(forks_of_a_run(small, choice), 0) << plan_of(small, choice).layers[0].primitive;
    EXPECT_GT(forks_of_a_run(large, choice), 4) << plan_of(large, choice).layers[0].primitive;
  }
}

TEST(Sharing, DependsOnTheWorkAlone) {
  const auto threads = [](const char* name, const std::string& text, int of) {
    Context context = two_threads().context();
    context.threads = of;
    const Workload workload = Workload::parse(text).value();
    const Primitive* const primitive = two_threads().find(name);
    return context_of(*primitive, workload, context).threads;
  };
  // Values that are moved, and products.
  EXPECT_EQ(threads("add_plain", "add:d40x60", 2), 1);
  EXPECT_EQ(threads("add_plain", "add:d40x600", 2), 2);
  EXPECT_EQ(threads("matmul_plain", "matmul:d1x16_by16x48", 2), 1);
  EXPECT_EQ(threads("matmul_plain", "matmul:d30x64_by64x64", 2), 2);
  // All threads or one: a team of another size would cost the others their lives.
  EXPECT_EQ(threads("add_plain", "add:d40x600", 8), 8);
  EXPECT_EQ(threads("add_plain", "add:d40x600", 1), 1);
}

}  // namespace
}  // namespace convopt::testing
