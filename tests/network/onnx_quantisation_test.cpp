// Quantised operators against integer arithmetic, within one step.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include <onnx/onnx_pb.h>

#include "tests/network/onnx_arrays.h"

namespace convopt::testing {
namespace {

::onnx::TensorProto whole(const std::string& name, const Dims& dims, const Dims& values,
                          ::onnx::TensorProto::DataType type = ::onnx::TensorProto::UINT8) {
  ::onnx::TensorProto tensor = integer_tensor(name, dims, {});
  tensor.set_data_type(type);
  tensor.clear_int64_data();
  for (const std::int64_t value : values) tensor.add_int32_data(static_cast<std::int32_t>(value));
  return tensor;
}

/// What QuantizeLinear makes of x.
double step_of(double x, double scale, double zero, double low = 0, double high = 255) {
  return std::clamp(std::nearbyint(x / scale) + zero, low, high);
}

void expect_within(const Floats& found, const Floats& expected, float step) {
  ASSERT_EQ(found.size(), expected.size());
  int different = 0;
  for (std::size_t i = 0; i < found.size(); ++i) {
    EXPECT_LE(std::abs(found[i] - expected[i]), step * 1.001F) << "element " << i;
    different += std::abs(found[i] - expected[i]) > step * 1e-3F ? 1 : 0;
  }
  EXPECT_LE(different, static_cast<int>(found.size() / 50)) << "steps apart";
}

/// x of (1, 2, 5, 5) quantised by 1/100 around 100, as "q".
OnnxModel quantised_input() {
  OnnxModel model(13);
  model.input("x", {1, 2, 5, 5}).floats("s", {}, {0.01F}).initializer(whole("z", {}, {100}));
  model.node("QuantizeLinear", {"x", "s", "z"}, {"q"});
  return model;
}

/// What DequantizeLinear makes of "q".
Floats dequantised(const Floats& x) {
  Floats result;
  for (const float value : x)
    result.push_back(static_cast<float>((step_of(value, 0.01F, 100) - 100) * 0.01F));
  return result;
}

TEST(OnnxQuantisation, RoundsAndCutsOff) {
  auto model = quantised_input();
  model.node("DequantizeLinear", {"q", "s", "z"}, {"y"}).output("y");
  const Computed computed = compute(model);
  const Floats expected = dequantised(computed.inputs[0]);
  expect_within(computed.outputs[0], expected, 0.01F);
  ASSERT_EQ(computed.network.warnings.size(), 1U);
  EXPECT_NE(computed.network.warnings[0].find("the model is quantised"), std::string::npos);
  // One operator: nothing needs the whole numbers.
  ASSERT_EQ(computed.network.operators.size(), 1U);
  EXPECT_EQ(computed.network.operators[0].workload.epilogue.activation.text(),
            "quantise(0.01,-100)");
}

TEST(OnnxQuantisation, TakesInTheActivationBeforeAndRoundsOnce) {
  OnnxModel model(13);
  model.input("x", {1, 2, 6, 6}).floats("s", {}, {0.01F}).initializer(whole("z", {}, {0}));
  model.node("Relu", {"x"}, {"r"}).node("QuantizeLinear", {"r", "s", "z"}, {"q"});
  model.node("DequantizeLinear", {"q", "s", "z"}, {"d"});
  model.node("MaxPool", {"d"}, {"m"}, {{"kernel_shape", Dims{2, 2}}, {"strides", Dims{2, 2}}});
  model.node("QuantizeLinear", {"m", "s", "z"}, {"mq"});
  model.node("DequantizeLinear", {"mq", "s", "z"}, {"md"});
  model.node("Sigmoid", {"md"}, {"y"}).output("y");
  const Computed computed = compute(model);
  std::vector<std::string> texts;
  for (const Operator& op : computed.network.operators) {
    texts.push_back(op.workload.op == Op::activation ? op.workload.epilogue.activation.text()
                                                     : std::string(to_string(op.workload.op)));
  }
  EXPECT_EQ(texts, (std::vector<std::string>{"quantise(0.01,0)", "max_pool", "sigmoid"}));
  Floats expected(18, 0);
  for (std::size_t i = 0; i < 72; ++i) {
    float& largest = expected[i / 36 * 9 + i / 12 % 3 * 3 + i / 2 % 3];
    const double number = step_of(std::max(computed.inputs[0][i], 0.0F), 0.01F, 0);
    largest = std::max(largest, static_cast<float>(number * 0.01F));
  }
  for (float& value : expected) value = 1 / (1 + std::exp(-value));
  expect_within(computed.outputs[0], expected, 0.01F);
}

TEST(OnnxQuantisation, WhatIsRoundedAlikeIsRoundedOnceForAllReaders) {
  auto model = quantised_input();
  model.node("DequantizeLinear", {"q", "s", "z"}, {"d"}).node("Sigmoid", {"d"}, {"one"});
  model.node("QuantizeLinear", {"d", "s", "z"}, {"again"});
  model.node("DequantizeLinear", {"again", "s", "z"}, {"e"}).node("Tanh", {"e"}, {"two"});
  model.output("one").output("two");
  const Computed computed = compute(model);
  EXPECT_EQ(computed.network.operators.size(), 3U);
  Floats expected = dequantised(computed.inputs[0]);
  for (float& value : expected) value = std::tanh(value);
  expect_within(computed.outputs[1], expected, 0.01F);
}

TEST(OnnxQuantisation, WhatIsMovedInBetweenIsMoved) {
  auto model = quantised_input();
  model.initializer(integer_tensor("flat", {2}, {1, 50}));
  model.initializer(integer_tensor("first", {1}, {3}));
  model.initializer(integer_tensor("last", {1}, {7}));
  model.initializer(integer_tensor("axis", {1}, {1}));
  model.node("Reshape", {"q", "flat"}, {"r"})
      .node("Slice", {"r", "first", "last", "axis"}, {"part"});
  model.node("DequantizeLinear", {"r", "s", "z"}, {"all"}).output("all");
  model.node("DequantizeLinear", {"part", "s", "z"}, {"some"}).output("some");
  const Computed computed = compute(model);
  const Floats expected = dequantised(computed.inputs[0]);
  expect_within(computed.outputs[0], expected, 0.01F);
  EXPECT_EQ(computed.network.named_outputs()[0].shape.elements(), 50);
  expect_within(computed.outputs[1], Floats(expected.begin() + 3, expected.begin() + 7), 0.01F);
}

TEST(OnnxQuantisation, KeepsAnActivationThatRoundingDoesNotReplace) {
  OnnxModel model(13);
  model.input("x", {1, 2, 4, 4}).floats("s", {}, {0.01F}).initializer(whole("z", {}, {100}));
  model.node("Relu", {"x"}, {"r"}).node("QuantizeLinear", {"r", "s", "z"}, {"q"});
  model.node("DequantizeLinear", {"q", "s", "z"}, {"y"}).output("y");
  const Computed computed = compute(model);
  EXPECT_EQ(computed.network.operators.size(), 2U);
  EXPECT_GE(std::ranges::min(computed.outputs[0]), 0);
}

TEST(OnnxQuantisation, PerChannelAndSigned) {
  OnnxModel model(13);
  model.input("x", {1, 2, 4, 4}).floats("s", {2}, {0.01F, 0.02F});
  model.initializer(whole("z", {2}, {-3, 5}, ::onnx::TensorProto::INT8));
  model.node("QuantizeLinear", {"x", "s", "z"}, {"q"});
  model.node("DequantizeLinear", {"q", "s", "z"}, {"y"}).output("y");
  const Computed computed = compute(model);
  Floats expected;
  for (std::size_t i = 0; i < 32; ++i) {
    const double scale = i < 16 ? 0.01F : 0.02F, zero = i < 16 ? -3 : 5;
    expected.push_back(static_cast<float>(
        (step_of(computed.inputs[0][i], scale, zero, -128, 127) - zero) * scale));
  }
  expect_within(computed.outputs[0], expected, 0.02F);
}

TEST(OnnxQuantisation, PaddingOfAConvolutionIsTheZeroPoint) {
  auto model = quantised_input();
  Dims weights;
  for (std::int64_t i = 0; i < 3 * 2 * 3 * 3; ++i) weights.push_back(i * 37 % 255 - 127);
  model.initializer(whole("w", {3, 2, 3, 3}, weights, ::onnx::TensorProto::INT8));
  model.floats("ws", {3}, {0.01F, 0.02F, 0.005F});
  model.initializer(whole("wz", {3}, {0, 0, 0}, ::onnx::TensorProto::INT8));
  model.floats("ys", {}, {0.05F}).initializer(whole("yz", {}, {128}));
  model.initializer(whole("b", {3}, {500, -700, 0}, ::onnx::TensorProto::INT32));
  model.node("QLinearConv", {"q", "s", "z", "w", "ws", "wz", "ys", "yz", "b"}, {"y"},
             {{"pads", Dims{1, 1, 1, 1}}});
  model.output("y");
  const Computed computed = compute(model);
  const Floats& x = computed.inputs[0];
  const double scales[] = {0.01F, 0.02F, 0.005F}, biases[] = {500, -700, 0};
  Floats expected;
  for (int o = 0; o < 3; ++o)
    for (int row = 0; row < 5; ++row)
      for (int column = 0; column < 5; ++column) {
        double sum = biases[o];
        for (int c = 0; c < 2; ++c)
          for (int i = 0; i < 3; ++i)
            for (int j = 0; j < 3; ++j) {
              const int h = row + i - 1, w = column + j - 1;
              if (h < 0 || w < 0 || h > 4 || w > 4) continue;
              sum += (step_of(x[static_cast<std::size_t>((c * 5 + h) * 5 + w)], 0.01F, 100) - 100) *
                     static_cast<double>(
                         weights[static_cast<std::size_t>(((o * 2 + c) * 3 + i) * 3 + j)]);
            }
        expected.push_back(static_cast<float>(step_of(sum * 0.01F * scales[o], 0.05F, 128)));
      }
  expect_within(computed.outputs[0], expected, 1);
}

TEST(OnnxQuantisation, ProductsOfWholeNumbers) {
  OnnxModel model(13);
  model.input("x", {3, 4}).floats("s", {}, {0.01F}).initializer(whole("z", {}, {100}));
  model.node("QuantizeLinear", {"x", "s", "z"}, {"q"});
  model.initializer(whole("b", {4, 2}, {1, 2, 3, 4, 5, 6, 7, 8}));
  model.initializer(whole("bz", {2}, {4, 1}));
  model.node("MatMulInteger", {"q", "b", "z", "bz"}, {"y"}).output("y");
  const Computed computed = compute(model);
  Floats expected;
  for (std::size_t row = 0; row < 3; ++row)
    for (std::size_t column = 0; column < 2; ++column) {
      double sum = 0;
      for (std::size_t k = 0; k < 4; ++k)
        sum += (step_of(computed.inputs[0][row * 4 + k], 0.01F, 100) - 100) *
               (static_cast<double>(k * 2 + column + 1) - (column == 0 ? 4 : 1));
      expected.push_back(static_cast<float>(sum));
    }
  expect_within(computed.outputs[0], expected, 8);
}

TEST(OnnxQuantisation, TheRangeOfTheValues) {
  OnnxModel model(13);
  model.input("x", {3, 7}).node("DynamicQuantizeLinear", {"x"}, {"y", "scale", "zero"});
  model.node("DequantizeLinear", {"y", "scale", "zero"}, {"back"});
  model.output("back").output("scale");
  const Computed computed = compute(model);
  const auto [low, high] = std::ranges::minmax_element(computed.inputs[0]);
  const float scale = (std::max(*high, 0.0F) - std::min(*low, 0.0F)) / 255;
  ASSERT_EQ(computed.outputs[1].size(), 1U);
  EXPECT_NEAR(computed.outputs[1][0], scale, 1e-6);
  for (std::size_t i = 0; i < computed.inputs[0].size(); ++i)
    EXPECT_NEAR(computed.outputs[0][i], computed.inputs[0][i], 1.01F * scale);
}

TEST(OnnxQuantisation, SumsJoinsAndFunctions) {
  auto model = quantised_input();
  model.floats("ys", {}, {0.02F}).initializer(whole("yz", {}, {7}));
  model.node("QLinearAdd", {"q", "s", "z", "q", "s", "z", "ys", "yz"}, {"sum"}).output("sum");
  model.node("QLinearSigmoid", {"q", "s", "z", "ys", "yz"}, {"sigmoid"}).output("sigmoid");
  model.node("QLinearConcat", {"ys", "yz", "q", "s", "z", "sum", "ys", "yz"}, {"both"},
             {{"axis", std::int64_t{1}}});
  model.node("QLinearGlobalAveragePool", {"q", "s", "z", "ys", "yz"}, {"mean"}).output("mean");
  model.output("both");
  const Computed computed = compute(model);
  Floats sum, sigmoid, both, mean;
  for (const float x : computed.inputs[0]) {
    const double real = (step_of(x, 0.01F, 100) - 100) * 0.01F;
    sum.push_back(static_cast<float>(step_of(2 * real, 0.02F, 7)));
    sigmoid.push_back(static_cast<float>(step_of(1 / (1 + std::exp(-real)), 0.02F, 7)));
    both.push_back(static_cast<float>(step_of(real, 0.02F, 7)));
    if (both.size() % 25 == 1) mean.push_back(0);
    mean.back() += static_cast<float>(real / 25);
  }
  both.insert(both.end(), sum.begin(), sum.end());
  for (float& value : mean) value = static_cast<float>(step_of(value, 0.02F, 7));
  ASSERT_EQ(computed.outputs.size(), 4U);
  const auto near = [](const Floats& found, const Floats& expected) {
    ASSERT_EQ(found.size(), expected.size());
    for (std::size_t i = 0; i < found.size(); ++i) EXPECT_NEAR(found[i], expected[i], 1.001);
  };
  near(computed.outputs[0], sum);
  near(computed.outputs[1], sigmoid);
  near(computed.outputs[2], mean);
  near(computed.outputs[3], both);
}

TEST(OnnxQuantisation, WhatDoesNotFitIsASentence) {
  const auto expect_refused = [](const std::string& type, const std::vector<std::string>& inputs) {
    auto model = quantised_input();
    model.floats("zero", {}, {0.0F}).floats("three", {3}, {1, 1, 1}).floats("none", {0}, {});
    const auto network = model.node(type, inputs, {"y"}).output("y").read();
    ASSERT_FALSE(network.ok()) << type << " with " << inputs[1];
    EXPECT_EQ(network.error().code, ErrorCode::bad_input);
  };
  expect_refused("DequantizeLinear", {"q", "zero", "z"});
  expect_refused("DequantizeLinear", {"q", "three"});
  expect_refused("DequantizeLinear", {"q", "none"});
  expect_refused("QLinearConcat", {"s", "z"});
}

}  // namespace
}  // namespace convopt::testing
