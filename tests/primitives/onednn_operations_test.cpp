// Everything in a network that is no convolution, and layout conversions, as oneDNN computes it.
#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>
#include <set>
#include <string>
#include <vector>

#include "primitives/provider.h"
#include "tests/primitives/onednn_support.h"

namespace convopt {
namespace {

using onednn_test::check;

ConvShape window(int n, int c, int h, int w, int kernel, int stride, int before, int after) {
  ConvShape shape;
  shape.n = n;
  shape.ic = shape.oc = shape.groups = c;
  shape.ih = h;
  shape.iw = w;
  shape.kh = shape.kw = kernel;
  shape.stride_h = shape.stride_w = stride;
  shape.pad_top = shape.pad_left = before;
  shape.pad_bottom = shape.pad_right = after;
  return shape;
}

/// Channels that leave no tail, a tail in both blocked layouts, in the larger one.
std::vector<TensorShape> tensors() { return {{1, 32, 8, 8}, {2, 21, 5, 7}, {1, 24, 3, 5}}; }

std::vector<Workload> workloads() {
  std::vector<Workload> list;
  for (const Op op : {Op::max_pool, Op::avg_pool_include, Op::avg_pool_exclude}) {
    list.push_back(Workload::pool(op, window(1, 32, 8, 8, 2, 2, 0, 0)));
    list.push_back(Workload::pool(op, window(2, 21, 9, 11, 3, 2, 1, 1)));
    list.push_back(Workload::pool(op, window(1, 20, 8, 8, 3, 2, 0, 1)));  // ceiling mode
    list.push_back(Workload::pool(op, window(1, 24, 7, 7, 7, 1, 0, 0)));  // global
  }
  for (const TensorShape& shape : tensors()) {
    for (const Activation& activation :
         std::vector<Activation>{{ActivationKind::relu},
                                 {ActivationKind::clip, -0.25F, 0.5F},
                                 {ActivationKind::leaky_relu, 0.1F},
                                 {ActivationKind::elu, 1.0F},
                                 {ActivationKind::sigmoid},
                                 {ActivationKind::tanh},
                                 {ActivationKind::swish},
                                 {ActivationKind::hard_sigmoid},
                                 {ActivationKind::hard_swish},
                                 {ActivationKind::gelu}}) {
      list.push_back(Workload::pointwise(Op::activation, shape, {false, activation}));
    }
    list.push_back(Workload::pointwise(Op::add, shape));
    list.push_back(Workload::pointwise(Op::add, shape, {false, {ActivationKind::relu}}));
    list.push_back(Workload::pointwise(Op::add, shape, {false, {ActivationKind::swish}}));
    list.push_back(Workload::pointwise(Op::softmax, shape));
    list.push_back(Workload::lrn(shape, 5));
    list.push_back(Workload::upsample(Op::upsample_nearest, shape, 2, 2));
    list.push_back(Workload::upsample(Op::upsample_nearest, shape, 3, 2));
    list.push_back(Workload::upsample(Op::upsample_bilinear, shape, 2, 2));
    list.push_back(Workload::upsample(Op::upsample_bilinear, shape, 2, 3));
    list.push_back(Workload::upsample(Op::upsample_bilinear, {1, shape.c(), 3, 80}, 1, 5));
    list.push_back(Workload::pointwise(Op::convert, shape));
  }
  list.push_back(Workload::pointwise(Op::softmax, {2, 1000, 1, 1}));
  list.push_back(Workload::concat({1, 48, 5, 6}, {16, 32}));
  list.push_back(Workload::concat({2, 40, 5, 6}, {8, 8, 24}));
  list.push_back(Workload::concat({1, 23, 4, 3}, {3, 7, 13}));
  list.push_back(Workload::fully_connected(1, 64, 32));
  list.push_back(Workload::fully_connected(3, 37, 21, {ActivationKind::relu}));
  list.push_back(Workload::pointwise(Op::convert, {1, 3, 9, 7}));
  return list;
}

struct OperationSummary {
  std::string failures;
  std::set<std::string> idle;  // names of primitives that computed nothing
};

OperationSummary check_operations(const Context& context) {
  OperationSummary summary;
  auto provider = make_onednn_provider(context);
  if (!provider) return {provider.error().message, {}};
  for (const auto& primitive : (*provider)->discover()) {
    const PrimitiveInfo& info = primitive->info();
    const bool is_f32 = info.input_type == DataType::f32 && info.output_type == DataType::f32;
    if (info.op == Op::conv || !is_f32) continue;  // those of bf16 have tests of their own
    bool computed = false;
    for (const Workload& workload : workloads()) {
      if (!primitive->info().computes(workload)) continue;
      if (!primitive->applicability(workload, context)) continue;
      computed = true;
      summary.failures += check(*primitive, workload, context);
    }
    if (!computed) summary.idle.insert(primitive->info().name);
  }
  return summary;
}

TEST(OneDnnOperations, EveryOneIsCorrect) {
  for (const int threads : {1, 2}) {
    const OperationSummary summary = check_operations({default_isa(), threads});
    EXPECT_EQ(summary.failures, "");
    for (const std::string& name : summary.idle) ADD_FAILURE() << name << " computes nothing";
  }
}

[[noreturn]] void check_operation_level(Isa isa) {
  const OperationSummary summary = check_operations({isa, 1});
  std::fprintf(stderr, "%s", summary.failures.c_str());
  std::_Exit(summary.failures.empty() ? 0 : 1);
}

TEST(OneDnnOperationsDeathTest, EveryOneIsCorrectAtLowerLevels) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  for (const Isa isa : supported_isas()) {
    if (isa == default_isa()) continue;
    EXPECT_EXIT(check_operation_level(isa), testing::ExitedWithCode(0), "");
  }
}

TEST(OneDnnOperations, TensorsNeedNoAlignment) {
  const Context context{default_isa(), 1};
  auto provider = make_onednn_provider(context);
  ASSERT_TRUE(provider.ok());
  const TensorShape shape{1, 96, 24, 24};
  for (const Workload& workload :
       {Workload::upsample(Op::upsample_bilinear, shape, 3, 3),
        Workload::upsample(Op::upsample_nearest, shape, 3, 2),
        Workload::pool(Op::avg_pool_include, window(1, 64, 7, 7, 7, 1, 0, 0)),
        Workload::pointwise(Op::convert, shape), Workload::pointwise(Op::add, shape)}) {
    for (const auto& primitive : (*provider)->discover()) {
      if (!primitive->info().computes(workload)) continue;
      ASSERT_TRUE(primitive->applicability(workload, context)) << primitive->name();
      EXPECT_EQ(check(*primitive, workload, context, 1), "");
    }
  }
}

TEST(OneDnnOperations, ReasonsSayWhatIsMissing) {
  const Context context{default_isa(), 1};
  auto provider = make_onednn_provider(context);
  ASSERT_TRUE(provider.ok());
  const auto reason = [&](const char* name, const Workload& workload) {
    return (*provider)->make(name)->applicability(workload, context).reason;
  };
  const TensorShape shape{1, 16, 4, 4};
  EXPECT_NE(reason("onednn_activation_nchw", Workload::pointwise(Op::activation, shape)), "");
  EXPECT_NE(reason("onednn_add_nchw", Workload::pointwise(Op::add, shape, {true, {}})), "");
  EXPECT_NE(reason("onednn_softmax_nchw",
                   Workload::pointwise(Op::softmax, shape, {false, {ActivationKind::relu}})),
            "");
  // Its reference implementation, 60 to 200 times as slow as others.
  const auto softmax = [](const TensorShape& image) {
    return Workload::pointwise(Op::softmax, image);
  };
  EXPECT_NE(reason("onednn_softmax_nchw", softmax(shape)).find("reference"), std::string::npos);
  EXPECT_EQ(reason("onednn_softmax_nchw", softmax({8, 100, 1, 1})), "");
  EXPECT_NE(reason("onednn_add_nChw16c",
                   Workload::pointwise(Op::add, {1, 20, 4, 4}, {false, {ActivationKind::relu}}))
                .find("known to fail"),
            std::string::npos);
  // The library centres an even window differently.
  EXPECT_NE(reason("onednn_lrn_nchw", Workload::lrn(shape, 4)), "");
  EXPECT_EQ(reason("onednn_lrn_nchw", Workload::lrn(shape, 3)), "");
}

}  // namespace
}  // namespace convopt
