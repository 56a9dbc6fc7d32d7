// Every convolution that oneDNN offers computes what it says, at every ISA level of this processor.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "primitives/provider.h"
#include "tests/primitives/onednn_support.h"

namespace convopt {
namespace {

using onednn_test::Buffer;
using onednn_test::check;
using onednn_test::Problem;

/// Those of bf16 have tests of their own.
bool computes_f32(const PrimitiveInfo& info) { return info.computes(Workload::conv({})); }

ConvShape parse(const char* text) { return ConvShape::parse(text).value(); }

/// Named by what is special about them.
std::vector<ConvShape> shapes() {
  return {
      parse("n1_ic32_ih14_iw14_oc32_kh3_kw3_s1_p1"),                   // aligned
      parse("n2_ic64_ih9_iw13_oc48_kh1_kw1_s1_p0"),                    // 1x1, batch, rectangle
      parse("n1_ic32_ih12_iw12_oc64_kh1_kw1_s2_p0"),                   // 1x1 with stride
      parse("n1_ic3_ih30_iw27_oc32_kh7_kw7_s2_p3"),                    // first layer
      parse("n2_ic20_ih9_iw11_oc27_kh3_kw3_sh2_sw1_pt0_pb1_pl2_pr1"),  // tails, asymmetric
      parse("n1_ic16_ih13_iw13_oc16_kh5_kw5_s1_p2"),                   // 5x5
      parse("n1_ic16_ih17_iw10_oc32_kh1_kw7_s1_pt0_pb0_pl3_pr3"),      // flat kernel
      parse("n1_ic32_ih15_iw15_oc32_kh3_kw3_s1_p2_d2"),                // dilation
      parse("n2_ic64_ih8_iw8_oc64_kh3_kw3_s1_p1_g4"),                  // groups
      parse("n1_ic6_ih8_iw8_oc10_kh3_kw3_s1_p1_g2"),                   // groups with tails
      parse("n2_ic48_ih11_iw11_oc48_kh3_kw3_s2_p1_g48"),               // depthwise
      parse("n1_ic21_ih7_iw9_oc21_kh3_kw3_s1_p1_g21"),                 // depthwise with a tail
      parse("n1_ic64_ih2_iw2_oc64_kh3_kw3_s1_p1"),                     // smaller than a tile
      parse("n1_ic64_ih28_iw28_oc64_kh3_kw3_s1_p1"),                   // several tiles
      parse("n1_ic256_ih14_iw14_oc64_kh1_kw1_s1_p0"),                  // 1x1 of many products
      parse("n1_ic96_ih28_iw28_oc96_kh3_kw3_s1_p2_d2_g96"),            // depthwise with dilation
  };
}

/// All with one thread; what threads change does not depend on the activation.
std::vector<Epilogue> epilogues(int threads) {
  if (threads > 1) return {{false, {}}, {true, {ActivationKind::relu}}};
  return {{false, {}}, {true, {ActivationKind::relu}}, {false, {ActivationKind::clip, 0.0F, 0.5F}}};
}

struct ConvSummary {
  std::string failures;
  std::set<std::string> computed;  // names of primitives that computed something
};

ConvSummary check_convolutions(Provider& provider, const Context& context) {
  ConvSummary summary;
  const auto primitives = provider.discover();
  for (const auto& primitive : primitives) {
    if (!computes_f32(primitive->info())) continue;
    for (const ConvShape& shape : shapes()) {
      for (const Epilogue& epilogue : epilogues(context.threads)) {
        const Workload workload = Workload::conv(shape, epilogue);
        if (!primitive->applicability(workload, context)) continue;
        summary.failures += check(*primitive, workload, context);
        summary.computed.insert(std::string(primitive->name()));
      }
    }
    if (!summary.computed.contains(std::string(primitive->name()))) {
      summary.failures += std::string(primitive->name()) + " computes none of the shapes\n";
    }
  }
  return summary;
}

TEST(OneDnnConvolution, EveryOneIsCorrect) {
  for (const int threads : {1, 2}) {
    const Context context{default_isa(), threads};
    auto provider = make_onednn_provider(context);
    ASSERT_TRUE(provider.ok()) << provider.error().message;
    const ConvSummary summary = check_convolutions(**provider, context);
    EXPECT_EQ(summary.failures, "");
    EXPECT_GE(summary.computed.size(), 8U);
  }
}

/// One level per process is all that the library allows: ends a fresh one with the verdict.
[[noreturn]] void check_conv_level(Isa isa) {
  const Context context{isa, 1};
  auto provider = make_onednn_provider(context);
  if (!provider) {
    std::fprintf(stderr, "%s\n", provider.error().message.c_str());
    std::_Exit(2);
  }
  const ConvSummary summary = check_convolutions(**provider, context);
  std::fprintf(stderr, "%s", summary.failures.c_str());
  std::_Exit(summary.failures.empty() ? 0 : 1);
}

TEST(OneDnnConvolutionDeathTest, EveryOneIsCorrectAtLowerLevels) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  for (const Isa isa : supported_isas()) {
    if (isa == default_isa()) continue;
    EXPECT_EXIT(check_conv_level(isa), testing::ExitedWithCode(0), "");
  }
}

TEST(OneDnnConvolution, ActivationsAreFused) {
  const Context context{default_isa(), 1};
  auto provider = make_onednn_provider(context);
  ASSERT_TRUE(provider.ok());
  const ConvShape shape = parse("n1_ic16_ih7_iw7_oc20_kh3_kw3_s1_p1");
  const std::vector<Activation> activations = {{ActivationKind::leaky_relu, 0.1F},
                                               {ActivationKind::elu, 0.5F},
                                               {ActivationKind::sigmoid},
                                               {ActivationKind::tanh},
                                               {ActivationKind::swish},
                                               {ActivationKind::hard_sigmoid},
                                               {ActivationKind::hard_swish},
                                               {ActivationKind::gelu}};
  int computed = 0;
  for (const auto& primitive : (*provider)->discover()) {
    if (!computes_f32(primitive->info())) continue;
    for (const Activation& activation : activations) {
      const Workload workload = Workload::conv(shape, {true, activation});
      if (!primitive->applicability(workload, context)) continue;
      EXPECT_EQ(check(*primitive, workload, context), "");
      ++computed;
    }
  }
  EXPECT_GE(computed, 8);
}

TEST(OneDnnConvolution, ReferenceIsFoundByNameOnly) {
  const Context context{default_isa(), 1};
  auto provider = make_onednn_provider(context);
  ASSERT_TRUE(provider.ok());
  for (const auto& primitive : (*provider)->discover()) {
    EXPECT_EQ(primitive->name().find("_ref_"), std::string_view::npos) << primitive->name();
  }
  const auto plain = (*provider)->make("onednn_ref_any_nhwc_nChw8c");
  ASSERT_NE(plain, nullptr);
  const Workload workload = Workload::conv(shapes()[4], {true, {ActivationKind::relu}});
  ASSERT_TRUE(plain->applicability(workload, context));
  EXPECT_EQ(check(*plain, workload, context), "");
}

TEST(OneDnnConvolution, ResidualMayBeTheDestination) {
  const Context context{default_isa(), 1};
  auto provider = make_onednn_provider(context);
  ASSERT_TRUE(provider.ok());
  const Workload workload =
      Workload::conv(parse("n1_ic32_ih9_iw9_oc32_kh3_kw3_s1_p1"), {true, {ActivationKind::relu}});
  for (const auto& primitive : (*provider)->discover()) {
    if (!computes_f32(primitive->info()) || !primitive->applicability(workload, context)) continue;
    EXPECT_TRUE(primitive->info().traits.overwrites_residual);
    Problem problem(workload, primitive->info().input_layout, primitive->info().output_layout);
    auto kernel = primitive->prepare(workload, problem.parameters(), context);
    ASSERT_TRUE(kernel.ok());
    AlignedFloats workspace((*kernel)->workspace_bytes() / sizeof(float) + 16);
    RunArgs args = problem.args(workspace.data());
    args.destination = args.residual;
    (*kernel)->run(args);
    EXPECT_LE(reference::max_relative_error(args.destination, problem.expected),
              error_bound(workload, primitive->info().traits))
        << primitive->name();
  }
}

TEST(OneDnnConvolution, WritesIntoAConcatenation) {
  const Context context{default_isa(), 1};
  auto provider = make_onednn_provider(context);
  ASSERT_TRUE(provider.ok());
  const Workload workload = Workload::conv(parse("n1_ic32_ih6_iw6_oc16_kh3_kw3_s1_p1"));
  for (const auto& primitive : (*provider)->discover()) {
    const PrimitiveInfo& info = primitive->info();
    if (!computes_f32(info) || info.output_layout == Layout::nhwc ||
        !primitive->applicability(workload, context)) {
      continue;
    }
    Problem problem(workload, info.input_layout, info.output_layout);
    auto kernel = primitive->prepare(workload, problem.parameters(), context);
    ASSERT_TRUE(kernel.ok());
    AlignedFloats workspace((*kernel)->workspace_bytes() / sizeof(float) + 16);
    Buffer whole({1, 48, 6, 6}, info.output_layout);
    reference::fill_random(whole.view(), 7);
    Buffer before({1, 48, 6, 6}, info.output_layout);
    reference::fill_random(before.view(), 7);
    RunArgs args = problem.args(workspace.data());
    args.destination = whole.view().channels(16, 16);
    (*kernel)->run(args);
    EXPECT_LE(reference::max_relative_error(args.destination, problem.expected),
              error_bound(workload, info.traits))
        << info.name;
    for (const int first : {0, 32}) {
      EXPECT_EQ(reference::max_relative_error(whole.view().channels(first, 16),
                                              before.view().channels(first, 16)),
                0)
          << info.name;
    }
  }
}

TEST(OneDnnConvolution, TensorsNeedNoAlignment) {
  const Context context{default_isa(), 1};
  auto provider = make_onednn_provider(context);
  ASSERT_TRUE(provider.ok());
  for (const char* text :
       {"n1_ic64_ih9_iw9_oc48_kh1_kw1_s1_p0", "n1_ic512_ih9_iw9_oc18_kh1_kw1_s1_p0",
        "n1_ic32_ih9_iw9_oc32_kh3_kw3_s1_p1", "n1_ic21_ih9_iw9_oc21_kh3_kw3_s1_p1_g21"}) {
    const Workload workload = Workload::conv(parse(text), {true, {}});
    for (const auto& primitive : (*provider)->discover()) {
      if (!computes_f32(primitive->info()) || !primitive->applicability(workload, context))
        continue;
      EXPECT_EQ(check(*primitive, workload, context, 1), "");
    }
  }
}

/// Shapes that made implementations of 2.6.3 fault.
TEST(OneDnnConvolution, DefectiveOffersAreRefused) {
  const Context context{default_isa(), 1};
  auto provider = make_onednn_provider(context);
  ASSERT_TRUE(provider.ok());
  for (const char* text : {"n1_ic20_ih14_iw14_oc32_kh3_kw3_s1_pt0_pb3_pl1_pr1",
                           "n1_ic21_ih7_iw9_oc21_kh3_kw3_s1_p1_g21"}) {
    const Workload workload = Workload::conv(parse(text), {true, {ActivationKind::swish}});
    for (const auto& primitive : (*provider)->discover()) {
      if (!computes_f32(primitive->info()) || !primitive->applicability(workload, context))
        continue;
      EXPECT_EQ(check(*primitive, workload, context), "");
    }
  }
  const auto small = (*provider)->make("onednn_jit_dw_sse41_nhwc");
  const Workload odd = Workload::conv(parse("n1_ic21_ih7_iw9_oc21_kh3_kw3_s1_p1_g21"));
  EXPECT_FALSE(small->applicability(odd, context));
  const Workload even = Workload::conv(parse("n1_ic24_ih7_iw9_oc24_kh3_kw3_s1_p1_g24"));
  EXPECT_TRUE(small->applicability(even, context));
}

TEST(OneDnnConvolution, SeveralThreadsRunOneKernel) {
  const Context context{default_isa(), 1};
  auto provider = make_onednn_provider(context);
  ASSERT_TRUE(provider.ok());
  const Workload workload = Workload::conv(parse("n1_ic32_ih14_iw14_oc32_kh3_kw3_s1_p1"));
  for (const auto& primitive : (*provider)->discover()) {
    const PrimitiveInfo& info = primitive->info();
    if (!computes_f32(info) || !primitive->applicability(workload, context)) continue;
    const Problem first(workload, info.input_layout, info.output_layout, 11);
    auto kernel = primitive->prepare(workload, first.parameters(), context);
    ASSERT_TRUE(kernel.ok());
    // The source is shared, everything written is the thread's own.
    std::vector<std::unique_ptr<Problem>> problems;
    for (int i = 0; i < 3; ++i) {
      problems.push_back(
          std::make_unique<Problem>(workload, info.input_layout, info.output_layout, 11));
    }
    std::vector<std::string> failures(problems.size());
    std::vector<std::thread> threads;
    for (std::size_t i = 0; i < problems.size(); ++i) {
      threads.emplace_back([&, i] {
        const Problem& own = *problems[i];
        AlignedFloats workspace((*kernel)->workspace_bytes() / sizeof(float) + 16);
        RunArgs args = own.args(workspace.data());
        args.sources = first.source_views;
        for (int round = 0; round < 10; ++round) {
          (*kernel)->run(args);
          if (!(own.error() <= error_bound(workload, info.traits))) failures[i] = "wrong result";
        }
      });
    }
    for (std::thread& thread : threads) thread.join();
    for (const std::string& failure : failures) EXPECT_EQ(failure, "") << info.name;
  }
}

TEST(OneDnnConvolution, ApplicabilityDependsOnThreads) {
  const Isa isa = default_isa();
  auto provider = make_onednn_provider({isa, 1});
  ASSERT_TRUE(provider.ok());
  const auto winograd = (*provider)->make("onednn_wino_2x3_avx512_core_nChw16c");
  ASSERT_NE(winograd, nullptr);
  const Workload workload = Workload::conv(parse("n8_ic64_ih28_iw28_oc64_kh3_kw3_s1_p1"));
  const Applicability one = winograd->applicability(workload, {isa, 1});
  EXPECT_FALSE(one);
  EXPECT_NE(one.reason.find("1 thread"), std::string::npos) << one.reason;
  // Asked again, with other numbers in between, the answers stay.
  const bool eight = static_cast<bool>(winograd->applicability(workload, {isa, 8}));
  EXPECT_FALSE(winograd->applicability(workload, {isa, 1}));
  EXPECT_EQ(static_cast<bool>(winograd->applicability(workload, {isa, 8})), eight);
}

TEST(OneDnnConvolution, ReasonsSayWhatIsWrong) {
  const Context context{default_isa(), 1};
  auto provider = make_onednn_provider(context);
  ASSERT_TRUE(provider.ok());
  const auto gemm = (*provider)->make("onednn_x64_gemm_jit_nchw");
  ASSERT_NE(gemm, nullptr);
  const Workload plain = Workload::conv(parse("n1_ic16_ih8_iw8_oc16_kh3_kw3_s1_p1"));
  ASSERT_TRUE(gemm->applicability(plain, context)) << gemm->applicability(plain, context).reason;

  Context small = context;
  small.workspace_limit = 64;
  EXPECT_NE(gemm->applicability(plain, small).reason.find("workspace"), std::string::npos);

  Context other = context;
  other.isa = Isa::scalar;
  EXPECT_NE(gemm->applicability(plain, other).reason.find("scalar"), std::string::npos);

  const auto unknown = (*provider)->make("onednn_no_such_thing_nchw");
  ASSERT_NE(unknown, nullptr);
  const std::string reason = unknown->applicability(plain, context).reason;
  EXPECT_NE(reason.find("x64_gemm_jit"), std::string::npos) << reason;
  auto kernel = unknown->prepare(plain, {}, context);
  ASSERT_FALSE(kernel.ok());
  EXPECT_EQ(kernel.error().code, ErrorCode::usage);

  auto without_weights = gemm->prepare(plain, {}, context);
  ASSERT_FALSE(without_weights.ok());
  EXPECT_NE(without_weights.error().message.find("weights"), std::string::npos);

  Problem problem(plain, Layout::nchw, Layout::nchw);
  Parameters parameters = problem.parameters();
  ASSERT_TRUE(gemm->prepare(plain, parameters, context).ok());
  parameters.bias.count += 1;
  EXPECT_FALSE(gemm->prepare(plain, parameters, context).ok());
  parameters = problem.parameters();
  parameters.weights.type = DataType::bf16;
  auto other_type = gemm->prepare(plain, parameters, context);
  ASSERT_FALSE(other_type.ok());
  EXPECT_NE(other_type.error().message.find("bf16"), std::string::npos);
}

TEST(OneDnnConvolution, MissingBiasMeansZero) {
  const Context context{default_isa(), 1};
  auto provider = make_onednn_provider(context);
  ASSERT_TRUE(provider.ok());
  const auto gemm = (*provider)->make("onednn_x64_gemm_jit_nhwc");
  const Workload workload = Workload::conv(parse("n1_ic8_ih5_iw5_oc12_kh3_kw3_s1_p1"));
  Problem problem(workload, Layout::nhwc, Layout::nhwc);
  problem.bias.clear();
  const Buffer expected(workload.output(), Layout::nhwc);
  reference::run(workload, problem.parameters(), {problem.source_views, expected.view(), {}, {}});
  auto kernel = gemm->prepare(workload, problem.parameters(), context);
  ASSERT_TRUE(kernel.ok());
  AlignedFloats workspace((*kernel)->workspace_bytes() / sizeof(float) + 16);
  (*kernel)->run(problem.args(workspace.data()));
  EXPECT_LE(reference::max_relative_error(problem.destination.view(), expected.view()),
            error_bound(workload, gemm->info().traits));
}

}  // namespace
}  // namespace convopt
