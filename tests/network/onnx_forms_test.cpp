// Forms of models that exporters and conversions leave behind, against their definitions.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <tuple>

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

/// Adds a function of the domain "own" to a model, with these inputs and outputs.
::onnx::FunctionProto& add_function(OnnxModel& model, const std::string& name,
                                    const std::vector<std::string>& inputs,
                                    const std::vector<std::string>& outputs,
                                    const OnnxModel& body) {
  auto& function = *model.proto().add_functions();
  function.set_domain("own");
  function.set_name(name);
  for (const std::string& input : inputs) function.add_input(input);
  for (const std::string& output : outputs) function.add_output(output);
  OnnxModel copy = body;
  *function.mutable_node() = copy.proto().graph().node();
  return function;
}

void call(OnnxModel& model, const std::string& name, const std::vector<std::string>& inputs,
          const std::vector<std::string>& outputs, const OnnxModel::Attributes& attributes = {}) {
  model.node(name, inputs, outputs, attributes);
  auto& graph = *model.proto().mutable_graph();
  graph.mutable_node(graph.node_size() - 1)->set_domain("own");
}

TEST(OnnxForms, FunctionsOfTheModelItself) {
  // Called twice, with inner names that are those of the graph around, in the name of an operator.
  OnnxModel inner(13), outer(13), model(13);
  inner.node("Mul", {"a", "b"}, {"t"}).node("Add", {"t", "b"}, {"r"});
  call(outer, "Relu", {"y", "y"}, {"t"});
  call(outer, "Relu", {"t", "x"}, {"r"});
  model.input("x", {1, 2, 2, 2}).random("k", {1, 2, 1, 1});
  call(model, "Twice", {"k", "x"}, {"y"});
  add_function(model, "Relu", {"a", "b"}, {"r"}, inner);
  add_function(model, "Twice", {"x", "y"}, {"r"}, outer);
  const Array k = stored(model, "k");
  expect_computes(model.output("y"), {{1, 2, 2, 2}}, [&](const Arrays& x) {
    return made({1, 2, 2, 2}, [&](const Dims& at) {
      const double v = x[0](at), by = k({0, at[1], 0, 0});
      return (v * v + v) * by + by;
    });
  });
}

TEST(OnnxForms, AttributesOfFunctions) {
  // One is given by the call, one has a default, and one is left to the operator.
  OnnxModel body(13), model(13);
  body.node("LeakyRelu", {"x"}, {"a"}, {{"alpha", 0.0F}})
      .node("Elu", {"a"}, {"b"}, {{"alpha", 0.0F}})
      .node("Selu", {"b"}, {"c"}, {{"gamma", 0.0F}});
  const std::vector<std::string> names = {"slope", "scale", "none"};
  for (int i = 0; i < 3; ++i) {
    auto& attribute = *body.proto().mutable_graph()->mutable_node(i)->mutable_attribute(0);
    attribute.clear_f();
    attribute.set_ref_attr_name(names[static_cast<std::size_t>(i)]);
  }
  model.input("x", {1, 2, 2, 2});
  call(model, "Chain", {"x"}, {"y"}, {{"slope", 0.5F}});
  auto& function = add_function(model, "Chain", {"x"}, {"c"}, body);
  function.add_attribute("slope");
  function.add_attribute("none");
  ::onnx::AttributeProto scale;
  scale.set_name("scale");
  scale.set_type(::onnx::AttributeProto::FLOAT);
  scale.set_f(3);
  // The field `attribute_proto` of later versions of ONNX.
  function.GetReflection()->MutableUnknownFields(&function)->AddLengthDelimited(
      11, scale.SerializeAsString());
  expect_computes(
      model.output("y"), {{1, 2, 2, 2}},
      [](const Arrays& x) {
        return mapped(x[0], [](double v) {
          v = v < 0 ? 0.5 * v : v;
          v = v < 0 ? 3 * std::expm1(v) : v;
          return 1.05070102214813232421875 *
                 (v < 0 ? 1.67326319217681884765625 * std::expm1(v) : v);
        });
      },
      1e-5F);
}

TEST(OnnxForms, FunctionsThatPassTheirInputsOnOrLeaveThemOut) {
  OnnxModel body(13), model(13);
  body.node("Clip", {"x", "low", "high"}, {"r"});
  model.input("x", {1, 2, 2, 2}).floats("zero", {}, {0.25F});
  call(model, "F", {"x", "zero"}, {"a", "b", "c"});
  add_function(model, "F", {"x", "low", "high"}, {"r", "x", "r"}, body);
  model.node("Add", {"a", "b"}, {"d"}).node("Add", {"d", "c"}, {"y"}).output("y");
  expect_computes(model, {{1, 2, 2, 2}}, [](const Arrays& x) {
    return mapped(x[0], [](double v) { return v + 2 * std::max(v, 0.25); });
  });
}

TEST(OnnxForms, GraphsInsideOfFunctions) {
  // Graphs within have names of their own, here those of the function and of the call.
  OnnxModel model = branching(true);
  auto& graph = *model.proto().mutable_graph();
  auto& function = *model.proto().add_functions();
  function.set_domain("own");
  function.set_name("F");
  for (const char* input : {"x", "chosen"}) function.add_input(input);
  function.add_output("inside");
  *function.add_node() = graph.node(0);
  graph.mutable_node(0)->clear_attribute();
  graph.mutable_node(0)->set_op_type("F");
  graph.mutable_node(0)->set_domain("own");
  graph.mutable_node(0)->set_input(0, "factor");
  graph.mutable_node(0)->add_input("chosen");
  expect_computes(model, {{1, 2, 2, 2}}, [](const Arrays&) { return Array({}, {-4}); });
}

TEST(OnnxForms, FunctionsThatCallThemselvesAreRefused) {
  OnnxModel body(13), model(13);
  call(body, "F", {"x"}, {"r"});
  call(model, "F", {"x"}, {"y"});
  add_function(model, "F", {"x"}, {"r"}, body);
  model.input("x", {1, 2}).output("y");
  EXPECT_NE(refusal(model).find("'F' calls itself"), std::string::npos) << refusal(model);
  // As many levels as are allowed, each with two calls of the next one.
  OnnxModel growing(13);
  call(growing, "F0", {"x"}, {"y"});
  for (int i = 0; i < 30; ++i) {
    OnnxModel twice(13);
    for (const char* result : {"s", "r"}) call(twice, "F" + std::to_string(i + 1), {"x"}, {result});
    add_function(growing, "F" + std::to_string(i), {"x"}, {"r"}, twice);
  }
  growing.input("x", {1, 2}).output("y");
  EXPECT_NE(refusal(growing).find("too many operators"), std::string::npos) << refusal(growing);
}

TEST(OnnxForms, SizesByReductionsAndCastsOfConstants) {
  // 2x3 numbers whose largest, least, sum, mean and product are sizes.
  for (const auto& [type, axes, keep, expected] :
       std::vector<std::tuple<std::string, Dims, std::int64_t, Dims>>{
           {"ReduceMax", {1}, 0, {3, 4}},
           {"ReduceMin", {0}, 1, {1, 2, 2}},
           {"ReduceSum", {}, 0, {13}},
           {"ReduceMean", {-2, 1}, 0, {2}},
           {"ReduceProd", {1}, 0, {6, 8}}}) {
    for (const bool real : {true, false}) {
      if (!real && type == "ReduceMean") continue;
      const std::int64_t count =
          std::accumulate(expected.begin(), expected.end(), std::int64_t{1}, std::multiplies<>());
      OnnxModel model(11);
      model.input("x", {count}).integers("numbers", {1, 2, 3, 1, 4, 2}).integers("sizes", {2, 3});
      model.floats("real", {1}, {0}).integers("whole", {0}).integers("row", {-1});
      OnnxModel::Attributes attributes = {{"keepdims", keep}};
      if (!axes.empty()) attributes.emplace_back("axes", axes);
      if (type == "ReduceSum") model.proto().mutable_opset_import(0)->set_version(12);
      model.node("Reshape", {"numbers", "sizes"}, {"matrix"})
          .node("CastLike", {"matrix", real ? "real" : "whole"}, {"typed"})
          .node(type, {"typed"}, {"reduced"}, attributes)
          .node("Cast", {"reduced"}, {"again"}, {{"to", std::int64_t{7}}})
          .node("Reshape", {"again", "row"}, {"shape"})
          .node("Reshape", {"x", "shape"}, {"y"});
      const auto read = model.output("y").read();
      ASSERT_TRUE(read.ok()) << type << ": " << read.error().message;
      EXPECT_EQ(read->named_outputs()[0].shape,
                TensorShape(std::vector<int>(expected.begin(), expected.end())))
          << type;
      EXPECT_EQ(read->rest, nullptr) << type;
    }
  }
}

TEST(OnnxForms, SequencesThatGrowAndShrink) {
  // The rows of x with the first one behind the others, without the first two, and that once more
  // before the last.
  OnnxModel model(13);
  model.input("x", {4, 3}).integers("zero", {0}, true).integers("last", {-1}, true);
  model.node("SplitToSequence", {"x"}, {"rows"}, {{"keepdims", 0}})
      .node("SequenceAt", {"rows", "zero"}, {"first"})
      .node("SequenceInsert", {"rows", "first"}, {"five"})
      .node("SequenceErase", {"five", "zero"}, {"four"})
      .node("SequenceErase", {"four", "zero"}, {"three"})
      .node("Identity", {"three"}, {"same"})
      .node("SequenceInsert", {"same", "first", "last"}, {"all"})
      .node("SequenceLength", {"all"}, {"length"})
      .node("Cast", {"length"}, {"number"}, {{"to", std::int64_t{1}}})
      .node("ConcatFromSequence", {"all"}, {"columns"}, {{"axis", -1}, {"new_axis", 1}})
      .node("Mul", {"columns", "number"}, {"y"});
  expect_computes(model.output("y"), {{4, 3}}, [](const Arrays& x) {
    const Dims rows = {2, 3, 0, 0};
    return made({3, 4}, [&](const Dims& at) { return 4 * x[0]({rows.at(at[1]), at[0]}); });
  });
}

TEST(OnnxForms, SequencesOfParts) {
  for (const bool scalar : {true, false}) {
    OnnxModel model(13);
    model.input("x", {2, 7}).integers("parts", scalar ? Dims{3} : Dims{3, 3, 1}, scalar);
    model.node("SplitToSequence", {"x", "parts"}, {"three"}, {{"axis", 1}, {"keepdims", 0}})
        .integers("first", {0}, true)
        .integers("last", {-1}, true)
        .node("SequenceAt", {"three", "first"}, {"a"})
        .node("SequenceAt", {"three", "last"}, {"b"})
        .node("SequenceConstruct", {"b", "a"}, {"two"})
        .node("ConcatFromSequence", {"two"}, {"y"}, {{"axis", 1}});
    expect_computes(model.output("y"), {{2, 7}}, [](const Arrays& x) {
      return made({2, 4}, [&](const Dims& at) { return x[0]({at[0], (at[1] + 6) % 7}); });
    });
  }
}

TEST(OnnxForms, SequencesOfConstantsAreOne) {
  // The sizes of a Reshape.
  OnnxModel model(13);
  model.input("x", {2, 6}).integers("a", {3}).integers("b", {2, 2}).integers("c", {4, 5});
  model.node("SequenceConstruct", {"a", "b"}, {"sizes"})
      .node("ConcatFromSequence", {"sizes"}, {"shape"}, {{"axis", 0}})
      .node("Reshape", {"x", "shape"}, {"y"});
  const auto read = model.output("y").read();
  ASSERT_TRUE(read.ok()) << read.error().message;
  EXPECT_EQ(read->named_outputs()[0].shape, TensorShape({3, 2, 2}));
  // Along a new axis in the middle.
  OnnxModel stacked(13);
  stacked.input("x", {2, 2, 2}).integers("b", {2, 3}).integers("c", {4, 5});
  stacked.node("SequenceConstruct", {"b", "c"}, {"sizes"})
      .node("ConcatFromSequence", {"sizes"}, {"pairs"}, {{"axis", 1}, {"new_axis", 1}})
      .node("Cast", {"pairs"}, {"numbers"}, {{"to", std::int64_t{1}}})
      .node("Mul", {"x", "numbers"}, {"y"});
  expect_computes(stacked.output("y"), {{2, 2, 2}}, [](const Arrays& x) {
    return made({2, 2, 2}, [&](const Dims& at) {
      return x[0](at) * static_cast<double>(2 + at[1] + 2 * at[2]);
    });
  });
}

TEST(OnnxForms, LoopsThatFillASequence) {
  // As PyTorch exports Tensor.unfold: windows of four every two.
  OnnxModel model(13), body(13);
  body.proto().mutable_graph()->add_input()->set_name("i");
  body.proto().mutable_graph()->add_input()->set_name("condition");
  body.proto().mutable_graph()->add_input()->set_name("so_far");
  body.integers("two", {2}).integers("four", {4}).integers("axis", {1});
  body.node("Mul", {"i", "two"}, {"begin"})
      .node("Add", {"begin", "four"}, {"end"})
      .node("Slice", {"x", "begin", "end", "axis"}, {"window"})
      .node("SequenceInsert", {"so_far", "window"}, {"more"})
      .node("Identity", {"condition"}, {"goes_on"});
  body.output("goes_on").output("more");
  model.input("x", {3, 8}).integers("three", {3}, true);
  model.node("SequenceEmpty", {}, {"none"}).node("Loop", {"three", "", "none"}, {"windows"});
  auto& attribute = *model.proto().mutable_graph()->mutable_node(1)->add_attribute();
  attribute.set_name("body");
  attribute.set_type(::onnx::AttributeProto::GRAPH);
  *attribute.mutable_g() = body.proto().graph();
  model.node("ConcatFromSequence", {"windows"}, {"y"}, {{"axis", 1}, {"new_axis", 1}});
  expect_computes(model.output("y"), {{3, 8}}, [](const Arrays& x) {
    return made({3, 3, 4}, [&](const Dims& at) { return x[0]({at[0], 2 * at[1] + at[2]}); });
  });
}

TEST(OnnxForms, SequencesThatAreRefused) {
  const auto model = [](const std::string& type, const std::vector<std::string>& inputs) {
    OnnxModel result(13);
    result.input("x", {2, 3}).integers("two", {2}, true).integers("parts", {1, 3});
    result.node("SequenceConstruct", {"x", "x"}, {"pair"}).node("SequenceEmpty", {}, {"none"});
    return result.node(type, inputs, {"y"}).output("y");
  };
  const std::vector<std::tuple<std::string, std::vector<std::string>, std::string>> cases = {
      {"Identity", {"pair"}, "'y' is a sequence"},
      {"Relu", {"pair"}, "a sequence as its input 0"},
      {"Add", {"x", "pair"}, "a sequence as its input 1"},
      {"SequenceAt", {"pair", "two"}, "no place 2"},
      {"SequenceAt", {"none", "two"}, "no place 2"},
      {"SequenceAt", {"x", "two"}, "no sequence"},
      {"SequenceErase", {"none"}, "is empty"},
      {"ConcatFromSequence", {"none"}, "is empty"},
      {"SequenceConstruct", {"pair"}, "a sequence as its input 0"},
      {"SplitToSequence", {"x", "parts"}, "do not make up"},
  };
  for (const auto& [type, inputs, why] : cases) {
    const std::string found = refusal(model(type, inputs));
    EXPECT_NE(found.find(why), std::string::npos) << type << ": " << found;
  }
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
