// What only a reader of another format would ask of the builder; the rest is tested through JSON.
#include "src/network/graph_builder.h"

#include <gtest/gtest.h>

#include <array>

namespace convopt {
namespace {

class GraphBuilderTest : public ::testing::Test {
 protected:
  GraphBuilder graph{"test", ""};
  TensorId input = *graph.add_input("x", {1, 4, 32, 32});

  static ConvAttributes conv(int oc, int kernel) {
    ConvAttributes attributes;
    attributes.oc = oc;
    attributes.kernel = {kernel, kernel};
    return attributes;
  }
  static std::string message(const Result<TensorId>& result) {
    return result ? "accepted" : result.error().message;
  }
};

TEST_F(GraphBuilderTest, PadsSameLowerAtTheTopAndLeft) {
  ConvAttributes attributes = conv(8, 3);
  attributes.stride = {2, 2};
  attributes.padding.mode = Padding::Mode::same_lower;
  const auto output = graph.add_conv({"c", "Conv"}, input, attributes);
  ASSERT_TRUE(output) << output.error().message;
  const auto network = std::move(graph).build(std::array{*output});
  ASSERT_TRUE(network) << network.error().message;
  EXPECT_EQ(network->operators[0].workload.shape.text(),
            "n1_ic4_ih32_iw32_oc8_kh3_kw3_s2_pt1_pb0_pl1_pr0");
  EXPECT_EQ(network->operators[0].type, "Conv");
}

TEST_F(GraphBuilderTest, RefusesAttributesThatNoJsonFileCanHave) {
  ConvAttributes attributes = conv(8, 0);
  EXPECT_NE(message(graph.add_conv({"c0", "Conv"}, input, attributes)).find("'c0'"),
            std::string::npos);
  attributes = conv(8, 3);
  attributes.padding.top = -1;
  EXPECT_NE(message(graph.add_conv({"c1", "Conv"}, input, attributes)).find("negative"),
            std::string::npos);
  attributes = conv(8, 3);
  attributes.groups = 0;
  EXPECT_NE(message(graph.add_conv({"c2", "Conv"}, input, attributes)).find("group"),
            std::string::npos);
  EXPECT_NE(message(graph.add_conv({"c3", "Conv"}, input, conv(0, 3))).find("output channel"),
            std::string::npos);
  EXPECT_NE(
      message(graph.add_upsample({"u", "Resize"}, Op::upsample_nearest, input, {0, 1})).find("'u'"),
      std::string::npos);
  EXPECT_NE(message(graph.add_reshape({"r", "Reshape"}, input, {-1, -4, 32, 32})).find("'r'"),
            std::string::npos);
}

TEST_F(GraphBuilderTest, NeedsAnInputAndAnOutput) {
  EXPECT_FALSE(GraphBuilder("empty", "").build({}));
  EXPECT_FALSE(std::move(graph).build({}));
}

TEST_F(GraphBuilderTest, NumbersTensorsWithoutGaps) {
  const TensorId a = *graph.add_softmax({"a", "Softmax"}, input);
  ASSERT_TRUE(graph.add_softmax({"dead", "Softmax"}, input));
  const TensorId b = *graph.add_softmax({"b", "Softmax"}, a);
  const auto network = std::move(graph).build(std::array{b});
  ASSERT_TRUE(network) << network.error().message;
  ASSERT_EQ(network->tensors.size(), 3U);
  EXPECT_EQ(network->tensors[2].name, "b");
  EXPECT_EQ(network->outputs, (std::vector<TensorId>{2}));
  EXPECT_EQ(network->operators[1].inputs, (std::vector<TensorId>{1}));
}

}  // namespace
}  // namespace convopt
