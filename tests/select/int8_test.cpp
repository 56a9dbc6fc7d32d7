// Ranges of tensors, and plans that store tensors in int8.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <string>
#include <vector>

#include "src/select/calibration.h"
#include "src/select/select.h"
#include "tests/select/fakes.h"

namespace convopt::testing {
namespace {

constexpr TensorFormat kF32{Layout::nhwc}, kU8{Layout::nhwc, DataType::u8},
    kS8{Layout::nhwc, DataType::s8}, kBf16{Layout::nhwc, DataType::bf16};

Calibration calibration_of(const Network& network,
                           const std::map<std::string, TensorRange>& known) {
  Calibration calibration{network.name, network.hash(), 8, {}};
  for (const Tensor& tensor : network.tensors) {
    const auto range = known.find(tensor.name);
    // Sums are of both signs, and so is the input; what comes out of an activation is not negative.
    const bool negative = !tensor.name.starts_with("r");
    calibration.tensors.push_back(range != known.end()
                                      ? range->second
                                      : TensorRange{"", negative ? -2.54F : 0, 2.54F, 2, 1.27F});
    calibration.tensors.back().name = tensor.name;
  }
  return calibration;
}

std::map<std::string, TensorScale> named_scales(const Network& network,
                                                const Calibration& calibration,
                                                RangeRule rule = RangeRule::max) {
  const auto scales = tensor_scales(network, calibration, rule);
  EXPECT_TRUE(scales.ok()) << (scales.ok() ? "" : scales.error().message);
  std::map<std::string, TensorScale> result;
  for (std::size_t t = 0; t < network.tensors.size(); ++t)
    result[network.tensors[t].name] = (*scales)[t];
  return result;
}

TEST(Calibration, IsReadAsItIsWritten) {
  NetworkBuilder builder;
  const Network network = builder.build({builder.relu("r", builder.conv("c", builder.input()))});
  const Calibration calibration =
      calibration_of(network, {{"c", {"", -0.1F, 1.0F / 3, 0.3F, 1e-7F}}});
  const std::string text = to_json(calibration);
  const auto read = parse_calibration(text, "x.calibration");
  ASSERT_TRUE(read.ok()) << read.error().message;
  EXPECT_EQ(to_json(*read), text);
  ASSERT_EQ(read->tensors.size(), 3U);
  EXPECT_EQ(read->tensors[1].name, "c");
  EXPECT_EQ(read->tensors[1].low, -0.1F);
  EXPECT_EQ(read->tensors[1].high, 1.0F / 3);
  EXPECT_EQ(read->tensors[1].mse, 1e-7F);
  EXPECT_EQ(read->samples, 8U);
  const auto refused = [&](const std::string& from, const std::string& to) {
    std::string changed = text;
    changed.replace(changed.find(from), from.size(), to);
    const auto result = parse_calibration(changed, "x.calibration");
    EXPECT_FALSE(result.ok()) << changed;
    return result.ok() ? "" : result.error().message;
  };
  EXPECT_NE(refused("convopt.calibration/1", "convopt.plan/1").find("schema"), std::string::npos);
  EXPECT_NE(refused("\"low\":-0.1", "\"low\":7.0").find("tensors[1] is no range"),
            std::string::npos);
  EXPECT_NE(refused("\"mse\"", "\"MSE\"").find("'mse' is missing"), std::string::npos);
}

TEST(Calibration, SensitivitiesAreReadAsTheyAreWritten) {
  NetworkBuilder builder;
  const Network network = builder.build({builder.relu("r", builder.conv("c", builder.input()))});
  Calibration calibration = calibration_of(network, {{"c", {"", -1, 1, 1, 1}}});
  const std::string without = to_json(calibration);
  EXPECT_EQ(without.find("sensitivit"), std::string::npos);
  calibration.sensitivities = {
      {DataType::bf16, Sensitivity::Of::tensor, "c", 1.0 / 3, 1 - 1e-12},
      {DataType::bf16, Sensitivity::Of::weights, "c", 0, 1},
      {DataType::s8, Sensitivity::Of::tensor, "c", INFINITY, -1},
  };
  calibration.sensitivity_samples = 2;
  calibration.sensitivity_range = RangeRule::mse;
  const std::string text = to_json(calibration);
  const auto read = parse_calibration(text, "x.calibration");
  ASSERT_TRUE(read.ok()) << read.error().message;
  EXPECT_EQ(to_json(*read), text);
  EXPECT_EQ(read->sensitivity_samples, 2U);
  EXPECT_EQ(read->sensitivity_range, RangeRule::mse);
  ASSERT_EQ(read->sensitivities.size(), 3U);
  for (std::size_t i = 0; i < 3; ++i) {
    const Sensitivity &is = read->sensitivities[i], &was = calibration.sensitivities[i];
    EXPECT_EQ(is.type, was.type);
    EXPECT_EQ(is.of, was.of);
    EXPECT_EQ(is.name, was.name);
    EXPECT_EQ(is.error, was.error);
    EXPECT_EQ(is.cosine, was.cosine);
  }
  // Without int8 no rule is needed.
  Calibration of_bf16 = calibration;
  of_bf16.sensitivities.resize(2);
  EXPECT_EQ(to_json(of_bf16).find("sensitivity_range"), std::string::npos);
  EXPECT_TRUE(parse_calibration(to_json(of_bf16), "x.calibration").ok());

  const auto refused = [&](const std::string& from, const std::string& to, const char* why) {
    std::string changed = text;
    ASSERT_NE(changed.find(from), std::string::npos) << from;
    changed.replace(changed.find(from), from.size(), to);
    const auto result = parse_calibration(changed, "x.calibration");
    ASSERT_FALSE(result.ok()) << changed;
    EXPECT_NE(result.error().message.find(why), std::string::npos) << result.error().message;
    EXPECT_EQ(result.error().message.find('\n'), std::string::npos);
  };
  refused("\"operator\":\"c\",", "", "sensitivities[1] names neither a tensor nor an operator");
  refused("\"operator\":\"c\",", "\"operator\":\"c\",\"tensor\":\"c\",", "or both");
  refused("\"type\":\"bf16\"", "\"type\":\"u8\"", "is to the type 'u8', not to bf16 or s8");
  refused("\"type\":\"bf16\"", "\"type\":1", "field 'type' is not a text");
  refused("\"error\":0.0", "\"error\":-1", "an error below 0");
  refused("\"error\":0.0", "\"error\":\"large\"", "field 'error' is not a number");
  refused("\"error\":0.0,", "", "field 'error' is missing");
  refused("\"cosine\":1.0", "\"cosine\":1.5", "a cosine outside -1 to 1");
  refused("\"cosine\":1.0", "\"cosine\":null", "field 'cosine' is not a number");
  refused("\"type\":\"s8\"", "\"type\":\"bf16\"", "the tensor 'c' twice");
  refused("\"sensitivity_range\": \"mse\"", "\"sensitivity_range\": \"\"", "is '', none of max");
  refused("\"sensitivity_range\": \"mse\",", "", "'sensitivity_range' is missing");
  refused("\"sensitivity_samples\": 2", "\"sensitivity_samples\": -2", "out of range");
  for (std::size_t length = 0; length + 2 < text.size(); ++length)
    EXPECT_FALSE(parse_calibration(text.substr(0, length), "x.calibration").ok()) << length;

  EXPECT_TRUE(check_fits(network, calibration).ok());
  for (const auto of : {Sensitivity::Of::tensor, Sensitivity::Of::weights}) {
    Calibration other = calibration;
    other.sensitivities.push_back({DataType::bf16, of, "elsewhere", 0, 1});
    EXPECT_FALSE(check_fits(network, other).ok());
  }
}

TEST(TensorScales, HaveATypeAndAScaleByTheRange) {
  NetworkBuilder builder;
  const Network network = builder.build({builder.relu("r", builder.conv("c", builder.input()))});
  const Calibration calibration =
      calibration_of(network, {{"in", {"", -1, 0.5F, 0.75F, 0.25F}}, {"r", {"", 0, 5.1F, 4, 3}}});
  const auto by_max = named_scales(network, calibration);
  EXPECT_EQ(by_max.at("in"), (TensorScale{DataType::u8, 1.5F / 255, 170}));
  EXPECT_EQ(by_max.at("c"), (TensorScale{DataType::s8, 2.54F / 127}));
  EXPECT_EQ(by_max.at("r"), (TensorScale{DataType::u8, 5.1F / 255}));
  const auto by_percentile = named_scales(network, calibration, RangeRule::percentile);
  EXPECT_EQ(by_percentile.at("in"), (TensorScale{DataType::s8, 0.75F / 127}));
  const auto by_mse = named_scales(network, calibration, RangeRule::mse);
  EXPECT_EQ(by_mse.at("r"), (TensorScale{DataType::u8, 3.0F / 255}));
  // Nothing but zeros.
  const auto empty = named_scales(network, calibration_of(network, {{"r", {"", 0, 0, 0, 0}}}));
  EXPECT_EQ(empty.at("r"), (TensorScale{DataType::u8, 1}));
}

TEST(TensorScales, AreSharedByTensorsBetweenWhichNumbersMove) {
  NetworkBuilder builder;
  const TensorId r1 = builder.relu("r1", builder.conv("c1", builder.input()));
  const TensorId c2 = builder.conv("c2", r1);
  const TensorId joined = builder.concat("joined", {builder.pool("pool", r1), c2});
  Network network = builder.build({joined});
  const Calibration calibration = calibration_of(
      network,
      {{"r1", {"", 0, 12.8F, 1, 1}}, {"pool", {"", 0, 10, 1, 1}}, {"c2", {"", -1, 2, 1, 1}}});
  const auto scales = named_scales(network, calibration);
  // The joined one's own range, of 2.54, is the longest below zero.
  const TensorScale common{DataType::u8, (12.8F + 2.54F) / 255, 42};
  for (const char* name : {"r1", "pool", "c2", "joined"})
    EXPECT_EQ(scales.at(name), common) << name;
  EXPECT_EQ(scales.at("c1").scale, 2.54F / 127);
  // One of the tensors cannot be in int8, so no operator can that reads it with the others.
  Calibration lacking = calibration;
  std::erase_if(lacking.tensors, [](const TensorRange& range) { return range.name == "joined"; });
  const auto apart = named_scales(network, lacking);
  EXPECT_EQ(apart.at("joined").type, DataType::f32);
  EXPECT_EQ(apart.at("c2"), (TensorScale{DataType::u8, 3.0F / 255, 85}));
  EXPECT_EQ(apart.at("pool"), apart.at("r1"));
  EXPECT_EQ(apart.at("pool").type, DataType::u8);
}

TEST(TensorScales, OfAnotherNetworkAreRefused) {
  NetworkBuilder builder;
  const Network network = builder.build({builder.conv("c", builder.input())});
  Calibration other = calibration_of(network, {});
  other.tensors.push_back({"elsewhere", -1, 1, 1, 1});
  other.network = "another";
  const auto refused = tensor_scales(network, other, RangeRule::max);
  ASSERT_FALSE(refused.ok());
  EXPECT_NE(refused.error().message.find("it was made for another"), std::string::npos);
}

/// Rounding after c1 and r2, whose results the pool moves, and by a zero point after c2.
Network quantised_network() {
  return parse_network(R"json({"schema": "convopt.network/1", "name": "quantised",
      "inputs": [{"name": "in", "shape": [1, 16, 8, 8]}], "operators": [
      {"name": "c1", "op": "conv", "inputs": ["in"], "oc": 16, "kernel": 3, "padding": 1},
      {"name": "q1", "op": "workload", "inputs": ["c1"],
       "workload": "activation:n1_c16_h8_w8:quantise(0.5,0)"},
      {"name": "pool", "op": "max_pool", "inputs": ["q1"], "kernel": 2, "stride": 2},
      {"name": "c2", "op": "conv", "inputs": ["pool"], "oc": 16, "kernel": 3, "padding": 1},
      {"name": "q2", "op": "workload", "inputs": ["c2"],
       "workload": "activation:n1_c16_h4_w4:quantise(0.25,-100)"},
      {"name": "c3", "op": "conv", "inputs": ["q2"], "oc": 16, "kernel": 3, "padding": 1},
      {"name": "q3", "op": "workload", "inputs": ["c3"],
       "workload": "activation:n1_c16_h4_w4:quantise(0.125,-128)"},
      {"name": "c4", "op": "conv", "inputs": ["q3"], "oc": 16, "kernel": 3, "padding": 1}],
      "outputs": ["c4"]
})json",
                       "quantised.json")
      .value();
}

TEST(ModelScales, AreThoseOfRoundedTensors) {
  const Network network = quantised_network();
  const std::vector<TensorScale> scales = model_scales(network);
  std::map<std::string, TensorScale> named;
  for (std::size_t t = 0; t < scales.size(); ++t) {
    if (scales[t].type != DataType::f32) named[network.tensors[t].name] = scales[t];
  }
  const std::map<std::string, TensorScale> expected = {{"q1", {DataType::u8, 0.5F}},
                                                       {"pool", {DataType::u8, 0.5F}},
                                                       {"q2", {DataType::u8, 0.25F, 100}},
                                                       {"q3", {DataType::s8, 0.125F}}};
  EXPECT_EQ(named, expected);
}

/// int8 convolutions in nhwc take 10, in bf16 40 and in f32 100, conversions 5 and other operators
/// 20.
class Int8 : public ::testing::Test {
 protected:
  Int8() {
    registry_.add_others({Layout::nhwc, Layout::nchw});
    registry_.add("f32", "own", Op::conv, kF32, kF32);
    registry_.add("bf16", "own", Op::conv, kBf16, kBf16, {}, false, DataType::bf16);
    for (const TensorFormat& from : {kU8, kS8}) {
      for (const TensorFormat& to : {kU8, kS8, kF32}) {
        registry_.add("int8_" + to_string(from) + "_" + to_string(to), "own", Op::conv, from, to,
                      {}, false, DataType::s8);
      }
      registry_.add("pool_" + to_string(from), "own", Op::max_pool, from, from);
      registry_.add("concat_" + to_string(from), "own", Op::concat, from, from);
      for (const TensorFormat& to : {kU8, kS8}) {
        registry_.add("add_" + to_string(from) + "_" + to_string(to), "own", Op::add, from, to);
      }
      registry_.add("round_" + to_string(from), "own", Op::activation, kF32, from);
      for (const TensorFormat& plain : {kF32, TensorFormat{}}) {
        const std::string pair = to_string(from) + "_" + to_string(plain);
        registry_.add("quantise_" + pair, "own", Op::convert, plain, from);
        registry_.add("dequantise_" + pair, "own", Op::convert, from, plain);
      }
    }
    registry_.add("narrow", "own", Op::convert, kF32, kBf16);
    registry_.add("widen", "own", Op::convert, kBf16, kF32);
  }

  Result<Selection> select_with(const Network& network, std::set<DataType> types,
                                const std::map<std::string, TensorRange>& ranges = {}) {
    SelectOptions options;
    options.limits.types = std::move(types);
    options.limits.scales =
        *tensor_scales(network, calibration_of(network, ranges), RangeRule::max);
    return select(network, registry_, costs_, {}, options);
  }
  Plan plan_of(const Network& network, const std::map<std::string, TensorRange>& ranges = {}) {
    auto selection = select_with(network, {DataType::f32, DataType::u8, DataType::s8}, ranges);
    EXPECT_TRUE(selection.ok()) << (selection.ok() ? "" : selection.error().message);
    return selection.ok() ? std::move(selection->plan) : Plan{};
  }

  static const PlanLayer* layer(const Plan& plan, const std::string& name) {
    const auto found = std::ranges::find(plan.layers, name, &PlanLayer::name);
    return found == plan.layers.end() ? nullptr : &*found;
  }

  Selection selection_of_model(const Network& network) {
    SelectOptions options;
    options.limits.types = {DataType::f32, DataType::u8, DataType::s8};
    options.limits.scales = model_scales(network);
    auto selection = select(network, registry_, costs_, {}, options);
    EXPECT_TRUE(selection.ok()) << (selection.ok() ? "" : selection.error().message);
    return std::move(*selection);
  }

  FakeRegistry registry_;
  FakeCosts costs_{[](const Workload&, const PrimitiveInfo& p) {
    if (p.op == Op::convert) return 5.0;
    if (p.op != Op::conv) return 20.0;
    return p.family == "own" && p.name.starts_with("int8") ? 10.0 : p.name == "bf16" ? 40.0 : 100.0;
  }};
};

TEST_F(Int8, ChainsOfConvolutionsStayInIt) {
  NetworkBuilder builder;
  const TensorId r1 = builder.relu("r1", builder.conv("c1", builder.input()));
  const TensorId pool = builder.pool("rpool", r1);
  const TensorId r2 = builder.relu("r2", builder.conv("c2", pool));
  const Network network = builder.build({builder.conv("c3", r2)});
  const Plan plan = plan_of(network);
  ASSERT_NE(layer(plan, "c1"), nullptr);
  EXPECT_EQ(layer(plan, "c1")->primitive, "int8_nhwc_s8_nhwc_u8");
  EXPECT_EQ(layer(plan, "c1")->fused, std::vector<std::string>{"r1"});
  EXPECT_EQ(layer(plan, "rpool")->primitive, "pool_nhwc_u8");
  EXPECT_EQ(layer(plan, "c2")->primitive, "int8_nhwc_u8_nhwc_u8");
  EXPECT_EQ(layer(plan, "c3")->primitive, "int8_nhwc_u8_nhwc");  // dequantised by the layer itself
  std::map<std::string, PlanScale> scales;
  for (const PlanScale& scale : plan.scales) scales[scale.tensor] = scale;
  EXPECT_EQ(scales.size(), 4U);  // of nothing that is not stored
  EXPECT_EQ(scales.at("in").type, DataType::s8);
  EXPECT_EQ(scales.at("rpool").type, DataType::u8);
  EXPECT_EQ(scales.at("rpool").scale, scales.at("r1").scale);
  EXPECT_EQ(plan.conversions.size(), 2U);  // of the input and of the result
}

TEST_F(Int8, AResidualMayBeOfTheOtherType) {
  NetworkBuilder builder;
  const TensorId r1 = builder.relu("r1", builder.conv("c1", builder.input()));
  const TensorId projected = builder.conv("projection", r1);
  const TensorId sum = builder.add("sum", builder.conv("c2", r1), projected);
  const TensorId r2 = builder.relu("r2", sum);
  const TensorId again = builder.relu("r3", builder.add("sum2", builder.conv("c3", r2), r2));
  const Network network = builder.build({builder.conv("c4", again)});
  const Plan plan = plan_of(network);
  // Either convolution may absorb the sum with the other one's result, which is of both signs.
  const PlanLayer* mixed = layer(plan, layer(plan, "c2")->fused.empty() ? "projection" : "c2");
  EXPECT_EQ(mixed->fused, (std::vector<std::string>{"sum", "r2"}));
  EXPECT_EQ(mixed->primitive, "int8_nhwc_u8_nhwc_u8");
  EXPECT_TRUE(mixed->workload.ends_with("_u8:add_s8+relu")) << mixed->workload;
  const PlanLayer* other = layer(plan, mixed->name == "c2" ? "projection" : "c2");
  EXPECT_EQ(other->output_type, DataType::s8);
  EXPECT_TRUE(layer(plan, "c3")->workload.ends_with("_u8:add+relu"));
  for (const PlanLayer& each : plan.layers) EXPECT_EQ(each.op, "conv") << each.name;
}

TEST_F(Int8, TensorsOfBothTypesAreAdded) {
  NetworkBuilder builder;
  const TensorId r1 = builder.relu("r1", builder.conv("c1", builder.input()));
  // What both convolutions make has other readers, so that nothing absorbs the sum.
  const TensorId c2 = builder.conv("c2", r1);
  const TensorId r2 = builder.relu("r2", builder.add("sum", c2, r1));
  const TensorId c3 = builder.conv("c3", c2);
  const Network network = builder.build({builder.conv("c4", r2), c3});
  const Plan plan = plan_of(network);
  ASSERT_NE(layer(plan, "sum"), nullptr);
  EXPECT_EQ(layer(plan, "sum")->primitive, "add_nhwc_s8_nhwc_u8");
  EXPECT_TRUE(layer(plan, "sum")->workload.ends_with("_s8+u8_u8:relu"))
      << layer(plan, "sum")->workload;
  EXPECT_EQ(layer(plan, "c4")->input_type, DataType::u8);
}

TEST_F(Int8, ActivationsByThemselvesReadRealNumbers) {
  NetworkBuilder builder;
  const TensorId r1 = builder.relu("r1", builder.conv("c1", builder.input()));
  const TensorId relu = builder.relu("r2", r1);  // of a tensor that is stored in int8 for others
  const TensorId sum = builder.add("sum", relu, r1);
  const Network network = builder.build({builder.conv("c2", sum)});
  const Plan plan = plan_of(network);
  EXPECT_EQ(layer(plan, "r2")->input_type, DataType::f32);
}

TEST_F(Int8, WithoutScalesThereIsNone) {
  NetworkBuilder builder;
  const Network network = builder.build({builder.conv("c1", builder.input())});
  SelectOptions options;
  options.limits.types = {DataType::f32, DataType::u8, DataType::s8};
  const auto selection = select(network, registry_, costs_, {}, options);
  ASSERT_TRUE(selection.ok());
  EXPECT_EQ(layer(selection->plan, "c1")->primitive, "f32");
  EXPECT_TRUE(selection->plan.scales.empty());
}

TEST_F(Int8, OfAllTypesTheFastestPlanIsNoSlowerThanOfSome) {
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    SCOPED_TRACE(seed);
    const FakeCosts costs = FakeCosts::random(seed);
    NetworkBuilder builder;
    const TensorId r1 = builder.relu("r1", builder.conv("c1", builder.input()));
    const TensorId sum = builder.add("sum", builder.conv("c2", r1), builder.conv("c3", r1, 1));
    const TensorId pool = builder.pool("rpool", builder.relu("r2", sum));
    const Network network = builder.build({builder.conv("c4", pool)});
    SelectOptions options;
    options.limits.scales = *tensor_scales(network, calibration_of(network, {}), RangeRule::max);
    std::vector<double> ns;
    for (const std::set<DataType>& types :
         {std::set{DataType::f32},
          {DataType::f32, DataType::bf16},
          {DataType::f32, DataType::u8, DataType::s8},
          {DataType::f32, DataType::bf16, DataType::u8, DataType::s8}}) {
      options.limits.types = types;
      const auto selection = select(network, registry_, costs, {}, options);
      ASSERT_TRUE(selection.ok()) << selection.error().message;
      EXPECT_TRUE(selection->plan.optimal);
      ns.push_back(selection->solution.ns);
      double total = 0;
      for (const PlanLayer& each : selection->plan.layers) total += each.predicted_us * 1e3;
      for (const PlanConversion& each : selection->plan.conversions)
        total += each.predicted_us * 1e3;
      EXPECT_NEAR(total, ns.back(), 1e-6);
    }
    EXPECT_LE(ns[3], std::min(ns[1], ns[2]));
    EXPECT_LE(std::max(ns[1], ns[2]), ns[0]);
  }
}

TEST_F(Int8, OfAQuantisedModelStoresWhatIsRoundedAnyway) {
  const Selection selection = selection_of_model(quantised_network());
  const PlanLayer* first = layer(selection.plan, "c1");
  ASSERT_NE(first, nullptr);
  EXPECT_EQ(first->fused, std::vector<std::string>{"q1"});
  EXPECT_EQ(layer(selection.plan, "c2")->primitive,
            "int8_" + to_string(kU8) + "_" + to_string(kU8));
  EXPECT_EQ(layer(selection.plan, "c4")->input_type, DataType::s8);
  // The zero point of q2 is to stand round its image.
  const PlanLayer* third = layer(selection.plan, "c3");
  EXPECT_EQ(third->input_type, DataType::u8);
  EXPECT_NE(third->workload.find("_u8_s8_zp"), std::string::npos) << third->workload;
  const auto scale = std::ranges::find(selection.plan.scales, "q2", &PlanScale::tensor);
  ASSERT_NE(scale, selection.plan.scales.end());
  EXPECT_EQ(scale->zero_point, 100);
  // Steps change no time, and are no part of what is timed; where storing in int8 is the rounding,
  // the rounding is none, either.
  EXPECT_NE(first->workload.find("quantise(1,0)"), std::string::npos) << first->workload;
  EXPECT_EQ(third->fused, std::vector<std::string>{"q3"});
  EXPECT_EQ(third->workload.find("quantise"), std::string::npos) << third->workload;
}

}  // namespace
}  // namespace convopt::testing
