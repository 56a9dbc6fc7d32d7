// Forms of models that exporters and conversions leave behind, against their definitions.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "tests/network/onnx_arrays.h"

namespace convopt::testing {
namespace {

using Arrays = std::vector<Array>;

Array unchanged(const Arrays& x) { return x[0]; }

/// One operator whose further inputs are constants of the model.
OnnxModel single(int opset, const Dims& dims, const std::string& type,
                 const std::vector<std::string>& more = {},
                 const OnnxModel::Attributes& attributes = {}) {
  OnnxModel model(opset);
  std::vector<std::string> inputs = {"x"};
  inputs.insert(inputs.end(), more.begin(), more.end());
  return model.input("x", dims).node(type, inputs, {"y"}, attributes).output("y");
}

std::string refusal(const OnnxModel& model) {
  const auto network = model.read();
  return network.ok() ? "" : network.error().message;
}

TEST(OnnxForms, OperatorsInAnyOrder) {
  OnnxModel model(13);
  model.input("x", {1, 2, 3, 3});
  model.node("Relu", {"b"}, {"y"}).node("Neg", {"a"}, {"b"}).node("Sigmoid", {"x"}, {"a"});
  expect_computes(model.output("y"), {{1, 2, 3, 3}},
                  [](const Arrays& x) { return mapped(x[0], [](double) { return 0.0; }); });
}

TEST(OnnxForms, WithoutAnOpset) {
  auto model = single(13, {1, 2, 3, 3}, "Relu");
  model.proto().clear_opset_import();
  const auto network = model.read();
  ASSERT_TRUE(network.ok()) << network.error().message;
  ASSERT_EQ(network->warnings.size(), 1U);
  EXPECT_NE(network->warnings[0].find("opset 18"), std::string::npos) << network->warnings[0];
  model.proto().set_ir_version(2);
  EXPECT_NE(model.read()->warnings.at(0).find("opset 1,"), std::string::npos);
}

TEST(OnnxForms, OutputsThatAreInputs) {
  expect_computes(single(13, {1, 2, 3, 3}, "Identity"), {{1, 2, 3, 3}}, unchanged);
  auto twice = single(13, {1, 2, 3, 3}, "Relu");
  twice.node("Identity", {"y"}, {"z"}).output("z");
  const Computed computed = compute(twice);
  ASSERT_EQ(computed.outputs.size(), 2U);
  EXPECT_EQ(computed.outputs[0], computed.outputs[1]);
}

/// If with branches that negate and keep x; the condition is a constant.
OnnxModel branching(bool condition) {
  OnnxModel model(13);
  model.input("x", {1, 2, 2, 2});
  ::onnx::TensorProto chosen = integer_tensor("chosen", {}, {condition ? 1 : 0});
  chosen.set_data_type(::onnx::TensorProto::BOOL);
  chosen.clear_int64_data();
  chosen.add_int32_data(condition ? 1 : 0);
  model.initializer(chosen).node("If", {"chosen"}, {"inside"});
  auto& node = *model.proto().mutable_graph()->mutable_node(0);
  for (const bool then : {true, false}) {
    OnnxModel inner(13);  // both branches use the names of the graph around them
    inner.floats("factor", {}, {then ? -1.0F : 3.0F}).node("Mul", {"x", "factor"}, {"inside"});
    auto& attribute = *node.add_attribute();
    attribute.set_name(then ? "then_branch" : "else_branch");
    attribute.set_type(::onnx::AttributeProto::GRAPH);
    *attribute.mutable_g() = inner.output("inside").proto().graph();
  }
  return model.floats("factor", {}, {2}).node("Mul", {"inside", "factor"}, {"y"}).output("y");
}

TEST(OnnxForms, BranchesThatAreKnownWhenReading) {
  for (const bool condition : {true, false})
    expect_computes(branching(condition), {{1, 2, 2, 2}}, [&](const Arrays& x) {
      return mapped(x[0], [&](double v) { return v * (condition ? -2 : 6); });
    });
  auto open = branching(true);
  open.proto().mutable_graph()->mutable_node(0)->set_input(0, "x");
  EXPECT_NE(refusal(open).find("'If'"), std::string::npos) << refusal(open);
}

TEST(OnnxForms, BranchesThatDependOnABoundInput) {
  auto model = branching(true);
  auto& graph = *model.proto().mutable_graph();
  graph.clear_initializer();
  model.floats("factor", {}, {2}).input("chosen", {});
  graph.mutable_input(1)->mutable_type()->mutable_tensor_type()->set_elem_type(
      ::onnx::TensorProto::BOOL);
  EXPECT_NE(refusal(model).find("--bind chosen=1"), std::string::npos) << refusal(model);
  for (const double chosen : {0.0, 1.0}) {
    const auto computed = compute(model, {}, {{"chosen", {chosen}}});
    ASSERT_EQ(computed.inputs.size(), 1U);
    for (std::size_t i = 0; i < computed.inputs[0].size(); ++i)
      EXPECT_FLOAT_EQ(computed.outputs[0][i], computed.inputs[0][i] * (chosen != 0 ? -2 : 6));
  }
}

TEST(OnnxForms, ClipWithoutBoundsOrWithCrossedOnes) {
  const Dims in = {1, 2, 2, 3};
  expect_computes(single(13, in, "Clip"), {in}, unchanged);
  expect_computes(single(13, in, "Clip", {"a", "b"}).floats("a", {}, {5}).floats("b", {}, {2}),
                  {in}, [](const Arrays& x) { return mapped(x[0], [](double) { return 2.0; }); });
}

TEST(OnnxForms, KernelShapeThatIsNotThatOfTheWeights) {
  auto model = single(13, {1, 1, 8, 8}, "Conv", {"w"}, {{"kernel_shape", Dims{5, 5}}});
  model.random("w", {1, 1, 3, 3});
  EXPECT_NE(refusal(model).find("5x5"), std::string::npos) << refusal(model);
}

TEST(OnnxForms, ResultsTooLargeToComputeAreRefused) {
  auto tiles = single(13, {1, 1, 1, 2}, "Tile", {"times"});
  tiles.integers("times", {1, 1, 1, INT64_MAX});
  EXPECT_NE(refusal(tiles).find("too large"), std::string::npos) << refusal(tiles);
  // Four factors for each of sixteen million columns.
  auto columns = single(13, {1, 1, 1, 4}, "Resize", {"", "", "size"}, {{"mode", "cubic"}});
  columns.integers("size", {1, 1, 1, 1 << 24});
  EXPECT_NE(refusal(columns).find("too large"), std::string::npos) << refusal(columns);
}

struct TransposedCase {
  const char* name;
  Dims in, weights, stride, dilation;
  OnnxModel::Attributes more;
  Dims before;  ///< padding that follows
  Dims out;
};

class TransposedForms : public ::testing::TestWithParam<TransposedCase> {};

TEST_P(TransposedForms, SpreadWhatTheyRead) {
  const TransposedCase& c = GetParam();
  OnnxModel::Attributes attributes = c.more;
  attributes.insert(attributes.end(), {{"strides", c.stride}, {"dilations", c.dilation}});
  auto model = single(11, c.in, "ConvTranspose", {"w"}, attributes);
  model.random("w", c.weights);
  const Array w = stored(model, "w");
  expect_computes(model, {c.in}, [&](const Arrays& x) {
    Array y({1, c.weights[1], c.out[0], c.out[1]});
    for (std::int64_t i = 0; i < x[0].count(); ++i) {
      const Dims from = x[0].place(i);
      for (std::int64_t k = 0; k < w.count(); ++k) {
        const Dims tap = w.place(k);
        const Dims to = {0, tap[1], from[2] * c.stride[0] + tap[2] * c.dilation[0] - c.before[0],
                         from[3] * c.stride[1] + tap[3] * c.dilation[1] - c.before[1]};
        if (tap[0] == from[1] && y.inside(to)) y.at(to) += w(tap) * x[0](from);
      }
    }
    return y;
  });
}

const std::string kUpper = "SAME_UPPER", kLower = "SAME_LOWER";

INSTANTIATE_TEST_SUITE_P(Onnx, TransposedForms,
                         ::testing::Values(TransposedCase{"upper1",
                                                          {1, 1, 2, 2},
                                                          {1, 1, 3, 3},
                                                          {1, 1},
                                                          {1, 1},
                                                          {{"auto_pad", kUpper}},
                                                          {1, 1},
                                                          {2, 2}},
                                           TransposedCase{"upper2",
                                                          {1, 1, 5, 4},
                                                          {1, 1, 3, 3},
                                                          {2, 2},
                                                          {1, 1},
                                                          {{"auto_pad", kUpper}},
                                                          {0, 0},
                                                          {10, 8}},
                                           TransposedCase{"lower2",
                                                          {1, 1, 5, 4},
                                                          {1, 1, 3, 3},
                                                          {2, 2},
                                                          {1, 1},
                                                          {{"auto_pad", kLower}},
                                                          {1, 1},
                                                          {10, 8}},
                                           TransposedCase{"upper_small_kernel",
                                                          {1, 1, 3, 3},
                                                          {1, 2, 1, 1},
                                                          {2, 2},
                                                          {1, 1},
                                                          {{"auto_pad", kUpper}},
                                                          {0, 0},
                                                          {6, 6}},
                                           TransposedCase{"dilated",
                                                          {1, 2, 6, 6},
                                                          {2, 3, 2, 3},
                                                          {2, 1},
                                                          {3, 1},
                                                          {{"pads", Dims{4, 2, 4, 2}}},
                                                          {4, 2},
                                                          {6, 4}},
                                           TransposedCase{"output_shape",
                                                          {1, 2, 3, 3},
                                                          {2, 2, 3, 3},
                                                          {2, 2},
                                                          {1, 1},
                                                          {{"output_shape", Dims{6, 6}}},
                                                          {1, 1},
                                                          {6, 6}},
                                           TransposedCase{"larger_output_shape",
                                                          {1, 1, 3, 3},
                                                          {1, 1, 2, 2},
                                                          {2, 2},
                                                          {1, 1},
                                                          {{"output_shape", Dims{8, 7}}},
                                                          {0, 0},
                                                          {8, 7}},
                                           TransposedCase{"large_padding",
                                                          {1, 1, 8, 8},
                                                          {1, 3, 2, 2},
                                                          {1, 1},
                                                          {2, 2},
                                                          {{"pads", Dims(4, 3)}},
                                                          {3, 3},
                                                          {4, 4}},
                                           TransposedCase{"large_padding2",
                                                          {1, 1, 8, 7},
                                                          {1, 2, 2, 2},
                                                          {2, 2},
                                                          {2, 2},
                                                          {{"pads", Dims{5, 4, 6, 5}},
                                                           {"output_padding", Dims{1, 1}}},
                                                          {5, 4},
                                                          {7, 7}}),
                         [](const auto& c) { return std::string(c.param.name); });

TEST(OnnxForms, DivisorsOfPartialWindowsCountThePaddingAskedFor) {
  const Dims in = {1, 1, 4, 4};
  const auto model = single(11, in, "AveragePool", {},
                            {{"kernel_shape", Dims{3, 3}},
                             {"strides", Dims{2, 2}},
                             {"pads", Dims{1, 1, 1, 1}},
                             {"ceil_mode", std::int64_t{1}},
                             {"count_include_pad", std::int64_t{1}}});
  expect_computes(model, {in}, [](const Arrays& x) {
    return made({1, 1, 3, 3}, [&](const Dims& at) {
      double sum = 0;
      int count = 0;
      for (std::int64_t y = at[2] * 2 - 1; y < std::min<std::int64_t>(at[2] * 2 + 2, 5); ++y)
        for (std::int64_t z = at[3] * 2 - 1; z < std::min<std::int64_t>(at[3] * 2 + 2, 5); ++z) {
          sum += x[0]({0, 0, y, z});
          ++count;
        }
      return sum / count;
    });
  });
}

TEST(OnnxForms, PaddingOfEveryKind) {
  const Dims in = {2, 2, 3, 4};
  const auto check = [&](const std::string& mode, const Dims& pads, float number) {
    SCOPED_TRACE(mode);
    auto model = single(13, in, "Pad", {"pads", "number"}, {{"mode", mode}});
    model.integers("pads", pads).floats("number", {}, {number});
    Dims out = in;
    for (std::size_t d = 0; d < 4; ++d) out[d] += pads[d] + pads[d + 4];
    expect_computes(model, {in}, [&](const Arrays& x) {
      return made(out, [&](Dims at) {
        for (std::size_t d = 0; d < 4; ++d) {
          at[d] -= pads[d];
          if (mode == "edge") at[d] = std::clamp<std::int64_t>(at[d], 0, in[d] - 1);
          if (mode == "wrap") at[d] = (at[d] + in[d]) % in[d];
          if (mode == "reflect") at[d] = at[d] < 0 ? -at[d] : at[d];
          if (mode == "reflect" && at[d] >= in[d]) at[d] = 2 * (in[d] - 1) - at[d];
        }
        return x[0].inside(at) ? x[0](at) : number;
      });
    });
  };
  check("reflect", {0, 0, 1, 2, 0, 0, 2, 0}, 0);
  check("edge", {0, 0, 0, 3, 0, 0, 1, 1}, 0);
  check("wrap", {0, 1, 1, 0, 0, 0, 0, 2}, 0);
  check("constant", {0, 0, 1, 2, 0, 0, 2, 0}, -7);
  check("constant", {0, 0, -1, 1, 0, 0, 0, -2}, 0);
  check("constant", {0, 0, -1, 1, 0, 0, 0, -2}, 3);
  check("constant", {0, 1, 0, 0, 0, 2, 0, 0}, 0);
  check("constant", {1, 1, 0, 0, 0, 2, 1, 0}, 5);
}

TEST(OnnxForms, PaddingOfChosenAxes) {
  auto model = single(18, {1, 2, 3}, "Pad", {"pads", "", "axes"});
  model.integers("pads", {1, 2}).integers("axes", {-2});
  expect_computes(model, {{1, 2, 3}}, [](const Arrays& x) {
    return made({1, 5, 3}, [&](const Dims& at) { return x[0]({0, at[1] - 1, at[2]}); });
  });
}

TEST(OnnxForms, PaddingWithANumberIsNotThatOfAConvolution) {
  OnnxModel model(13);
  model.input("x", {1, 1, 3, 3}).random("w", {1, 1, 3, 3});
  model.integers("pads", {0, 0, 1, 1, 0, 0, 1, 1}).floats("number", {}, {-7});
  model.node("Pad", {"x", "pads", "number"}, {"p"}).node("Conv", {"p", "w"}, {"y"}).output("y");
  const Array w = stored(model, "w");
  expect_computes(model, {{1, 1, 3, 3}}, [&](const Arrays& x) {
    return made({1, 1, 3, 3}, [&](const Dims& at) {
      double sum = 0;
      for (std::int64_t k = 0; k < 9; ++k) {
        const Dims from = {0, 0, at[2] + k / 3 - 1, at[3] + k % 3 - 1};
        sum += (x[0].inside(from) ? double{x[0](from)} : -7.0) * w({0, 0, k / 3, k % 3});
      }
      return sum;
    });
  });
}

/// (x - mean) / sqrt(variance + epsilon) over the images and pixels, or the pixels only.
Array standardised(const Array& x, bool all_images, const Array& scale, const Array& shift) {
  return made(x.dims, [&](const Dims& at) {
    double sum = 0, squares = 0;
    int count = 0;
    for (std::int64_t i = 0; i < x.count(); ++i) {
      const Dims from = x.place(i);
      if (from[1] != at[1] || (!all_images && from[0] != at[0])) continue;
      sum += x(from);
      squares += double{x(from)} * x(from);
      ++count;
    }
    const double mean = sum / count;
    const double variance = squares / count - mean * mean;
    return (x(at) - mean) / std::sqrt(variance + 1e-3) * scale({at[1]}) + shift({at[1]});
  });
}

TEST(OnnxForms, NormalisationByTheInputsOwnStatistics) {
  const Dims in = {2, 3, 4, 5};
  auto instance = single(13, in, "InstanceNormalization", {"s", "b"}, {{"epsilon", 1e-3F}});
  instance.random("s", {3}).random("b", {3});
  const Array s = stored(instance, "s"), b = stored(instance, "b");
  expect_computes(
      instance, {in}, [&](const Arrays& x) { return standardised(x[0], false, s, b); }, 1e-5F);
  auto batch = single(15, in, "BatchNormalization", {"s", "b", "m", "v"},
                      {{"epsilon", 1e-3F}, {"training_mode", std::int64_t{1}}});
  batch.random("s", {3}).random("b", {3}).random("m", {3}).floats("v", {3}, {7, 7, 7});
  expect_computes(
      batch, {in}, [&](const Arrays& x) { return standardised(x[0], true, s, b); }, 1e-5F);
}

TEST(OnnxForms, WeightsOfEightBits) {
  OnnxModel model(13);
  ::onnx::TensorProto weights = integer_tensor("w8", {2, 1, 1, 1}, {});
  weights.set_data_type(::onnx::TensorProto::INT8);
  for (const int value : {-100, 50}) weights.add_int32_data(value);
  ::onnx::TensorProto zeros = integer_tensor("zeros", {2}, {});
  zeros.set_data_type(::onnx::TensorProto::INT8);
  for (const int value : {10, -5}) zeros.add_int32_data(value);
  model.input("x", {1, 1, 3, 3}).initializer(weights).initializer(zeros);
  model.floats("scales", {2}, {0.5F, 0.25F});
  model.node("DequantizeLinear", {"w8", "scales", "zeros"}, {"w"}, {{"axis", std::int64_t{0}}});
  model.node("Conv", {"x", "w"}, {"y"}).output("y");
  expect_computes(model, {{1, 1, 3, 3}}, [](const Arrays& x) {
    return made({1, 2, 3, 3}, [&](const Dims& at) {
      return x[0]({0, 0, at[2], at[3]}) * (at[1] == 0 ? -55.0 : 13.75);
    });
  });
}

TEST(OnnxForms, CastsToHalfPrecisionAndBackKeepTheValues) {
  auto model =
      single(13, {1, 1, 3, 3}, "Cast", {}, {{"to", std::int64_t{::onnx::TensorProto::FLOAT16}}});
  model.proto().mutable_graph()->mutable_node(0)->set_output(0, "half");
  model.node("Cast", {"half"}, {"y"}, {{"to", std::int64_t{::onnx::TensorProto::FLOAT}}});
  expect_computes(model, {{1, 1, 3, 3}}, unchanged);
  EXPECT_EQ(model.read()->warnings.size(), 1U);
}

TEST(OnnxForms, TheLargerOrSmallerOfTwo) {
  const Dims in = {1, 2, 2, 2};
  for (const char* type : {"Max", "Min"}) {
    const bool larger = type[1] == 'a';
    const auto pick = [&](double a, double b) { return larger ? std::max(a, b) : std::min(a, b); };
    for (const float factor : {0.2F, 1.5F, -2.0F}) {
      OnnxModel model(13);
      model.input("x", in).floats("f", {}, {factor}).node("Mul", {"f", "x"}, {"m"});
      model.node(type, {"m", "x"}, {"y"}).output("y");
      expect_computes(model, {in}, [&](const Arrays& x) {
        return mapped(x[0], [&](double v) { return pick(v, factor * v); });
      });
    }
    expect_computes(
        single(13, in, type, {"c"}).floats("c", {1}, {0.25F}), {in},
        [&](const Arrays& x) { return mapped(x[0], [&](double v) { return pick(v, 0.25); }); });
    expect_computes(single(13, in, type), {in}, unchanged);
  }
}

TEST(OnnxForms, ConstantsAmongWhatIsConcatenated) {
  const Dims in = {2, 2, 3};
  for (const std::int64_t axis : {0, 1, 2}) {
    SCOPED_TRACE(axis);
    OnnxModel model(13);
    Dims sizes = in;
    sizes[static_cast<std::size_t>(axis)] = 2;
    model.input("x", in).input("z", in).random("a", sizes).random("b", sizes);
    model.node("Concat", {"a", "x", "b", "z"}, {"y"}, {{"axis", axis}}).output("y");
    const Array a = stored(model, "a"), b = stored(model, "b");
    expect_computes(model, {in, in}, [&](const Arrays& x) {
      Dims out = in;
      const auto along = static_cast<std::size_t>(axis);
      out[along] = 4 + 2 * in[along];
      return made(out, [&](Dims at) {
        for (const Array* part : {&a, &x[0], &b, &x[1]}) {
          if (at[along] < part->dims[along]) return (*part)(at);
          at[along] -= part->dims[along];
        }
        return 0.0F;
      });
    });
  }
}

}  // namespace
}  // namespace convopt::testing
