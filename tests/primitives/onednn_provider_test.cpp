// Names, discovery, the library's own choice, levels.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <set>
#include <string>
#include <vector>

#include "core/parallel.h"
#include "primitives/onednn/library.h"
#include "primitives/onednn/names.h"
#include "primitives/onednn/offers.h"
#include "primitives/provider.h"

namespace convopt {
namespace {

using onednn::clean_implementation;
using onednn::Identity;
using onednn::name_of;
using onednn::parse_name;

TEST(OneDnnNames, ImplementationsAreCleaned) {
  EXPECT_EQ(clean_implementation("jit:avx512_core"), "jit_avx512_core");
  EXPECT_EQ(clean_implementation("x64:gemm:jit"), "x64_gemm_jit");
  EXPECT_EQ(clean_implementation("jit_fp32_wino_2x3:avx512_core"), "wino_2x3_avx512_core");
  EXPECT_EQ(clean_implementation("jit_wino_4x3:avx512_core"), "wino_4x3_avx512_core");
  EXPECT_EQ(clean_implementation("ref:any"), "ref_any");
}

TEST(OneDnnNames, NamesAndIdentitiesAreOneToOne) {
  const std::vector<std::pair<Identity, std::string>> pairs = {
      {{Op::conv, "jit_avx512_core", Layout::nChw16c, Layout::nChw16c},
       "onednn_jit_avx512_core_nChw16c"},
      {{Op::conv, "jit_avx2", Layout::nchw, Layout::nChw8c}, "onednn_jit_avx2_nchw_nChw8c"},
      {{Op::max_pool, "", Layout::nhwc, Layout::nhwc}, "onednn_max_pool_nhwc"},
      {{Op::upsample_bilinear, "", Layout::nchw, Layout::nchw}, "onednn_upsample_bilinear_nchw"},
      {{Op::convert, "", Layout::nChw8c, Layout::nhwc}, "onednn_reorder_nChw8c_nhwc"},
      {{Op::conv, "jit_bf16_avx512_core_bf16", Layout::nhwc, Layout::nhwc, DataType::bf16,
        DataType::bf16},
       "onednn_jit_bf16_avx512_core_bf16_nhwc_bf16"},
      {{Op::conv, "brgconv_avx512_core_bf16", Layout::nchw, Layout::nChw16c, DataType::bf16,
        DataType::f32},
       "onednn_brgconv_avx512_core_bf16_nchw_nChw16c_bf16_f32"},
      {{Op::conv, "jit_avx512_core_bf16", Layout::nhwc, Layout::nhwc},
       "onednn_jit_avx512_core_bf16_nhwc"},
      {{Op::fully_connected, "", Layout::nchw, Layout::nchw, DataType::bf16, DataType::f32},
       "onednn_fully_connected_nchw_bf16_f32"},
      {{Op::convert, "", Layout::nchw, Layout::nhwc, DataType::f32, DataType::bf16},
       "onednn_reorder_nchw_nhwc_f32_bf16"},
      {{Op::convert, "", Layout::nhwc, Layout::nhwc, DataType::bf16, DataType::f32},
       "onednn_reorder_nhwc_bf16_f32"},
      {{Op::conv, "jit_int8_avx512_core_vnni", Layout::nhwc, Layout::nhwc, DataType::u8,
        DataType::s8},
       "onednn_jit_int8_avx512_core_vnni_nhwc_u8_s8"},
      {{Op::max_pool, "", Layout::nhwc, Layout::nhwc, DataType::u8, DataType::u8},
       "onednn_max_pool_nhwc_u8"}};
  for (const auto& [identity, name] : pairs) {
    EXPECT_EQ(name_of(identity), name);
    const auto parsed = parse_name(name);
    ASSERT_TRUE(parsed.has_value()) << name;
    EXPECT_EQ(*parsed, identity) << name;
  }
}

TEST(OneDnnNames, OtherTextIsRejected) {
  for (const char* name : {"",
                           "onednn",
                           "onednn_",
                           "onednn_nchw",
                           "onednn__nchw",
                           "onednn_jit_avx2",
                           "onednn_jit_avx2_nchw_nchw",
                           "onednn_reorder_nchw",
                           "onednn_reorder_nchw_nchw",
                           "onednn_max_pool_nchw_nhwc",
                           "onednn_jit:avx2_nhwc",
                           "onednn_JIT_nhwc",
                           "onednn_jit_wino_4x3_nChw16c",
                           "direct_nchw",
                           "onednn_jit_avx2_NHWC",
                           "onednn_jit_avx2_nhwc_f32",
                           "onednn_jit_avx2_nhwc_bf16_bf16",
                           "onednn_jit_avx2_nhwc_s32",
                           "onednn_jit_avx2_nhwc_u8_u8",
                           "onednn_jit_avx2_bf16",
                           "onednn_add_nhwc_bf16_f32",
                           "onednn_reorder_nhwc_bf16",
                           "onednn_reorder_nhwc_f32",
                           "onednn_fully_connected_nchw_nhwc_bf16"}) {
    EXPECT_FALSE(parse_name(name).has_value()) << name;
  }
}

TEST(OneDnnNames, TraitsFollowFromTheName) {
  const auto traits = [](const char* name) { return onednn::traits_of(*parse_name(name)); };
  const Traits small = traits("onednn_wino_2x3_avx512_core_nChw16c");
  EXPECT_EQ(small.algorithm, Algorithm::winograd);
  EXPECT_EQ(small.transform_h, 4);
  EXPECT_EQ(small.output_w, 2);
  EXPECT_EQ(small.error_amplification, 1);
  const Traits large = traits("onednn_wino_4x3_avx512_core_nChw16c");
  EXPECT_EQ(large.transform_w, 6);
  EXPECT_EQ(large.output_h, 4);
  EXPECT_EQ(large.error_amplification, 3);
  EXPECT_EQ(traits("onednn_jit_avx2_nhwc").algorithm, Algorithm::direct);
  EXPECT_EQ(traits("onednn_jit_1x1_avx2_nhwc").algorithm, Algorithm::gemm);
  EXPECT_EQ(traits("onednn_x64_gemm_jit_nchw").algorithm, Algorithm::gemm);
  EXPECT_EQ(traits("onednn_reorder_nchw_nhwc").algorithm, Algorithm::copy);
  EXPECT_EQ(traits("onednn_jit_avx2_nhwc").product_type, DataType::f32);
  EXPECT_EQ(traits("onednn_jit_bf16_avx512_core_bf16_nhwc_bf16_f32").product_type, DataType::bf16);
  EXPECT_EQ(traits("onednn_fully_connected_nchw_bf16").product_type, DataType::bf16);
  EXPECT_EQ(traits("onednn_max_pool_nhwc_bf16").product_type, DataType::f32);
  EXPECT_EQ(traits("onednn_fully_connected_nchw_u8_f32").product_type, DataType::s8);
  EXPECT_TRUE(traits("onednn_jit_bf16_avx512_core_bf16_nhwc_bf16_f32").vector_products);
  EXPECT_TRUE(traits("onednn_jit_int8_avx512_core_vnni_nhwc_u8").vector_products);
  EXPECT_FALSE(traits("onednn_jit_avx512_core_amx_bf16_nhwc_bf16").vector_products);
  EXPECT_FALSE(traits("onednn_x64_gemm_jit_nchw_bf16").vector_products);
  EXPECT_FALSE(traits("onednn_jit_avx2_nhwc").vector_products);
}

TEST(OneDnnProvider, ThreadsThatAskAtOnceGetOneAnswer) {
  ASSERT_TRUE(onednn::cap_isa(default_isa()).ok());
  const dnnl::engine cpu(dnnl::engine::kind::cpu, 0);
  onednn::Catalogue catalogue(cpu), alone(cpu);
  std::vector<onednn::Request> requests;
  for (const int channels : {16, 32, 64, 96}) {
    ConvShape shape;
    shape.ic = shape.oc = channels;
    shape.ih = shape.iw = 14;
    for (const Layout layout : kLayouts)
      requests.push_back({Workload::conv(shape), layout, layout});
  }
  // Each several times, by threads that meet.
  constexpr std::size_t kTimes = 8;
  std::vector<const onednn::Offers*> answers(kTimes * requests.size());
  in_parallel(answers.size(),
              [&](std::size_t i) { answers[i] = &catalogue.offers(requests[i / kTimes]); });
  for (std::size_t i = 0; i < answers.size(); ++i) {
    const onednn::Request& request = requests[i / kTimes];
    EXPECT_EQ(answers[i], &catalogue.offers(request));
    const onednn::Offers& expected = alone.offers(request);
    ASSERT_EQ(answers[i]->list.size(), expected.list.size());
    for (std::size_t o = 0; o < expected.list.size(); ++o) {
      EXPECT_EQ(answers[i]->list[o].implementation, expected.list[o].implementation);
      EXPECT_EQ(answers[i]->list[o].workspace_bytes, expected.list[o].workspace_bytes);
    }
  }
}

TEST(OneDnnProvider, DiscoveryIsRepeatableAndNamesRoundTrip) {
  auto provider = make_onednn_provider({default_isa(), 1});
  ASSERT_TRUE(provider.ok()) << provider.error().message;
  const auto first = (*provider)->discover();
  const auto second = (*provider)->discover();
  ASSERT_EQ(first.size(), second.size());
  std::set<std::string> names;
  for (std::size_t i = 0; i < first.size(); ++i) {
    const PrimitiveInfo& info = first[i]->info();
    EXPECT_EQ(info.name, second[i]->info().name);
    EXPECT_TRUE(names.insert(info.name).second) << "twice: " << info.name;
    EXPECT_EQ(info.family, "onednn");
    const auto again = (*provider)->make(info.name);
    ASSERT_NE(again, nullptr) << info.name;
    EXPECT_EQ(again->info().name, info.name);
    EXPECT_EQ(again->info().op, info.op);
    EXPECT_EQ(again->info().description, info.description);
    EXPECT_EQ(again->info().input_layout, info.input_layout);
    EXPECT_EQ(again->info().output_layout, info.output_layout);
    EXPECT_EQ(again->info().input_type, info.input_type);
    EXPECT_EQ(again->info().output_type, info.output_type);
    EXPECT_EQ(again->info().revision, info.revision);
    EXPECT_EQ(again->info().traits, info.traits);
  }
  EXPECT_EQ((*provider)->make("direct_nchw"), nullptr);
}

TEST(OneDnnProvider, WhatEveryX86ProcessorHas) {
  auto provider = make_onednn_provider({default_isa(), 1});
  ASSERT_TRUE(provider.ok());
  std::set<std::string> names;
  for (const auto& primitive : (*provider)->discover()) names.insert(primitive->info().name);
  std::vector<std::string> expected = {"onednn_x64_gemm_jit_nchw", "onednn_fully_connected_nchw"};
  for (const Layout input : kLayouts) {
    for (const Layout output : kLayouts) {
      if (input != output) {
        expected.push_back("onednn_reorder_" + std::string(to_string(input)) + "_" +
                           std::string(to_string(output)));
      }
    }
    for (const char* op : {"activation", "add", "concat"}) {
      expected.push_back("onednn_" + std::string(op) + "_" + std::string(to_string(input)));
    }
    // At other levels oneDNN has but its reference for windows over blocks of 16 channels.
    if (input == Layout::nChw16c && default_isa() != Isa::avx512) continue;
    for (const char* op : {"max_pool", "avg_pool_include"}) {
      expected.push_back("onednn_" + std::string(op) + "_" + std::string(to_string(input)));
    }
  }
  if (default_isa() == Isa::avx512) {
    const bool is_version_2 = (*provider)->libraries().at("onednn").starts_with("2.");
    for (const char* name :
         {is_version_2 ? "onednn_brgconv_avx512_core_nhwc" : "onednn_brg_conv_fwd_avx512_core_nhwc",
          "onednn_brgconv_1x1_avx512_core_nhwc", "onednn_brdgmm_dw_avx512_core_nhwc",
          "onednn_jit_avx512_core_nChw16c", "onednn_jit_avx512_core_nchw_nChw16c",
          "onednn_jit_1x1_avx512_core_nChw16c", "onednn_jit_dw_avx512_core_nChw16c",
          "onednn_jit_avx2_nChw8c"}) {
      expected.emplace_back(name);
    }
  }
  for (const std::string& name : expected) EXPECT_TRUE(names.contains(name)) << name;
}

TEST(OneDnnProvider, VersionNamesTheBuild) {
  auto provider = make_onednn_provider({default_isa(), 1});
  ASSERT_TRUE(provider.ok());
  const std::string version = (*provider)->libraries().at("onednn");
  const std::size_t plus = version.find('+');
  EXPECT_EQ(std::count(version.begin(), version.end(), '.'), 2) << version;
  ASSERT_NE(plus, std::string::npos) << version;
  EXPECT_EQ(version.size(), plus + 9) << version;
  EXPECT_EQ(version.find_first_not_of("0123456789abcdef", plus + 1), std::string::npos) << version;
  EXPECT_EQ((*provider)->discover().front()->info().revision, version);
}

TEST(OneDnnProvider, DefaultIsAPrimitiveThatApplies) {
  const Context context{default_isa(), 1};
  auto provider = make_onednn_provider(context);
  ASSERT_TRUE(provider.ok());
  for (const char* text :
       {"n1_ic64_ih56_iw56_oc64_kh3_kw3_s1_p1", "n1_ic3_ih224_iw224_oc64_kh7_kw7_s2_p3",
        "n1_ic256_ih14_iw14_oc1024_kh1_kw1_s1_p0", "n1_ic96_ih28_iw28_oc96_kh3_kw3_s1_p1_g96",
        "n1_ic30_ih13_iw13_oc45_kh5_kw5_s1_p2_g3", "n8_ic64_ih28_iw28_oc64_kh3_kw3_s1_p1"}) {
    for (const bool residual : {false, true}) {
      const Workload workload =
          Workload::conv(ConvShape::parse(text).value(), {residual, {ActivationKind::relu}});
      const std::string name = (*provider)->default_primitive(workload);
      const auto primitive = (*provider)->make(name);
      ASSERT_NE(primitive, nullptr) << workload.text() << ": '" << name << "'";
      const Applicability applies = primitive->applicability(workload, context);
      EXPECT_TRUE(applies) << workload.text() << ": " << name << ": " << applies.reason;
    }
  }
  EXPECT_EQ((*provider)->default_primitive(Workload::fully_connected(1, 8, 8)), "");
}

TEST(OneDnnProvider, OneLevelPerProcess) {
  ASSERT_TRUE(make_onednn_provider({default_isa(), 1}).ok());
  ASSERT_TRUE(make_onednn_provider({default_isa(), 2}).ok());
  for (const Isa isa : {Isa::scalar, Isa::sse4, Isa::avx2, Isa::avx512}) {
    if (isa == default_isa()) continue;
    const auto other = make_onednn_provider({isa, 1});
    ASSERT_FALSE(other.ok()) << to_string(isa);
    EXPECT_EQ(other.error().code, ErrorCode::environment);
  }
}

TEST(OneDnnProvider, KernelsOutliveTheirMakers) {
  const Context context{default_isa(), 1};
  std::unique_ptr<Primitive> primitive;
  {
    auto provider = make_onednn_provider(context);
    ASSERT_TRUE(provider.ok());
    primitive = (*provider)->make("onednn_activation_nchw");
  }
  const Workload workload =
      Workload::pointwise(Op::activation, {1, 2, 3, 4}, {false, {ActivationKind::relu}});
  auto kernel = primitive->prepare(workload, {}, context);
  ASSERT_TRUE(kernel.ok());
  primitive.reset();
  std::vector<float> source(24, -1.0F), destination(24, 5.0F);
  source[7] = 2.0F;
  const std::vector<TensorView> views = {
      TensorView::dense(source.data(), {1, 2, 3, 4}, Layout::nchw)};
  (*kernel)->run(
      {views, TensorView::dense(destination.data(), {1, 2, 3, 4}, Layout::nchw), {}, {}});
  for (std::size_t i = 0; i < destination.size(); ++i) {
    EXPECT_EQ(destination[i], i == 7 ? 2.0F : 0.0F) << i;
  }
}

}  // namespace
}  // namespace convopt
