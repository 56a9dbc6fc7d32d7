#include "core/json.h"

#include <gtest/gtest.h>

#include "core/names.h"

namespace convopt {
namespace {

Measurement sample_measurement() {
  Measurement m;
  m.run = "r1";
  m.workload = *Workload::parse("conv:n1_ic64_ih56_iw56_oc64_kh3_kw3_s1_p1:relu");
  m.primitive = "direct_nChw16c";
  m.revision = "1";
  m.isa = Isa::avx512;
  m.samples_ns = {100.25, 101.5};
  m.median_ns = 100.9;
  m.packed_bytes = 147456;
  return m;
}

TEST(Json, MeasurementSurvives) {
  const auto parsed = measurement_from_json(to_json(sample_measurement()));
  ASSERT_TRUE(parsed.ok()) << parsed.error().message;
  EXPECT_EQ(parsed->workload, sample_measurement().workload);
  EXPECT_EQ(parsed->primitive, "direct_nChw16c");
  EXPECT_EQ(parsed->samples_ns.size(), 2U);
  EXPECT_DOUBLE_EQ(parsed->median_ns, 100.9);
  EXPECT_EQ(parsed->packed_bytes, 147456U);
  EXPECT_LT(parsed->max_relative_error, 0);
}

TEST(Json, MeasurementsWithWrongFieldsAreErrors) {
  const Json good = to_json(sample_measurement());
  const auto with = [&](const char* key, Json value) {
    Json json = good;
    json[key] = std::move(value);
    return measurement_from_json(json);
  };
  EXPECT_TRUE(with("unknown_field", 1).ok());
  EXPECT_FALSE(with("status", "splendid").ok());
  EXPECT_FALSE(with("threads", "two").ok());
  EXPECT_FALSE(with("threads", 1e300).ok());
  EXPECT_FALSE(with("median_ns", -1).ok());
  EXPECT_FALSE(with("workload", "conv:n1").ok());
  EXPECT_FALSE(with("samples_ns", Json::array({"x"})).ok());
  EXPECT_FALSE(measurement_from_json(Json::array()).ok());
}

TEST(Json, HeaderSurvives) {
  RunHeader header;
  header.run = "r1";
  header.platform.machine.vendor = "AuthenticAMD";
  header.platform.machine.name = "AMD EPYC 9654 96-Core Processor";
  header.platform.machine.family = 25;
  header.platform.machine.model = 17;
  header.platform.machine.l2_bytes = 1 << 20;
  header.platform.machine.peak_gflops = 110.5;
  header.platform.isa = Isa::avx2;
  header.platform.threads = 2;
  header.libraries = {{"onednn", "2.6.3+0123abcd"}};
  header.timing_mode = TimingMode::cold_weights;
  header.seed = 18446744073709551615ULL;
  PrimitiveInfo info;
  info.name = "winograd_f4x4_k3_nhwc";
  info.input_layout = info.output_layout = Layout::nhwc;
  info.traits.algorithm = Algorithm::winograd;
  info.traits.cost = "winograd";
  info.traits.transform_h = 6;
  info.traits.cheap_exponentials = true;
  header.primitives.push_back(info);

  const auto parsed = run_header_from_json(to_json(header));
  ASSERT_TRUE(parsed.ok()) << parsed.error().message;
  EXPECT_EQ(parsed->platform.id(), header.platform.id());
  EXPECT_EQ(parsed->platform.id(), "amd-25-17-epyc-9654-96-core/avx2/t2");
  EXPECT_EQ(parsed->platform.machine.l2_bytes, 1 << 20);
  EXPECT_EQ(parsed->libraries, header.libraries);
  EXPECT_EQ(parsed->seed, header.seed);
  EXPECT_EQ(parsed->timing_mode, TimingMode::cold_weights);
  ASSERT_EQ(parsed->primitives.size(), 1U);
  EXPECT_EQ(parsed->primitives[0].traits, info.traits);
}

TEST(Json, EveryAlgorithmIsRead) {
  RunHeader header;
  header.run = "r1";
  for_each_value<Algorithm>([&](Algorithm algorithm) {
    PrimitiveInfo info;
    info.name = to_string(algorithm);
    info.traits.algorithm = algorithm;
    info.traits.cost = "a cost";
    header.primitives.push_back(info);
  });
  const auto parsed = run_header_from_json(to_json(header));
  ASSERT_TRUE(parsed.ok()) << parsed.error().message;
  ASSERT_EQ(parsed->primitives.size(), header.primitives.size());
  for (std::size_t i = 0; i < header.primitives.size(); ++i) {
    EXPECT_EQ(parsed->primitives[i].traits, header.primitives[i].traits);
  }
}

TEST(Json, DescriptionsOfOlderProfilesGetTheCostStructureOfTheirAlgorithm) {
  const auto cost_of = [](const char* family, Op op, Algorithm algorithm) {
    PrimitiveInfo info;
    info.name = "p";
    info.family = family;
    info.op = op;
    info.traits.algorithm = algorithm;
    Json json = to_json(info);
    json["traits"].erase("cost");
    return primitive_info_from_json(json)->traits.cost;
  };
  EXPECT_EQ(cost_of("onednn", Op::conv, Algorithm::gemm), "im2col");
  EXPECT_EQ(cost_of("strassen", Op::conv, Algorithm::gemm), "strassen");
  EXPECT_EQ(cost_of("depthwise", Op::conv, Algorithm::direct), "direct");
  EXPECT_EQ(cost_of("winograd", Op::conv, Algorithm::winograd), "winograd");
  EXPECT_EQ(cost_of("onednn", Op::conv, Algorithm::unknown), "direct");
  EXPECT_EQ(cost_of("onednn", Op::fully_connected, Algorithm::gemm), "gemm");
  EXPECT_EQ(cost_of("layout", Op::convert, Algorithm::copy), "pointwise");
}

TEST(Json, TypesOfPrimitivesAreWrittenWhereTheyAreNotF32) {
  PrimitiveInfo info;
  info.name = "quantise";
  EXPECT_FALSE(to_json(info).contains("input_type"));
  info.output_type = DataType::u8;
  const Json json = to_json(info);
  EXPECT_FALSE(json.contains("input_type"));
  EXPECT_EQ(json["output_type"], "u8");
  const auto parsed = primitive_info_from_json(json);
  ASSERT_TRUE(parsed.ok()) << parsed.error().message;
  EXPECT_EQ(parsed->input_type, DataType::f32);
  EXPECT_EQ(parsed->output_type, DataType::u8);
  Json bad = json;
  bad["output_type"] = "u7";
  EXPECT_FALSE(primitive_info_from_json(bad).ok());
}

TEST(Json, WhatIsKnownOfOtherTypesIsWrittenWhereThereIsAny) {
  PrimitiveInfo info;
  info.name = "p";
  EXPECT_FALSE(to_json(info)["traits"].contains("product_type"));
  info.traits.product_type = DataType::bf16;
  const auto parsed = primitive_info_from_json(to_json(info));
  ASSERT_TRUE(parsed.ok()) << parsed.error().message;
  EXPECT_EQ(parsed->traits.product_type, DataType::bf16);
  EXPECT_FALSE(parsed->traits.vector_products);
  info.traits.vector_products = true;
  EXPECT_TRUE(primitive_info_from_json(to_json(info))->traits.vector_products);
  EXPECT_FALSE(to_json(info)["traits"].contains("weight_type"));
  PrimitiveInfo shorter;
  shorter.name = "p";
  shorter.traits.weight_type = DataType::s8;
  EXPECT_EQ(primitive_info_from_json(to_json(shorter))->traits.type_of_weights(), DataType::s8);
  // Descriptions that do not say it are of oneDNN's kernels, whose names do.
  for (const auto& [name, expected] :
       {std::pair{"onednn_jit_bf16_avx512_core_bf16_nhwc_bf16", true},
        {"onednn_brgconv_avx512_core_vnni_nhwc_u8", true},
        {"onednn_jit_avx512_core_amx_bf16_nhwc_bf16", false},
        {"onednn_x64_gemm_jit_nchw_bf16", false}}) {
    Json former = to_json(info);
    former["name"] = name;
    former["traits"].erase("vector_products");
    EXPECT_EQ(primitive_info_from_json(former)->traits.vector_products, expected) << name;
  }
  Machine machine;
  EXPECT_FALSE(to_json(machine).contains("peak_bf16_gflops"));
  machine.peak_bf16_gflops = 429;
  EXPECT_EQ(machine_from_json(to_json(machine))->peak_bf16_gflops, 429);
  machine.core_round_trip_ns = 85;
  EXPECT_EQ(machine_from_json(to_json(machine))->core_round_trip_ns, 85);
  EXPECT_FALSE(to_json(machine).contains("peak_int8_gops"));
  machine.peak_int8_gops = 869;
  EXPECT_EQ(machine_from_json(to_json(machine))->peak_int8_gops, 869);
}

TEST(Json, PrimitivesOfPlainTensorsSaySo) {
  PrimitiveInfo info;
  info.name = "softmax_plain";
  EXPECT_FALSE(to_json(info).contains("plain"));
  info.plain = true;
  const Json json = to_json(info);
  EXPECT_EQ(json["plain"], true);
  const auto parsed = primitive_info_from_json(json);
  ASSERT_TRUE(parsed.ok()) << parsed.error().message;
  EXPECT_TRUE(parsed->plain);
}

TEST(Json, AMeasurementIsKeyedByItsTypes) {
  Measurement m = sample_measurement();
  m.workload = m.workload.of_type(DataType::bf16);
  const auto parsed = measurement_from_json(to_json(m));
  ASSERT_TRUE(parsed.ok()) << parsed.error().message;
  EXPECT_EQ(parsed->workload, m.workload);
  EXPECT_NE(parsed->workload, sample_measurement().workload);
}

TEST(Json, MembersAreFoundWithoutBeingParsed) {
  const auto members = json_members(R"( {"a" : 1, "b\"}":{"x":[1,{"y":"}"}]},"c":"],\\" } )", "x");
  ASSERT_TRUE(members.ok()) << members.error().message;
  ASSERT_EQ(members->size(), 3U);
  EXPECT_EQ((*members)[0], (std::pair<std::string, std::string_view>("a", "1")));
  EXPECT_EQ((*members)[1].first, "b\"}");
  EXPECT_EQ((*members)[1].second, R"({"x":[1,{"y":"}"}]})");
  EXPECT_EQ(parse_json((*members)[2].second, "x")->get<std::string>(), "],\\");
  EXPECT_TRUE(json_members("{}", "x")->empty());
  for (const char* text : {"", "[1]", "{", "{\"a\"", "{\"a\":", "{\"a\":1", "{\"a\":\"",
                           "{\"a\":[1}", "{\"a\":{\"b\\", "{a:1}", "{\"a\" 1}", "{\"a\":1,"}) {
    EXPECT_FALSE(json_members(text, "x").ok()) << text;
  }
}

TEST(Json, OtherSchemasAreRefused) {
  RunHeader header;
  header.run = "r1";
  Json json = to_json(header);
  json["schema"] = "convopt.profile/2";
  const auto parsed = run_header_from_json(json);
  ASSERT_FALSE(parsed.ok());
  EXPECT_NE(parsed.error().message.find("convopt.profile/2"), std::string::npos);
}

TEST(Json, BrokenTextIsAnErrorThatNamesTheFile) {
  for (const std::string& text : {std::string("{"), std::string(), std::string("nul"),
                                  std::string("\"\xff\""), std::string(100000, '[')}) {
    const auto parsed = parse_json(text, "net.json");
    ASSERT_FALSE(parsed.ok());
    EXPECT_EQ(parsed.error().code, ErrorCode::bad_input);
    EXPECT_EQ(parsed.error().message.rfind("net.json", 0), 0U) << parsed.error().message;
  }
}

}  // namespace
}  // namespace convopt
