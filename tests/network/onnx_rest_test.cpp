// Models whose shapes depend on numbers: the network, and what follows it step by step.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <numeric>

#include "tests/network/onnx_arrays.h"

namespace convopt::testing {
namespace {

using Shape = std::vector<std::int64_t>;

std::vector<convopt::Array> computed(const OnnxModel& model, const Tensors& inputs) {
  auto outputs = compute_with_rest(model, inputs);
  EXPECT_TRUE(outputs.ok()) << (outputs.ok() ? "" : outputs.error().message);
  return outputs.ok() ? *std::move(outputs) : std::vector<convopt::Array>(8);
}

/// Rows of image, class and box, by the definition.
std::vector<std::array<std::int64_t, 3>> kept_boxes(const Array& boxes, const Array& scores,
                                                    std::size_t most, double share, double least) {
  std::vector<std::array<std::int64_t, 3>> kept;
  const auto side = [&](std::int64_t n, std::int64_t i, int axis, bool upper) {
    const double a = boxes({n, i, axis}), b = boxes({n, i, axis + 2});
    return upper ? std::max(a, b) : std::min(a, b);
  };
  const auto common = [&](std::int64_t n, std::int64_t i, std::int64_t j) {
    double area = 1;
    for (const int axis : {0, 1})
      area *= std::max(0.0, std::min(side(n, i, axis, true), side(n, j, axis, true)) -
                                std::max(side(n, i, axis, false), side(n, j, axis, false)));
    return area;
  };
  for (std::int64_t n = 0; n < scores.dims[0]; ++n)
    for (std::int64_t c = 0; c < scores.dims[1]; ++c) {
      std::vector<std::int64_t> left, chosen;
      for (std::int64_t i = 0; i < scores.dims[2]; ++i)
        if (scores({n, c, i}) > least) left.push_back(i);
      while (!left.empty() && chosen.size() < most) {
        const auto best = *std::ranges::max_element(left, {}, [&](std::int64_t i) {
          return std::pair(scores({n, c, i}), -i);
        });
        chosen.push_back(best);
        kept.push_back({n, c, best});
        std::erase_if(left, [&](std::int64_t i) {
          const double both = common(n, best, i);
          return i == best || both / (common(n, i, i) + common(n, best, best) - both) > share;
        });
      }
    }
  return kept;
}

TEST(OnnxRest, SequencesAreMadeAnewInEveryStep) {
  // Which element it is, the network computes.
  OnnxModel model(13);
  model.input("x", {3, 2}).integers("axis", {0}).integers("shape", {0});
  model.node("SplitToSequence", {"x"}, {"rows"}, {{"keepdims", 0}})
      .node("ReduceSum", {"x"}, {"sums"}, {{"keepdims", 0}})
      .floats("least", {}, {0})
      .node("Greater", {"sums", "least"}, {"positive"})
      .node("Cast", {"positive"}, {"place"}, {{"to", std::int64_t{7}}})
      .node("SequenceAt", {"rows", "place"}, {"y"});
  for (const float sign : {1.0F, -1.0F}) {
    const auto outputs =
        computed(model.output("y"), {{sign, sign, 3 * sign, 4 * sign, 5 * sign, 6 * sign}});
    EXPECT_EQ(floats_of(outputs[0]), sign > 0 ? Floats({3, 4}) : Floats({-1, -1}));
    model.proto().mutable_graph()->clear_output();
  }
}

TEST(OnnxRest, BranchesThatAreCut) {
  // The elements that are not zero, or three times all of them: inside of the first branch, too,
  // shapes depend on numbers.
  OnnxModel model(13), found(13), all(13);
  found.integers("row", {-1})
      .node("NonZero", {"x"}, {"places"})
      .node("Reshape", {"places", "row"}, {"row of places"})
      .node("Gather", {"x", "row of places"}, {"y"});
  all.floats("row", {1}, {3}).node("Mul", {"x", "row"}, {"places"}).output("places");
  model.input("image", {2, 2})
      .integers("elements", {4})
      .node("Reshape", {"image", "elements"}, {"x"});
  model.floats("zero", {}, {0}).node("ReduceSum", {"x"}, {"sum"});
  model.node("Greater", {"sum", "zero"}, {"condition"}).node("If", {"condition"}, {"y"});
  for (OnnxModel* branch : {&found, &all}) {
    auto& attribute = *model.proto().mutable_graph()->mutable_node(3)->add_attribute();
    attribute.set_name(branch == &found ? "then_branch" : "else_branch");
    attribute.set_type(::onnx::AttributeProto::GRAPH);
    if (branch == &found) found.output("y");
    *attribute.mutable_g() = branch->proto().graph();
  }
  model.node("Add", {"y", "sum"}, {"z"}).output("z");
  EXPECT_EQ(floats_of(computed(model, {{1, 0, 2, 3}})[0]), Floats({7, 8, 9}));
  EXPECT_EQ(floats_of(computed(model, {{-1, 0, -2, 1}})[0]), Floats({-5, -2, -8, 1}));
}

TEST(OnnxRest, SizesOfWhatHasNoElementsMayBeMadeLater) {
  // No element of x is zero, so no row is repeated; how often, a later network says.
  OnnxModel model(13);
  model.input("image", {2, 2})
      .integers("elements", {4})
      .node("Reshape", {"image", "elements"}, {"x"})
      .floats("zero", {}, {0})
      .floats("three", {}, {3});
  model.node("Equal", {"x", "zero"}, {"none"})
      .node("NonZero", {"none"}, {"places"})
      .node("Transpose", {"places"}, {"rows"})
      .node("NonZero", {"x"}, {"others"})
      .node("Cast", {"others"}, {"numbers"}, {{"to", std::int64_t{1}}})
      .node("Softsign", {"numbers"}, {"soft"})
      .node("Mul", {"soft", "zero"}, {"nothing"})
      .node("ReduceMax", {"nothing"}, {"least"}, {{"keepdims", std::int64_t{0}}})
      .node("Add", {"least", "three"}, {"often"})
      .node("Cast", {"often"}, {"whole"}, {{"to", std::int64_t{7}}})
      .integers("row", {-1})
      .node("Reshape", {"whole", "row"}, {"shape"})
      .node("Expand", {"rows", "shape"}, {"y"});
  EXPECT_EQ(computed(model.output("y"), {{1, 2, 3, 4}})[0].shape, Shape({0, 3}));
}

TEST(OnnxRest, ResizingNoImages) {
  // Constants without elements say that a Resize has neither a region nor factors.
  OnnxModel model(13);
  model.input("image", {2, 2})
      .integers("elements", {4})
      .node("Reshape", {"image", "elements"}, {"x"})
      .floats("zero", {}, {0})
      .node("Constant", {}, {"none"}, {{"value", float_tensor("none", {0}, {})}});
  model.node("Equal", {"x", "zero"}, {"zeros"})
      .node("NonZero", {"zeros"}, {"places"})
      .node("Cast", {"places"}, {"numbers"}, {{"to", std::int64_t{1}}})
      .node("Transpose", {"numbers"}, {"column"})
      .integers("axes", {2, 3})
      .node("Unsqueeze", {"column", "axes"}, {"images"})
      .floats("factors", {4}, {1, 1, 2, 2})
      .node("Resize", {"images", "none", "factors"}, {"y"}, {{"mode", std::string("linear")}});
  EXPECT_EQ(computed(model.output("y"), {{1, 2, 3, 4}})[0].shape, Shape({0, 1, 2, 2}));
  EXPECT_EQ(computed(model, {{1, 0, 3, 0}})[0].shape, Shape({2, 1, 2, 2}));
}

TEST(OnnxRest, PlacesThatAreNotZero) {
  OnnxModel model(13);
  model.input("x", {2, 3}).node("NonZero", {"x"}, {"places"});
  auto& type = *model.output("places").proto().mutable_graph()->mutable_output(0);
  type.mutable_type()->mutable_tensor_type()->set_elem_type(::onnx::TensorProto::INT64);
  const auto some = computed(model, {{1, 0, 2, 0, 0, 3}})[0];
  EXPECT_EQ(some.type, DataType::s64);
  EXPECT_EQ(some.shape, (Shape{2, 3}));
  EXPECT_EQ(floats_of(some), (Floats{0, 0, 1, 0, 2, 2}));
  EXPECT_EQ(computed(model, {Floats(6)})[0].shape, (Shape{2, 0}));
}

/// A detector: two convolutions, softmax, suppression, and lists made of what is left.
OnnxModel detector(float least, std::int64_t most = 20) {
  OnnxModel model(13);
  model.input("x", {1, 3, 8, 8})
      .random("loc_w", {8, 3, 3, 3})
      .random("conf_w", {6, 3, 3, 3})
      .node("Conv", {"x", "loc_w"}, {"loc"}, {{"strides", Dims{2, 2}}, {"pads", Dims{1, 1, 1, 1}}})
      .node("Transpose", {"loc"}, {"loc_t"}, {{"perm", Dims{0, 2, 3, 1}}})
      .integers("boxes_shape", {1, 32, 4})
      .node("Reshape", {"loc_t", "boxes_shape"}, {"boxes"})
      .node("Conv", {"x", "conf_w"}, {"conf"},
            {{"strides", Dims{2, 2}}, {"pads", Dims{1, 1, 1, 1}}})
      .node("Transpose", {"conf"}, {"conf_t"}, {{"perm", Dims{0, 2, 3, 1}}})
      .integers("conf_shape", {1, 32, 3})
      .node("Reshape", {"conf_t", "conf_shape"}, {"conf_r"})
      .node("Softmax", {"conf_r"}, {"soft"}, {{"axis", std::int64_t{2}}})
      .node("Transpose", {"soft"}, {"scores"}, {{"perm", Dims{0, 2, 1}}})
      .integers("most", {most})
      .floats("share", {1}, {0.3F})
      .floats("least", {1}, {least})
      .node("NonMaxSuppression", {"boxes", "scores", "most", "share", "least"}, {"kept"});
  return model;
}

/// The boxes that are left as rows of corners, score and class.
OnnxModel with_list(OnnxModel model) {
  model.integers("two", {2}, true)
      .integers("one", {1}, true)
      .node("Gather", {"kept", "two"}, {"which"}, {{"axis", std::int64_t{1}}})
      .node("Gather", {"kept", "one"}, {"class"}, {{"axis", std::int64_t{1}}})
      .integers("first", {0})
      .node("Squeeze", {"boxes", "first"}, {"flat_boxes"})
      .node("Gather", {"flat_boxes", "which"}, {"corners"})
      .node("GatherND", {"scores", "kept"}, {"score"})
      .integers("minus", {-1})
      .node("Unsqueeze", {"score", "minus"}, {"score_column"})
      .node("Cast", {"class"}, {"class_number"}, {{"to", std::int64_t{1}}})
      .node("Unsqueeze", {"class_number", "minus"}, {"class_column"})
      .floats("size", {}, {300})
      .node("Mul", {"corners", "size"}, {"pixels"})
      .node("Concat", {"pixels", "score_column", "class_column"}, {"list"},
            {{"axis", std::int64_t{1}}});
  return model.output("list").output("boxes").output("scores");
}

/// Least scores of which none, one and many boxes are better.
std::vector<float> least_scores(const Floats& scores) {
  Floats sorted = scores;
  std::ranges::sort(sorted, std::greater<>());
  return {sorted[0], (sorted[0] + sorted[1]) / 2, 0.2F};
}

TEST(OnnxRest, DetectorsListWhatIsLeftOfTheirBoxes) {
  const Floats x = random_values(3 * 8 * 8, 3);
  const auto all = computed(with_list(detector(0)), {x});
  const Floats least = least_scores(floats_of(all[2]));
  for (std::size_t i = 0; i < least.size(); ++i) {
    const OnnxModel model = with_list(detector(least[i]));
    const auto network = model.read();
    ASSERT_TRUE(network.ok()) << network.error().message;
    ASSERT_NE(network->rest, nullptr);
    EXPECT_EQ(network->output_names, (std::vector<std::string>{"boxes", "flat_boxes", "scores"}));
    EXPECT_NE(network->warnings.back().find("NonMaxSuppression"), std::string::npos);
    const auto outputs = computed(model, {x});
    const Array boxes({1, 32, 4}, floats_of(outputs[1])), scores({1, 3, 32}, floats_of(outputs[2]));
    const auto kept = kept_boxes(boxes, scores, 20, 0.3, least[i]);
    ASSERT_EQ(kept.size() < 2 ? kept.size() : 2, i);
    ASSERT_EQ(outputs[0].shape, (Shape{std::ssize(kept), 6}));
    Floats expected;
    for (const auto& [n, c, box] : kept) {
      for (int corner = 0; corner < 4; ++corner) expected.push_back(boxes({n, box, corner}) * 300);
      expected.push_back(scores({n, c, box}));
      expected.push_back(static_cast<float>(c));
    }
    expect_near(floats_of(outputs[0]), expected);
  }
}

/// The best three boxes, or as many as there are, and a matrix product with each.
TEST(OnnxRest, NumbersOfBoxesDecideFurtherShapes) {
  const Floats x = random_values(3 * 8 * 8, 3);
  const Floats least = least_scores(floats_of(computed(with_list(detector(0)), {x})[2]));
  for (std::size_t i = 0; i < least.size(); ++i) {
    OnnxModel model = with_list(detector(least[i]));
    model.node("Shape", {"score"}, {"count"})
        .integers("three", {3})
        .node("Min", {"count", "three"}, {"k"})
        .node("TopK", {"score", "k"}, {"best", "places"})
        .node("Gather", {"corners", "places"}, {"best_corners"})
        .random("matrix", {4, 5})
        .random("offset", {5})
        .node("Gemm", {"best_corners", "matrix", "offset"}, {"features"})
        .node("Softmax", {"features"}, {"probability"}, {{"axis", std::int64_t{1}}})
        .node("ReduceMax", {"probability"}, {"largest"},
              {{"axes", Dims{1}}, {"keepdims", std::int64_t{1}}})
        .output("best")
        .output("features")
        .output("largest");
    const auto outputs = computed(model, {x});
    const Floats list = floats_of(outputs[0]);
    const Array matrix = stored(model, "matrix"), offset = stored(model, "offset");
    std::vector<std::size_t> order(list.size() / 6);
    std::iota(order.begin(), order.end(), 0);
    std::ranges::stable_sort(order,
                             [&](auto a, auto b) { return list[a * 6 + 4] > list[b * 6 + 4]; });
    order.resize(std::min<std::size_t>(order.size(), 3));
    const auto rows = std::ssize(order);
    ASSERT_EQ(std::min<std::ptrdiff_t>(rows, 2), static_cast<std::ptrdiff_t>(i));
    EXPECT_EQ(outputs[3].shape, (Shape{rows}));
    EXPECT_EQ(outputs[4].shape, (Shape{rows, 5}));
    EXPECT_EQ(outputs[5].shape, (Shape{rows, 1}));
    const Array features = made({rows, 5}, [&](const Dims& at) {
      double sum = offset({at[1]});
      for (std::int64_t j = 0; j < 4; ++j)
        sum += static_cast<double>(
                   list[order[static_cast<std::size_t>(at[0])] * 6 + static_cast<std::size_t>(j)]) /
               300 * matrix({j, at[1]});
      return sum;
    });
    expect_near(floats_of(outputs[4]), features.values);
    expect_near(floats_of(outputs[5]), made({rows, 1}, [&](const Dims& at) {
                                         double sum = 0, largest = 0;
                                         for (std::int64_t j = 0; j < 5; ++j) {
                                           const double e = std::exp(features({at[0], j}));
                                           sum += e;
                                           largest = std::max(largest, e);
                                         }
                                         return largest / sum;
                                       }).values);
  }
}

/// Boxes of three scales with objectness, as YOLO has them, suppressed by class offsets that are
/// taken from the boxes themselves; regions of the kept boxes are pooled from the image.
TEST(OnnxRest, RegionsOfKeptBoxesGoThroughConvolutions) {
  OnnxModel model(16);
  model.input("x", {1, 3, 8, 8})
      .input("boxes", {1, 6, 4})
      .input("scores", {1, 1, 6})
      .integers("most", {6})
      .floats("share", {1}, {0.5F})
      .floats("least", {1}, {0.4F})
      .node("NonMaxSuppression", {"boxes", "scores", "most", "share", "least"}, {"kept"})
      .integers("two", {2}, true)
      .node("Gather", {"kept", "two"}, {"which"}, {{"axis", std::int64_t{1}}})
      .integers("first", {0})
      .node("Squeeze", {"boxes", "first"}, {"flat"})
      .node("Gather", {"flat", "which"}, {"rois"})
      .node("Mul", {"which", "none"}, {"images"})
      .integers("none", {0}, true)
      .node("RoiAlign", {"x", "rois", "images"}, {"regions"},
            {{"output_height", std::int64_t{4}},
             {"output_width", std::int64_t{4}},
             {"sampling_ratio", std::int64_t{1}}})
      .random("w", {2, 3, 3, 3})
      .node("Conv", {"regions", "w"}, {"features"}, {{"pads", Dims{1, 1, 1, 1}}})
      .node("Relu", {"features"}, {"relu"})
      .node("GlobalAveragePool", {"relu"}, {"pooled"})
      .output("pooled")
      .output("regions");
  const Floats x = random_values(3 * 8 * 8, 3);
  const Floats boxes = {0, 0, 4, 4, 0, 0, 4, 3.9F, 4, 4, 8, 8, 0, 4, 4, 8, 4, 0, 8, 4, 4, 0, 8, 4};
  for (const std::size_t count : {0U, 1U, 4U}) {
    Floats scores = {0.9F, 0.8F, 0.7F, 0.6F, 0.5F, 0.45F};
    for (std::size_t i = count < 4 ? count : 6; i < 6; ++i) scores[i] = 0.1F;
    const auto outputs = computed(model, {x, boxes, scores});
    const auto rows = static_cast<std::int64_t>(count);
    ASSERT_EQ(outputs[0].shape, (Shape{rows, 2, 1, 1}));
    ASSERT_EQ(outputs[1].shape, (Shape{rows, 3, 4, 4}));
    const Array regions({rows, 3, 4, 4}, floats_of(outputs[1])), w = stored(model, "w");
    expect_near(floats_of(outputs[0]),
                made({rows, 2, 1, 1}, [&](const Dims& at) {
                  double total = 0;
                  for (std::int64_t i = 0; i < 16; ++i) {
                    double sum = 0;
                    for (std::int64_t c = 0; c < 3; ++c)
                      for (std::int64_t k = 0; k < 9; ++k)
                        sum += regions({at[0], c, i / 4 + k / 3 - 1, i % 4 + k % 3 - 1}) *
                               w({at[1], c, k / 3, k % 3});
                    total += std::max(sum, 0.0) / 16;
                  }
                  return total;
                }).values);
  }
}

TEST(OnnxRest, ComputedSizesAndConditions) {
  OnnxModel model(13);
  model.input("x", {1, 2, 4, 4})
      .node("ReduceMax", {"x"}, {"largest"}, {{"keepdims", std::int64_t{0}}})
      .node("Cast", {"largest"}, {"whole"}, {{"to", std::int64_t{7}}})
      .integers("first", {0})
      .node("Unsqueeze", {"whole", "first"}, {"count"})
      .integers("zero", {0})
      .integers("axis", {2})
      .node("Slice", {"x", "zero", "count", "axis"}, {"rows"})
      .node("Relu", {"rows"}, {"result"})
      .output("result");
  Floats x = random_values(32, 4);
  for (const std::int64_t rows : {0, 1, 3}) {
    x[0] = static_cast<float>(rows) + 0.99F;
    const auto outputs = computed(model, {x});
    ASSERT_EQ(outputs[0].shape, (Shape{1, 2, rows, 4}));
    const Array all({1, 2, 4, 4}, x);
    expect_near(floats_of(outputs[0]), made({1, 2, rows, 4}, [&](const Dims& at) {
                                         return std::max(all(at), 0.0F);
                                       }).values);
  }
}

TEST(OnnxRest, AnObstacleIsNamed) {
  OnnxModel unknown(13);
  unknown.input("x", {2, 3})
      .node("NonZero", {"x"}, {"places"})
      .node("Nonsense", {"places"}, {"y"})
      .output("y");
  const auto refused = unknown.read();
  ASSERT_FALSE(refused.ok());
  EXPECT_NE(refused.error().message.find("'Nonsense'"), std::string::npos);

  OnnxModel model(13);
  model.input("x", {4})
      .node("NonZero", {"x"}, {"places"})
      .integers("two", {2})
      .node("Reshape", {"places", "two"}, {"y"})
      .output("y");
  EXPECT_TRUE(compute_with_rest(model, {{1, 0, 2, 0}}).ok());
  const auto misfit = compute_with_rest(model, {{1, 0, 2, 3}});
  ASSERT_FALSE(misfit.ok());
  EXPECT_NE(misfit.error().message.find("'y'"), std::string::npos);
}

}  // namespace
}  // namespace convopt::testing
