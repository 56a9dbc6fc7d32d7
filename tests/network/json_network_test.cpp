// The network format: what a file may say, what it then means, and what is refused with which
// words.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <string>
#include <vector>

#include "convopt/network.hpp"

namespace convopt {
namespace {

using ::testing::AssertionFailure;
using ::testing::AssertionResult;
using ::testing::AssertionSuccess;

constexpr const char* kInput = R"("input": {"shape": [1, 3, 32, 32]})";

/// A file with these operators, and whatever else stands before and after them.
std::string file_with(const std::string& operators, const std::string& input = kInput,
                      const std::string& rest = "") {
  return R"({"schema": "convopt.network/1", "name": "test", )" + input + R"(, "operators": [)" +
         operators + "]" + rest + "}";
}

Result<Network> parse(const std::string& operators, const std::string& input = kInput,
                      const std::string& rest = "") {
  return parse_network(file_with(operators, input, rest), "net.json");
}

/// The texts of all workloads, `kind NAME` for operators that are none.
std::vector<std::string> texts(const Result<Network>& network) {
  if (!network) return {network.error().message};
  std::vector<std::string> result;
  for (const Operator& op : network->operators)
    result.push_back(op.kind == OperatorKind::compute   ? op.workload.text()
                     : op.kind == OperatorKind::reshape ? "reshape " + op.name
                                                        : "opaque " + op.name);
  return result;
}

std::string text_of(const std::string& op, const std::string& input = kInput) {
  const auto all = texts(parse(op, input));
  return all.size() == 1 ? all[0] : std::to_string(all.size()) + " operators";
}

AssertionResult refused(const Result<Network>& network, const std::vector<std::string>& words) {
  if (network) return AssertionFailure() << "it was accepted";
  if (network.error().code != ErrorCode::bad_input)
    return AssertionFailure() << "its code is that of another kind of error";
  const std::string& message = network.error().message;
  if (message.find('\n') != std::string::npos || message.ends_with('.'))
    return AssertionFailure() << "not one sentence without a full stop: " << message;
  for (const std::string& word : words)
    if (message.find(word) == std::string::npos)
      return AssertionFailure() << "'" << word << "' is not in: " << message;
  return AssertionSuccess();
}

using Texts = std::vector<std::string>;

// --- what a file means

TEST(JsonNetwork, ReadsEveryOperator) {
  EXPECT_EQ(texts(parse(R"(
      {"name": "c", "op": "conv", "oc": 8, "kernel": [3, 5], "stride": [1, 2], "padding": [1, 2],
       "dilation": 1},
      {"name": "n", "op": "lrn", "size": 5},
      {"name": "m", "op": "max_pool", "kernel": 2},
      {"name": "a", "op": "avg_pool", "kernel": 3, "stride": 1, "padding": 1},
      {"name": "u", "op": "upsample", "factor": [2, 4], "mode": "bilinear"},
      {"name": "v", "op": "upsample", "factor": 2},
      {"name": "s", "op": "add", "inputs": ["v", "v"]},
      {"name": "k", "op": "concat", "inputs": ["s", "v", "s"]},
      {"name": "r", "op": "reshape", "shape": [-1, 64, 64]},
      {"name": "g", "op": "global_max_pool"},
      {"name": "f", "op": "fully_connected", "oc": 10},
      {"name": "p", "op": "softmax"})")),
            (Texts{"conv:n1_ic3_ih32_iw32_oc8_kh3_kw5_sh1_sw2_pt1_pb1_pl2_pr2",
                   "lrn:n1_c8_h32_w16_k5", "max_pool:n1_c8_ih32_iw16_kh2_kw2_s2_p0",
                   "avg_pool_include:n1_c8_ih16_iw8_kh3_kw3_s1_p1",
                   "upsample_bilinear:n1_c8_h16_w8_sh2_sw4", "upsample_nearest:n1_c8_h32_w32_s2",
                   "add:n1_c8_h64_w64", "concat:n1_c8+8+8_h64_w64",
                   "max_pool:n1_c24_ih64_iw64_kh64_kw64_s1_p0", "fully_connected:n1_ic24_oc10",
                   "softmax:n1_c10_h1_w1"}));
}

TEST(JsonNetwork, ReadsEveryActivation) {
  const std::pair<std::string, std::string> kCases[] = {
      {R"("op": "relu")", "relu"},
      {R"("op": "relu6")", "clip(0,6)"},
      {R"("op": "clip", "min": -1, "max": 2.5)", "clip(-1,2.5)"},
      {R"("op": "leaky_relu")", "leaky_relu(0.01)"},
      {R"("op": "leaky_relu", "alpha": 0.1)", "leaky_relu(0.1)"},
      {R"("op": "elu")", "elu(1)"},
      {R"("op": "sigmoid")", "sigmoid"},
      {R"("op": "tanh")", "tanh"},
      {R"("op": "swish")", "swish"},
      {R"("op": "hard_sigmoid")", "hard_sigmoid"},
      {R"("op": "hard_swish")", "hard_swish"},
      {R"("op": "gelu")", "gelu"}};
  for (const auto& [op, text] : kCases)
    EXPECT_EQ(text_of(R"({"name": "a", )" + op + "}"), "activation:n1_c3_h32_w32:" + text);
}

TEST(JsonNetwork, PadsAsAsked) {
  const auto conv = [](const std::string& attributes) {
    return text_of(R"({"name": "c", "op": "conv", "oc": 4, )" + attributes + "}");
  };
  const std::string start = "conv:n1_ic3_ih32_iw32_oc4_";
  EXPECT_EQ(conv(R"("kernel": 3, "padding": [0, 1, 2, 3])"), start + "kh3_kw3_s1_pt0_pb1_pl2_pr3");
  EXPECT_EQ(conv(R"("kernel": 3, "padding": "valid")"), start + "kh3_kw3_s1_p0");
  EXPECT_EQ(conv(R"("kernel": 3, "padding": "same")"), start + "kh3_kw3_s1_p1");
  // TensorFlow: (ceil(32 / 2) - 1) * 2 + 3 - 32 = 1, and the odd row goes to the bottom.
  EXPECT_EQ(conv(R"("kernel": 3, "stride": 2, "padding": "same")"),
            start + "kh3_kw3_s2_pt0_pb1_pl0_pr1");
  EXPECT_EQ(conv(R"("kernel": 2, "padding": "same")"), start + "kh2_kw2_s1_pt0_pb1_pl0_pr1");
  EXPECT_EQ(conv(R"("kernel": 3, "dilation": 2, "padding": "same")"), start + "kh3_kw3_s1_p2_d2");
  EXPECT_EQ(conv(R"("kernel": 1, "stride": 3, "padding": "same")"), start + "kh1_kw1_s3_p0");
}

/// Output height of a pooling of `in` rows, as PyTorch's pooling_output_shape has it.
struct CeilCase {
  int in, kernel, stride, padding, out;
};

TEST(JsonNetwork, CeilModeFollowsPyTorch) {
  for (const CeilCase& c :
       {CeilCase{112, 3, 2, 0, 56}, CeilCase{111, 3, 2, 0, 55},
        // The last window would begin behind the image: dropped.
        CeilCase{3, 1, 2, 0, 2}, CeilCase{4, 2, 2, 1, 3}, CeilCase{5, 2, 2, 1, 3},
        CeilCase{14, 3, 1, 1, 14}, CeilCase{6, 2, 5, 0, 2}, CeilCase{5, 2, 5, 0, 1},
        CeilCase{7, 3, 3, 1, 3}, CeilCase{10, 4, 3, 2, 4}}) {
    const auto size = [](int value) { return std::to_string(value); };
    const auto network =
        parse(R"({"name": "p", "op": "max_pool", "ceil_mode": true, "kernel": )" + size(c.kernel) +
                  R"(, "stride": )" + size(c.stride) + R"(, "padding": )" + size(c.padding) + "}",
              R"("input": {"shape": [1, 1, )" + size(c.in) + "," + size(c.in) + "]}");
    ASSERT_TRUE(network) << network.error().message;
    EXPECT_EQ(network->operators[0].workload.output().h(), c.out) << c.in << " " << c.kernel;
    EXPECT_EQ(network->tensors[1].shape.w(), c.out);
  }
}

TEST(JsonNetwork, AveragePoolingKeepsItsDivisorWherePossible) {
  const auto pool = [](const std::string& attributes) {
    const auto network =
        parse(R"({"name": "p", "op": "avg_pool", "kernel": 3, "stride": 2, )" + attributes + "}");
    return network ? texts(network)[0].substr(0, 16) +
                         " warnings: " + std::to_string(network->warnings.size())
                   : network.error().message;
  };
  EXPECT_EQ(pool(R"("padding": 1)"), "avg_pool_include warnings: 0");
  EXPECT_EQ(pool(R"("padding": 1, "count_include_pad": false)"), "avg_pool_exclude warnings: 0");
  // Nothing is padded, so both divisors are the same and one workload stands for both.
  EXPECT_EQ(pool(R"("count_include_pad": false)"), "avg_pool_include warnings: 0");
  // A partial window that is not counted although padding is.
  EXPECT_EQ(pool(R"("ceil_mode": true)"), "avg_pool_exclude warnings: 0");
  const auto padded = texts(parse(R"({"name": "p", "op": "avg_pool", "kernel": 3, "stride": 2,
                                      "ceil_mode": true, "padding": [0, 0, 1, 0]})"));
  ASSERT_EQ(padded.size(), 2U);
  EXPECT_TRUE(padded[0].starts_with("pad:"));
  EXPECT_TRUE(padded[1].starts_with("avg_pool_exclude:"));
}

TEST(JsonNetwork, FlattensBeforeAFullyConnectedLayerOnlyWhereThereIsSomethingToFlatten) {
  EXPECT_EQ(texts(parse(R"({"name": "fc", "op": "fully_connected", "oc": 10})")),
            (Texts{"reshape fc/flatten", "fully_connected:n1_ic3072_oc10"}));
  EXPECT_EQ(
      texts(parse(R"({"name": "g", "op": "global_avg_pool"}, {"name": "f", "op": "flatten"},
                           {"name": "fc", "op": "fully_connected", "oc": 10})")),
      (Texts{"avg_pool_include:n1_c3_ih32_iw32_kh32_kw32_s1_p0", "fully_connected:n1_ic3_oc10"}));
}

TEST(JsonNetwork, DropsWhatComputesNothing) {
  const auto network = parse(R"(
      {"name": "c", "op": "conv", "oc": 4, "kernel": 1}, {"name": "bn", "op": "batch_norm"},
      {"name": "d", "op": "dropout"}, {"name": "i", "op": "identity"}, {"name": "r", "op": "relu"},
      {"name": "same", "op": "reshape", "shape": [4, 32, 32]})");
  EXPECT_EQ(texts(network),
            (Texts{"conv:n1_ic3_ih32_iw32_oc4_kh1_kw1_s1_p0", "activation:n1_c4_h32_w32:relu"}));
  ASSERT_EQ(network->tensors.size(), 3U);
  EXPECT_EQ(network->tensors[1].name, "bn");  // the tensor is what it is after normalisation
  EXPECT_EQ(network->operators[1].inputs, network->operators[0].outputs);
  EXPECT_EQ(network->outputs, network->operators[1].outputs);
  EXPECT_TRUE(network->warnings.empty());
}

TEST(JsonNetwork, OrdersOperatorsByWhatTheyRead) {
  const auto network = parse(R"(
      {"name": "sum", "op": "add", "inputs": ["b", "a"]},
      {"name": "b", "op": "relu", "inputs": ["a"]},
      {"name": "a", "op": "conv", "inputs": ["input"], "oc": 4, "kernel": 1})",
                             kInput, R"(, "outputs": ["sum"])");
  ASSERT_TRUE(network) << network.error().message;
  std::vector<std::string> names;
  for (const Operator& op : network->operators) names.push_back(op.name);
  EXPECT_EQ(names, (std::vector<std::string>{"a", "b", "sum"}));
}

TEST(JsonNetwork, TakesSeveralInputsAndOutputs) {
  const auto network = parse(
      R"({"name": "a", "op": "relu", "inputs": ["x"]}, {"name": "b", "op": "relu", "inputs": ["y"]},
         {"name": "c", "op": "add", "inputs": ["a", "b"]})",
      R"("inputs": [{"name": "x", "shape": [1, 2, 3, 4]}, {"name": "y", "shape": [1, 2, 3, 4]}])",
      R"(, "outputs": ["c", "a"])");
  ASSERT_TRUE(network) << network.error().message;
  ASSERT_EQ(network->inputs.size(), 2U);
  EXPECT_EQ(network->tensors[network->inputs[1]].name, "y");
  ASSERT_EQ(network->outputs.size(), 2U);
  EXPECT_EQ(network->tensors[network->outputs[1]].name, "a");
}

TEST(JsonNetwork, DataTypesGoFromInputsToAllThatFollows) {
  const std::string input = R"("input": {"shape": [1, 3, 32, 32], "type": "bf16"})";
  const auto network = parse(R"({"name": "c", "op": "conv", "oc": 4, "kernel": 3},
                                {"name": "r", "op": "relu"})",
                             input);
  ASSERT_TRUE(network) << network.error().message;
  for (const Tensor& tensor : network->tensors) EXPECT_EQ(tensor.type, DataType::bf16);
  EXPECT_EQ(texts(network)[0], "conv:n1_ic3_ih32_iw32_oc4_kh3_kw3_s1_p0_bf16");
  EXPECT_NE(network->hash(), parse(R"({"name": "c", "op": "conv", "oc": 4, "kernel": 3},
                                      {"name": "r", "op": "relu"})")
                                 ->hash());
  const auto again = parse_network(to_json(*network), "again");
  ASSERT_TRUE(again) << again.error().message;
  EXPECT_EQ(again->hash(), network->hash());

  EXPECT_TRUE(refused(parse(R"({"name": "r", "op": "relu"})",
                            R"("input": {"shape": [1, 3, 32, 32], "type": "float"})"),
                      {"'float'", "data type"}));
  EXPECT_TRUE(refused(parse(R"({"name": "sum", "op": "add", "inputs": ["a", "b"]})",
                            R"("inputs": [{"name": "a", "shape": [1, 3, 4, 4], "type": "s8"},
                                          {"name": "b", "shape": [1, 3, 4, 4]}])"),
                      {"'sum'", "s8 and f32"}));
}

TEST(JsonNetwork, OverridesTheBatch) {
  const std::string file = file_with(R"({"name": "f", "op": "reshape", "shape": [3072, 1, 1]})");
  const auto network = parse_network(file, "net.json", 5);
  ASSERT_TRUE(network) << network.error().message;
  EXPECT_EQ(network->tensors[network->outputs[0]].shape, (TensorShape{5, 3072, 1, 1}));
}

TEST(JsonNetwork, KeepsUnknownOperatorsWithAWarning) {
  const auto network = parse(R"({"name": "x", "op": "fancy", "inputs": ["input"], "depth": [[{}]]},
                                {"name": "y", "op": "fancy", "shape": [4, -1, 32]})");
  EXPECT_EQ(texts(network), (Texts{"opaque x", "opaque y"}));
  EXPECT_EQ(network->tensors[1].shape, (TensorShape{1, 3, 32, 32}));
  EXPECT_EQ(network->tensors[2].shape, (TensorShape{1, 4, 24, 32}));
  ASSERT_EQ(network->warnings.size(), 2U);
  EXPECT_NE(network->warnings[0].find("'fancy'"), std::string::npos);
}

TEST(JsonNetwork, UnknownOperatorsOfTensorsThatAreNoImagesSurviveWriting) {
  const auto network =
      parse(R"({"name": "v", "op": "view", "sizes": [12, 16, 16], "inputs": ["input"]},
                                {"name": "x", "op": "fancy", "inputs": ["v"]})");
  ASSERT_TRUE(network) << network.error().message;
  EXPECT_EQ(network->tensors[network->outputs[0]].shape, (TensorShape{1, 12, 16, 16}));
  const auto again = parse_network(to_json(*network), "net.json");
  ASSERT_TRUE(again) << again.error().message;
  EXPECT_EQ(again->hash(), network->hash());
  EXPECT_TRUE(
      refused(parse(R"({"name": "v", "op": "view", "sizes": [3, 2, 16, 2, 16], "inputs": ["input"]},
                               {"name": "x", "op": "fancy", "inputs": ["v"]})"),
              {"'x'", "5 sizes"}));
  EXPECT_EQ(texts(parse(R"({"name": "v", "op": "view", "sizes": [3072], "inputs": ["input"]},
                           {"name": "x", "op": "fancy", "inputs": ["v"]})"))
                .size(),
            2U);
}

TEST(JsonNetwork, SuspectsMisspeltOperators) {
  const auto network = parse(R"({"name": "p", "op": "maxpool", "kernel": 2})");
  ASSERT_TRUE(network) << network.error().message;
  ASSERT_EQ(network->warnings.size(), 2U);
  EXPECT_NE(network->warnings[0].find("'max_pool'"), std::string::npos);
}

TEST(JsonNetwork, LeavesOutWhatReachesNoOutput) {
  const auto network = parse(R"({"name": "a", "op": "relu"},
      {"name": "lost", "op": "tanh"}, {"name": "lost too", "op": "tanh"},
      {"name": "b", "op": "sigmoid", "inputs": ["a"]})");
  EXPECT_EQ(texts(network),
            (Texts{"activation:n1_c3_h32_w32:relu", "activation:n1_c3_h32_w32:sigmoid"}));
  ASSERT_EQ(network->warnings.size(), 1U);
  EXPECT_NE(network->warnings[0].find("2 operators reach no output"), std::string::npos);
  EXPECT_NE(network->warnings[0].find("'lost', 'lost too'"), std::string::npos);
}

// --- what is refused

struct Refusal {
  const char* operators;
  std::vector<std::string> words;
};

TEST(JsonNetwork, RefusesInconsistentOperatorsByName) {
  const Refusal kRefusals[] = {
      {R"({"name": "a", "op": "relu", "inputs": ["b"]}, {"name": "b", "op": "relu"})",
       {"'a'", "depends on itself", "'b'"}},
      {R"({"name": "a", "op": "relu", "inputs": ["a"]})", {"'a' depends on itself"}},
      {R"({"name": "conv1", "op": "relu"}, {"name": "b", "op": "relu", "inputs": ["conv"]})",
       {"operator 'b'", "no input or operator called 'conv'", "did you mean 'conv1'"}},
      {R"({"name": "a", "op": "relu"}, {"name": "a", "op": "relu"})", {"operator 'a'", "already"}},
      {R"({"name": "input", "op": "relu"})", {"operator 'input'", "already"}},
      {R"({"name": "c", "op": "conv", "oc": 0, "kernel": 1})", {"operator 'c'", "'oc'"}},
      {R"({"name": "c", "op": "conv", "oc": -4, "kernel": 1})", {"operator 'c'", "'oc'"}},
      {R"({"name": "c", "op": "conv", "oc": 4.0, "kernel": 1})", {"operator 'c'", "'oc'"}},
      {R"({"name": "c", "op": "conv", "oc": "4", "kernel": 1})", {"operator 'c'", "'oc'"}},
      {R"({"name": "c", "op": "conv", "oc": 99999999999999999999, "kernel": 1})", {"'oc'"}},
      {R"({"name": "c", "op": "conv", "oc": 4})", {"operator 'c' has no 'kernel'"}},
      {R"({"name": "c", "op": "conv", "oc": 4, "kernel": [3]})", {"operator 'c'", "'kernel'"}},
      {R"({"name": "c", "op": "conv", "oc": 4, "kernel": [3, 3, 3]})", {"'kernel'"}},
      {R"({"name": "c", "op": "conv", "oc": 4, "kernel": 3, "stride": 0})", {"'stride'"}},
      {R"({"name": "c", "op": "conv", "oc": 4, "kernel": 3, "padding": -1})", {"'padding'"}},
      {R"({"name": "c", "op": "conv", "oc": 4, "kernel": 3, "padding": [1, 2, 3]})", {"'padding'"}},
      {R"({"name": "c", "op": "conv", "oc": 4, "kernel": 3, "padding": "full"})", {"'padding'"}},
      {R"({"name": "c", "op": "conv", "oc": 4, "kernel": 3, "strides": 1})",
       {"operator 'c'", "unknown attribute 'strides'", "did you mean 'stride'"}},
      {R"({"name": "c", "op": "conv", "oc": 4, "kernel": 3, "padding": 1}, {"name": "p", "op": "max_poll"},
          {"name": "r", "op": "relu"}, {"name": "d", "op": "conv", "inputs": ["c"], "oc": 4,
           "kernel": 2, "stride": 2}, {"name": "a", "op": "add", "inputs": ["r", "d"]})",
       {"operator 'a'", "'p' is of the unknown type 'max_poll'", "meant to be 'max_pool'",
        "its input's shape"}},
      {R"({"name": "c", "op": "conv", "oc": 4, "kernel": 33})",
       {"operator 'c'", "33x33", "larger than the padded image of 32x32"}},
      {R"({"name": "c", "op": "conv", "oc": 4, "kernel": 3, "dilation": 16})", {"'c'", "33x33"}},
      {R"({"name": "c", "op": "conv", "oc": 4, "kernel": 1, "groups": 3})",
       {"operator 'c'", "3 groups do not divide"}},
      {R"({"name": "c", "op": "conv", "oc": 4, "kernel": 1, "groups": 2})",
       {"operator 'c'", "2 groups do not divide"}},
      {R"({"name": "c", "op": "conv", "oc": 4000000, "kernel": 32})", {"'c'", "2^31"}},
      {R"({"name": "c", "op": "conv", "oc": 4000000, "kernel": 1})", {"'c'", "2^31"}},
      {R"({"name": "c", "op": "conv", "oc": 1, "kernel": 1, "padding": 2000000000})", {"2^24"}},
      {R"({"name": "c", "op": "conv", "oc": 1, "kernel": 2147483647,
          "dilation": 2147483647, "padding": "same"})",
       {"'c'", "2^24"}},
      {R"({"name": "p", "op": "max_pool", "kernel": 2, "padding": 2})", {"'p'", "entirely"}},
      {R"({"name": "p", "op": "max_pool", "kernel": 2, "padding": [0, 9, 0, 0]})", {"entirely"}},
      {R"({"name": "p", "op": "max_pool", "kernel": 2, "ceil_mode": 1})", {"'p'", "true or false"}},
      {R"({"name": "u", "op": "upsample", "factor": 16777216})", {"operator 'u'", "2^31"}},
      {R"({"name": "u", "op": "upsample", "factor": 2, "mode": "cubic"})",
       {"operator 'u'", "'nearest' or 'bilinear'"}},
      {R"({"name": "a", "op": "relu"}, {"name": "s", "op": "add"})", {"'s'", "2 inputs, not 1"}},
      {R"({"name": "s", "op": "concat", "inputs": ["input"]})", {"'s'", "at least 2 inputs"}},
      {R"({"name": "a", "op": "relu", "inputs": ["input", "input"]})", {"'a'", "1 input, not 2"}},
      {R"({"name": "a", "op": "relu", "inputs": []})", {"'a'", "'inputs'"}},
      {R"({"name": "a", "op": "relu", "inputs": "input"})", {"'a'", "'inputs'"}},
      {R"({"name": "a", "op": "relu", "inputs": [1]})", {"'a'", "'inputs'"}},
      {R"({"name": "c", "op": "conv", "oc": 3, "kernel": 3},
          {"name": "s", "op": "add", "inputs": ["c", "input"]})",
       {"operator 's'", "1x3x30x30", "1x3x32x32", "equal"}},
      {R"({"name": "c", "op": "conv", "oc": 3, "kernel": 3},
          {"name": "k", "op": "concat", "inputs": ["c", "input"]})",
       {"operator 'k'", "channels only"}},
      {R"({"name": "r", "op": "reshape", "shape": [3, 1000, 1]})", {"operator 'r'", "3072"}},
      {R"({"name": "r", "op": "reshape", "shape": [-1, 1000, 1]})", {"operator 'r'", "3072"}},
      {R"({"name": "r", "op": "reshape", "shape": [-1, -1, 1]})", {"operator 'r'", "'shape'"}},
      {R"({"name": "r", "op": "reshape", "shape": [0, 1, 1]})", {"operator 'r'", "'shape'"}},
      {R"({"name": "r", "op": "reshape", "shape": [2147483647, 2147483647, 2147483647]})",
       {"operator 'r'", "2^31"}},
      {R"({"name": "x", "op": "fancy", "shape": [2147483647, 1, 1]})", {"operator 'x'", "2^24"}},
      {R"({"name": "a", "op": "clip", "min": 2, "max": 1})", {"'a'", "'min' is larger"}},
      {R"({"name": "a", "op": "clip", "min": 0, "max": 1e300})", {"'a'", "'max'"}},
      {R"({"name": "n", "op": "batch_norm"})", {"operator 'n'", "folded"}},
      {R"({"name": "c", "op": "conv", "oc": 3, "kernel": 1}, {"name": "n", "op": "batch_norm"},
          {"name": "s", "op": "add", "inputs": ["c", "n"]})",
       {"operator 'n'", "nothing else uses"}},
      {R"({"name": "i", "op": "identity"})", {"'input'", "is an input"}},
      {R"({"op": "relu"})", {"operators[0] has no 'name'"}},
      {R"({"name": "", "op": "relu"})", {"operators[0]", "'name'"}},
      {R"({"name": "a"})", {"operator 'a' has no 'op'"}},
      {R"({"name": "a", "op": 3})", {"operator 'a'", "'op'"}},
      {R"(7)", {"operators[0] must be an object"}},
      {"", {"'operators'"}},
      {R"({"name": "fc", "op": "fully_connected", "oc": 1, "inputs": ["fc/flatten"]},
          {"name": "fc/flatten", "op": "relu", "inputs": ["input"]})",
       {"'fc/flatten'", "twice"}},
  };
  for (const Refusal& refusal : kRefusals) {
    std::vector<std::string> words = refusal.words;
    words.insert(words.begin(), "net.json: ");
    EXPECT_TRUE(refused(parse(refusal.operators), words)) << refusal.operators;
  }
}

TEST(JsonNetwork, RefusesBadFrames) {
  const std::string op = R"({"name": "a", "op": "relu"})";
  EXPECT_TRUE(refused(parse_network("[]", "net.json"), {"net.json", "object"}));
  EXPECT_TRUE(refused(parse_network("{}", "net.json"), {"'schema'", "convopt.network/1"}));
  EXPECT_TRUE(refused(parse_network(R"({"schema": "convopt.plan/1"})", "net.json"), {"'schema'"}));
  EXPECT_TRUE(refused(parse(op, R"("input": {"shape": [1, 3, 32, 0]})"), {"'input'", "'shape'"}));
  EXPECT_TRUE(refused(parse(op, R"("input": {"shape": [1, 3, -1, 32]})"), {"'input'", "'shape'"}));
  EXPECT_TRUE(refused(parse(op, R"("input": {"shape": [1, 3, 0, 32]})"), {"'input'", "'shape'"}));
  EXPECT_TRUE(refused(parse(op, R"("input": {})"), {"'input' has no 'shape'"}));
  EXPECT_TRUE(refused(parse(op, R"("input": [1, 3, 32, 32])"), {"'input' must be an object"}));
  EXPECT_TRUE(
      refused(parse(op, R"("input": {"shape": [60000, 60000, 1, 1]})"), {"input 'input'", "2^31"}));
  EXPECT_TRUE(refused(parse(op, R"("inputs": [])"), {"'inputs'"}));
  EXPECT_TRUE(refused(parse(op, R"("outputs": ["a"])"), {"either 'input' or 'inputs'"}));
  EXPECT_TRUE(refused(parse(op, R"("inputs": [{"shape": [1, 1, 1, 1]}, {"shape": [1, 1, 1, 1]}])"),
                      {"'input'"}));
  EXPECT_TRUE(refused(parse(op, R"("inputs": [{"name": "x", "shape": [1, 1, 1, 1]},
                                              {"name": "y", "shape": [1, 1, 1, 1]}])"),
                      {"operator 'a'", "which of the inputs"}));
  EXPECT_TRUE(refused(parse(op, kInput, R"(, "outputs": ["b"])"), {"'outputs'", "'b'"}));
  EXPECT_TRUE(refused(parse(op, kInput, R"(, "outputs": [])"), {"'outputs'"}));
  EXPECT_TRUE(refused(parse(op, kInput, R"(, "outputs": ["a", "a"])"), {"'a'", "second name"}));
  EXPECT_TRUE(refused(parse(op, kInput, R"(, "output": ["a"])"), {"'output'", "'outputs'"}));
}

TEST(JsonNetwork, RefusesWhatIsNoJson) {
  const std::string good = file_with(R"({"name": "a", "op": "relu"})");
  for (std::size_t length = 0; length < good.size(); ++length)
    EXPECT_TRUE(refused(parse_network(good.substr(0, length), "net.json"), {"net.json"})) << length;
  EXPECT_TRUE(refused(parse(R"({"name": ")"
                            "\xff\xfe"
                            R"(", "op": "relu"})"),
                      {"net.json"}));
  std::string deep(100'000, '[');
  EXPECT_TRUE(refused(parse(R"({"name": "a", "op": "x", "y": )" + deep + "}"), {"net.json"}));
  EXPECT_TRUE(refused(parse_network(deep, "net.json"), {"net.json"}));
}

TEST(JsonNetwork, QuotesHostileNamesSafely) {
  const auto network = parse(R"({"name": ")" + std::string(5000, 'x') +
                             R"(\u001b[31m", "op": "conv"}, {"name": "\n", "op": "conv"})");
  ASSERT_TRUE(refused(network, {"xxx...'"}));
  EXPECT_LT(network.error().message.size(), 200U);
  EXPECT_TRUE(refused(parse(R"({"name": "a\u001b[31m\n", "op": "conv"})"), {"'a?[31m?'"}));
}

// --- files

std::filesystem::path data(const std::string& name) {
  return std::filesystem::path(CONVOPT_SOURCE_DIR) / "tests/network/data" / name;
}

TEST(NetworkFiles, BadOnesAreRefusedByNameAndCause) {
  EXPECT_TRUE(refused(load_network(data("truncated.json")), {"truncated.json"}));
  EXPECT_TRUE(
      refused(load_network(data("cycle.json")), {"cycle.json", "'sum' reads 'conv2' reads 'sum'"}));
  EXPECT_TRUE(refused(load_network(data("unknown_input.json")), {"'relu1'", "'conv2'"}));
  EXPECT_TRUE(refused(load_network(data("negative_size.json")), {"'conv1'", "'oc'"}));
  EXPECT_TRUE(refused(load_network(data("mismatched_add.json")), {"'sum'", "equal"}));
  EXPECT_FALSE(load_network(data("no such file.json")));
  EXPECT_FALSE(load_network(data("")));
  const auto opaque = load_network(data("opaque.json"));
  ASSERT_TRUE(opaque) << opaque.error().message;
  EXPECT_EQ(opaque->warnings.size(), 1U);
}

// --- tensors that are no images

TEST(JsonNetwork, TypesAndRanksSurviveWritingAndReading) {
  const auto network = parse(
      R"({"name": "real", "op": "workload", "workload": "convert:d2x3x4_u8_f32"},
         {"name": "rows", "op": "workload", "workload": "reduce_sum:d2x3x4_axes02"},
         {"name": "row", "op": "view", "sizes": [3]},
         {"name": "c", "op": "constant", "sizes": [3]},
         {"name": "least", "op": "workload", "workload": "minimum:d3", "inputs": ["row", "c"]},
         {"name": "whole", "op": "workload", "workload": "convert:d3_f32_s64"})",
      R"("input": {"shape": [2, 3, 4], "type": "u8"})");
  ASSERT_TRUE(network) << network.error().message;
  ASSERT_EQ(network->outputs.size(), 1U);
  const Tensor& output = network->tensors[network->outputs[0]];
  EXPECT_EQ(output.shape, TensorShape({3}));
  EXPECT_EQ(output.type, DataType::s64);
  EXPECT_EQ(std::ranges::count(network->operators, OperatorKind::constant, &Operator::kind), 1);
  const auto again = parse_network(to_json(*network), "again.json");
  ASSERT_TRUE(again) << again.error().message;
  EXPECT_EQ(again->hash(), network->hash());
}

TEST(JsonNetwork, OperatorsOfImagesRefuseOtherTensors) {
  EXPECT_EQ(texts(parse(R"({"name": "p", "op": "global_avg_pool"})",
                        R"("input": {"shape": [3, 8, 8]})"))[0],
            "net.json: operator 'p': its input of the shape 3x8x8 is no image of four dimensions");
  EXPECT_EQ(texts(parse(R"({"name": "m", "op": "workload", "workload": "minimum:d4"})",
                        R"("input": {"shape": [4]})"))[0],
            "net.json: operator 'm': its inputs do not fit minimum:d4");
}

// --- hash

TEST(NetworkHash, ChangesWithTheGraphOnly) {
  const std::string ops = R"({"name": "n", "op": "lrn", "size": 5}, {"name": "a", "op": "relu"})";
  const auto hash = [](const Result<Network>& network) {
    return network ? network->hash() : network.error().message;
  };
  const std::string base = hash(parse(ops));
  EXPECT_EQ(base.size(), 16U);
  EXPECT_EQ(base.find_first_not_of("0123456789abcdef"), std::string::npos);
  // The same graph under another file name, from another place, with an explicit default.
  EXPECT_EQ(hash(parse_network(file_with(ops), "other.json")), base);
  EXPECT_EQ(hash(parse(ops, kInput, R"(, "source": "somewhere", "outputs": ["a"])")), base);
  EXPECT_EQ(hash(parse(R"({"name": "n", "op": "lrn", "size": 5, "k": 1},
                          {"name": "d", "op": "dropout"}, {"name": "a", "op": "relu"})")),
            base);
  // Another one.
  EXPECT_NE(hash(parse(ops, R"("input": {"shape": [1, 3, 32, 31]})")), base);
  EXPECT_NE(hash(parse_network(file_with(ops), "net.json", 2)), base);
  EXPECT_NE(hash(parse(ops, kInput, R"(, "outputs": ["a", "n"])")), base);
  EXPECT_NE(hash(parse(R"({"name": "n", "op": "lrn", "size": 5, "k": 2},
                          {"name": "a", "op": "relu"})")),
            base);
  EXPECT_NE(hash(parse(R"({"name": "n", "op": "lrn", "size": 5}, {"name": "a", "op": "tanh"})")),
            base);
  EXPECT_NE(hash(parse(R"({"name": "n", "op": "lrn", "size": 5}, {"name": "b", "op": "relu"})")),
            base);
}

TEST(NetworkHash, IsTheSameOnEveryMachine) {
  const auto network = parse(R"({"name": "a", "op": "relu"})");
  ASSERT_TRUE(network) << network.error().message;
  // FNV-1a of "convopt.network/1,1,3,32,32,1,3,32,32<0,>1,\n"
  //           "1:a activation:n1_c3_h32_w32:relu<0,>1,", computed elsewhere.
  EXPECT_EQ(network->hash(), "3344eb0b123a4339");
}

}  // namespace
}  // namespace convopt
