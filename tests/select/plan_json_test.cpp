// Plan files: what is written is read back, and what is wrong is refused with a reason.
#include <gtest/gtest.h>

#include <filesystem>

#include "convopt/plan.hpp"
#include "core/files.h"
#include "core/json.h"

namespace convopt {
namespace {

Plan example() {
  Plan plan;
  plan.network = "net \"quoted\"";
  plan.network_hash = "0123456789abcdef";
  plan.model = "m1";
  plan.seed = 42;
  plan.libraries = {{"onednn", "2.6.3+abcdef01"}};
  plan.platform.machine.vendor = "GenuineIntel";
  plan.platform.isa = Isa::avx512;
  plan.platform.threads = 3;
  plan.predicted_ms = 1.5;
  plan.baselines = {2.5, "onednn", 2.25, "direct_nhwc", 1.75};
  plan.gap = 0.125;
  plan.workspace_bytes = 4096;
  plan.packed_weight_bytes = 123456789;
  plan.predict_ms = 3.5;
  PlanLayer layer;
  layer.name = "conv1";
  layer.op = "conv";
  layer.shape = "n1_ic3_ih8_iw8_oc16_kh3_kw3_s1_p1";
  layer.workload = "conv:n1_ic3_ih8_iw8_oc16_kh3_kw3_s1_p1:add+relu";
  layer.primitive = "direct_nchw_nhwc";
  layer.family = "direct";
  layer.fused = {"add1", "relu1"};
  layer.output_layout = Layout::nhwc;
  layer.predicted_us = 1400.125;
  layer.low_us = 1300;
  layer.high_us = 1500;
  layer.measured = true;
  plan.layers.push_back(layer);
  plan.conversions.push_back({"t1", Layout::nhwc, Layout::nChw16c, "convert_nhwc_nChw16c", 100});
  return plan;
}

TEST(PlanJson, RoundTrip) {
  const std::string text = to_json(example());
  const auto read = parse_plan(text, "plan.json");
  ASSERT_TRUE(read.ok()) << read.error().message;
  EXPECT_EQ(to_json(*read), text);
  EXPECT_EQ(read->layers[0].fused, example().layers[0].fused);
  EXPECT_EQ(read->platform.threads, 3);
  EXPECT_EQ(read->packed_weight_bytes, 123456789U);
}

TEST(PlanJson, TypesAreWrittenWhereTheyAreNotF32) {
  EXPECT_EQ(to_json(example()).find("_type"), std::string::npos);
  Plan plan = example();
  plan.layers[0].output_type = DataType::bf16;
  plan.conversions[0].source_type = DataType::bf16;
  plan.in_place.push_back({"cat", Layout::nhwc, DataType::bf16});
  plan.in_place.push_back({"other", Layout::nchw});
  const Json json = *parse_json(to_json(plan), "plan");
  EXPECT_EQ(json["layers"][0]["output_type"], "bf16");
  EXPECT_FALSE(json["layers"][0].contains("input_type"));
  EXPECT_EQ(json["conversions"][0]["source_type"], "bf16");
  EXPECT_FALSE(json["conversions"][0].contains("target_type"));
  EXPECT_EQ(json["in_place"][0]["type"], "bf16");
  EXPECT_FALSE(json["in_place"][1].contains("type"));
  const auto read = parse_plan(to_json(plan), "plan.json");
  ASSERT_TRUE(read.ok()) << read.error().message;
  EXPECT_EQ(to_json(*read), to_json(plan));
}

TEST(PlanJson, ScalesAreThoseOfQuantisedTensors) {
  EXPECT_EQ(to_json(example()).find("scales"), std::string::npos);
  Plan plan = example();
  plan.scales = {{"a", DataType::u8, 0.1F, 128}, {"b", DataType::s8, 1.0F / 3}};
  const std::string text = to_json(plan);
  const auto read = parse_plan(text, "plan.json");
  ASSERT_TRUE(read.ok()) << read.error().message;
  ASSERT_EQ(read->scales.size(), 2U);
  EXPECT_EQ(read->scales[1].tensor, "b");
  EXPECT_EQ(read->scales[1].type, DataType::s8);
  EXPECT_EQ(read->scales[1].scale, 1.0F / 3);
  EXPECT_EQ(read->scales[0].zero_point, 128);
  EXPECT_EQ(read->scales[1].zero_point, 0);
  EXPECT_EQ(to_json(*read), text);
  for (const PlanScale& wrong : {PlanScale{"a", DataType::s32, 1},
                                 {"a", DataType::u8, 0},
                                 {"a", DataType::u8, -1},
                                 {"a", DataType::s8, INFINITY},
                                 {"a", DataType::s8, 1, 1},
                                 {"a", DataType::u8, 1, 256},
                                 {"a", DataType::u8, 1, -1}}) {
    plan.scales = {wrong};
    EXPECT_FALSE(parse_plan(to_json(plan), "plan.json").ok());
  }
  const auto half =
      text.find("\"zero_point\": 128") + std::string_view("\"zero_point\": 128").size();
  EXPECT_FALSE(parse_plan(std::string(text).insert(half, ".5"), "plan.json").ok());
}

TEST(PlanJson, HasTheDocumentedNames) {
  const auto json = parse_json(to_json(example()), "plan");
  ASSERT_TRUE(json.ok());
  for (const char* name :
       {"schema", "network", "network_hash", "model", "seed", "libraries", "platform",
        "predicted_ms", "baselines", "optimal", "gap", "workspace_bytes", "packed_weight_bytes",
        "timing", "layers", "conversions"}) {
    EXPECT_TRUE(json->contains(name)) << name;
  }
  for (const char* name : {"name", "op", "shape", "primitive", "family", "input_layout",
                           "output_layout", "predicted_us", "low_us", "high_us", "source"}) {
    EXPECT_TRUE((*json)["layers"][0].contains(name)) << name;
  }
  EXPECT_EQ((*json)["layers"][0]["source"], "measured");
  for (const char* name : {"id", "isa", "threads"}) {
    EXPECT_TRUE((*json)["platform"].contains(name)) << name;
  }
}

TEST(PlanJson, MissingBaselinesAreNull) {
  Plan plan = example();
  plan.baselines = {};
  const auto json = parse_json(to_json(plan), "plan");
  ASSERT_TRUE(json.ok());
  EXPECT_TRUE((*json)["baselines"]["library_default_ms"].is_null());
  EXPECT_TRUE(parse_plan(to_json(plan), "plan").ok());
}

TEST(PlanJson, TheEarlierNameOfTheLibrarysDefaultIsRead) {
  Json plan = *parse_json(to_json(example()), "plan");
  plan["baselines"].erase("library_default_ms");
  plan["baselines"].erase("library");
  plan["baselines"]["onednn_default_ms"] = 7.5;
  const auto read = parse_plan(plan.dump(), "plan.json");
  ASSERT_TRUE(read.ok()) << read.error().message;
  EXPECT_EQ(read->baselines.library_default_ms, 7.5);
  EXPECT_EQ(read->baselines.library, "onednn");
}

TEST(PlanJson, EveryTruncationIsRefused) {
  const std::string text = to_json(example());
  for (std::size_t length = 0; length + 2 < text.size(); length += 7) {
    const auto read = parse_plan(std::string_view(text).substr(0, length), "cut.json");
    ASSERT_FALSE(read.ok()) << length;
    EXPECT_EQ(read.error().code, ErrorCode::bad_input);
    EXPECT_NE(read.error().message.find("cut.json"), std::string::npos) << read.error().message;
  }
}

TEST(PlanJson, EveryWrongValueIsRefused) {
  const Json good = *parse_json(to_json(example()), "plan");
  const std::pair<const char*, Json> wrong[] = {
      {"/schema", "convopt.profile/1"},
      {"/network", 7},
      {"/predicted_ms", "fast"},
      {"/predicted_ms", -1},
      {"/optimal", 1},
      {"/libraries", Json::array()},
      {"/platform/isa", "avx1024"},
      {"/platform/threads", 0},
      {"/baselines", 3},
      {"/layers", Json::object()},
      {"/layers/0", 5},
      {"/layers/0/name", nullptr},
      {"/layers/0/op", "add"},
      {"/layers/0/workload", "conv:nonsense"},
      {"/layers/0/input_layout", "chwn"},
      {"/layers/0/input_type", "bf17"},
      {"/conversions/0/target_type", 2},
      {"/layers/0/predicted_us", -3},
      {"/layers/0/source", "guessed"},
      {"/layers/0/fused", "add1"},
      {"/layers/0/fused/0", 1},
      {"/conversions/0/target_layout", 1},
      {"/conversions/0/predicted_us", nullptr},
  };
  for (const auto& [path, value] : wrong) {
    Json bad = good;
    bad[Json::json_pointer(path)] = value;
    const auto read = parse_plan(bad.dump(), "bad.json");
    EXPECT_FALSE(read.ok()) << path;
    if (read.ok()) continue;
    EXPECT_EQ(read.error().code, ErrorCode::bad_input) << path;
    EXPECT_NE(read.error().message.find("bad.json"), std::string::npos) << read.error().message;
  }
  for (const char* missing : {"schema", "network", "platform", "layers", "conversions"}) {
    Json bad = good;
    bad.erase(missing);
    EXPECT_FALSE(parse_plan(bad.dump(), "bad.json").ok()) << missing;
  }
}

TEST(PlanJson, FileThatIsNotThere) {
  const auto read = load_plan(std::filesystem::temp_directory_path() / "convopt-no-such-plan.json");
  ASSERT_FALSE(read.ok());
  EXPECT_EQ(read.error().code, ErrorCode::bad_input);
}

}  // namespace
}  // namespace convopt
