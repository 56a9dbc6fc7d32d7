// What operators of ONNX models compute, in each of the forms that versions of the format gave
// them, against the definitions in the specification of ONNX.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <numeric>

#include "tests/network/onnx_arrays.h"

namespace convopt::testing {
namespace {

/// One operator on one input. The sum with zero before it is there for operators that do nothing:
/// an output of a network may not be its input.
OnnxModel unary(int opset, const Dims& dims, const std::string& type,
                const OnnxModel::Attributes& attributes = {},
                const std::vector<std::string>& more = {}) {
  OnnxModel model(opset);
  model.input("x", dims).floats("nothing", {}, {0}).node("Add", {"x", "nothing"}, {"same"});
  std::vector<std::string> inputs = {"same"};
  inputs.insert(inputs.end(), more.begin(), more.end());
  return model.node(type, inputs, {"y"}, attributes).output("y");
}

struct WindowCase {
  const char* name;
  Dims strides, pads, dilations;
  std::int64_t groups;
};

class Convolutions : public ::testing::TestWithParam<WindowCase> {};

TEST_P(Convolutions, SumOverTheirWindow) {
  const WindowCase& c = GetParam();
  const Dims in = {2, 4, 9, 8};
  OnnxModel model(13);
  model.input("x", in).random("w", {6, 4 / c.groups, 3, 2}).random("b", {6});
  model
      .node("Conv", {"x", "w", "b"}, {"y"},
            {{"strides", c.strides},
             {"pads", c.pads},
             {"dilations", c.dilations},
             {"group", c.groups},
             {"kernel_shape", Dims{3, 2}}})
      .output("y");
  const Array w = stored(model, "w"), b = stored(model, "b");
  const auto size = [&](std::size_t d, std::int64_t kernel) {
    return (in[d + 2] + c.pads[d] + c.pads[d + 2] - (kernel - 1) * c.dilations[d] - 1) /
               c.strides[d] +
           1;
  };
  expect_computes(model, {in}, [&](const std::vector<Array>& x) {
    return made({2, 6, size(0, 3), size(1, 2)}, [&](const Dims& at) {
      double sum = b.values[static_cast<std::size_t>(at[1])];
      const std::int64_t per_group = 4 / c.groups;
      const std::int64_t first = at[1] / (6 / c.groups) * per_group;
      for (std::int64_t i = 0; i < per_group; ++i)
        for (std::int64_t ky = 0; ky < 3; ++ky)
          for (std::int64_t kx = 0; kx < 2; ++kx)
            sum += double{w({at[1], i, ky, kx})} *
                   x[0]({at[0], first + i, at[2] * c.strides[0] - c.pads[0] + ky * c.dilations[0],
                         at[3] * c.strides[1] - c.pads[1] + kx * c.dilations[1]});
      return sum;
    });
  });
}

INSTANTIATE_TEST_SUITE_P(Onnx, Convolutions,
                         ::testing::Values(WindowCase{"plain", {1, 1}, {0, 0, 0, 0}, {1, 1}, 1},
                                           WindowCase{"padded", {1, 1}, {1, 0, 2, 1}, {1, 1}, 1},
                                           WindowCase{"strided", {2, 3}, {1, 1, 1, 1}, {1, 1}, 1},
                                           WindowCase{"dilated", {1, 2}, {2, 1, 2, 1}, {2, 3}, 1},
                                           WindowCase{"grouped", {1, 1}, {1, 1, 1, 1}, {1, 1}, 2}),
                         [](const auto& c) { return std::string(c.param.name); });

/// How many operators of a network are of that kind.
std::ptrdiff_t count_of(const Network& network, Op op) {
  return std::ranges::count_if(network.operators, [&](const Operator& each) {
    return each.kind == OperatorKind::compute && each.workload.op == op;
  });
}

TEST(OnnxOperators, FactorsOfCoordinatesAreNoConvolution) {
  // 600 boxes: as a convolution, one of 600 images or channels of a few pixels.
  for (const Dims& dims : {Dims{600, 2}, Dims{1, 600, 4}}) {
    OnnxModel model;
    model.input("x", dims).floats("variance", {}, {0.2F}).random("row", {dims.back()});
    model.node("Mul", {"x", "variance"}, {"scaled"}).node("Add", {"scaled", "row"}, {"y"});
    const Array row = stored(model, "row");
    expect_computes(model.output("y"), {dims}, [&](const std::vector<Array>& x) {
      return made(dims, [&](const Dims& at) { return x[0](at) * 0.2F + row({at.back()}); });
    });
    const auto network = model.read();
    ASSERT_TRUE(network.ok());
    EXPECT_EQ(count_of(*network, Op::conv), 0);
    EXPECT_EQ(count_of(*network, Op::multiply), 1);
  }
  // Behind a layer they become part of it, few pixels or many.
  OnnxModel layer;
  layer.input("x", {1, 3, 2, 2}).random("w", {4, 3, 1, 1}).floats("variance", {}, {0.2F});
  layer.node("Conv", {"x", "w"}, {"c"}).node("Mul", {"c", "variance"}, {"y"}).output("y");
  const auto network = layer.read();
  ASSERT_TRUE(network.ok());
  EXPECT_EQ(network->operators.size(), 1U);
}

TEST(OnnxOperators, AutomaticPaddingIsWhatTensorFlowDoes) {
  for (const bool upper : {true, false}) {
    const auto model_of = [&](const OnnxModel::Attributes& attributes) {
      OnnxModel model(11);
      model.input("x", {1, 3, 7, 8}).random("w", {2, 3, 4, 4});
      return model.node("Conv", {"x", "w"}, {"y"}, attributes).output("y");
    };
    const Dims stride = {2, 2};
    const auto automatic = model_of(
        {{"strides", stride}, {"auto_pad", std::string(upper ? "SAME_UPPER" : "SAME_LOWER")}});
    // Four rows and columns of windows need 3 and 2 more pixels, of which the odd one comes last.
    const Dims pads = upper ? Dims{1, 1, 2, 1} : Dims{2, 1, 1, 1};
    const auto given = model_of({{"strides", stride}, {"pads", pads}});
    EXPECT_EQ(compute(automatic).outputs, compute(given).outputs);
  }
}

TEST(OnnxOperators, ConvolutionsOfOneDimension) {
  OnnxModel model(11);
  model.input("x", {1, 2, 9}).random("w", {3, 2, 3});
  model.node("Conv", {"x", "w"}, {"y"}, {{"pads", Dims{1, 1}}, {"strides", Dims{2}}}).output("y");
  const Array w = stored(model, "w");
  expect_computes(model, {{1, 2, 9}}, [&](const std::vector<Array>& x) {
    return made({1, 3, 5}, [&](const Dims& at) {
      double sum = 0;
      for (std::int64_t i = 0; i < 2; ++i)
        for (std::int64_t k = 0; k < 3; ++k)
          sum += double{w({at[1], i, k})} * x[0]({0, i, at[2] * 2 - 1 + k});
      return sum;
    });
  });
}

class TransposedConvolutions
    : public ::testing::TestWithParam<std::tuple<int, int, int, int, int>> {};

TEST_P(TransposedConvolutions, SpreadWhatTheyRead) {
  const auto [kernel, stride, pad, extra, groups] = GetParam();
  const Dims in = {1, 4, 3, 5};
  OnnxModel model(11);
  model.input("x", in).random("w", {4, 3, kernel, kernel}).random("b", {3 * groups});
  model
      .node("ConvTranspose", {"x", "w", "b"}, {"y"},
            {{"strides", Dims{stride, stride}},
             {"pads", Dims(4, pad)},
             {"output_padding", Dims(2, extra)},
             {"group", std::int64_t{groups}}})
      .output("y");
  const Array w = stored(model, "w"), b = stored(model, "b");
  expect_computes(model, {in}, [&](const std::vector<Array>& x) {
    Array y({1, 3 * groups, (in[2] - 1) * stride + kernel - 2 * pad + extra,
             (in[3] - 1) * stride + kernel - 2 * pad + extra});
    for (std::int64_t i = 0; i < y.count(); ++i)
      y.at(y.place(i)) = b.values[static_cast<std::size_t>(y.place(i)[1])];
    for (std::int64_t i = 0; i < x[0].count(); ++i) {
      const Dims from = x[0].place(i);
      for (std::int64_t o = 0; o < 3; ++o)
        for (std::int64_t ky = 0; ky < kernel; ++ky)
          for (std::int64_t kx = 0; kx < kernel; ++kx) {
            const Dims to = {0, from[1] / (4 / groups) * 3 + o, from[2] * stride - pad + ky,
                             from[3] * stride - pad + kx};
            if (y.inside(to)) y.at(to) += w({from[1], o, ky, kx}) * x[0](from);
          }
    }
    return y;
  });
}

INSTANTIATE_TEST_SUITE_P(Onnx, TransposedConvolutions,
                         ::testing::Values(std::tuple(2, 2, 0, 0, 1), std::tuple(3, 2, 1, 1, 1),
                                           std::tuple(4, 2, 1, 0, 2), std::tuple(3, 1, 1, 0, 1),
                                           std::tuple(2, 3, 0, 0, 1), std::tuple(5, 3, 1, 1, 2)));

/// Averages and maxima by the definition, with PyTorch's rule for windows that begin outside.
Array pooled(const Array& x, bool max, const Dims& kernel, const Dims& stride, const Dims& pads,
             bool include_pad, const Dims& size) {
  return made({x.dims[0], x.dims[1], size[0], size[1]}, [&](const Dims& at) {
    double sum = 0, largest = -1e30;
    int inside = 0;
    for (std::int64_t ky = 0; ky < kernel[0]; ++ky)
      for (std::int64_t kx = 0; kx < kernel[1]; ++kx) {
        const Dims from = {at[0], at[1], at[2] * stride[0] - pads[0] + ky,
                           at[3] * stride[1] - pads[1] + kx};
        if (!x.inside(from)) continue;
        ++inside;
        sum += x(from);
        largest = std::max(largest, double{x(from)});
      }
    const auto all = static_cast<double>(kernel[0] * kernel[1]);
    return max ? largest : sum / (include_pad ? all : inside);
  });
}

TEST(OnnxOperators, Pooling) {
  const Dims in = {2, 3, 7, 8}, kernel = {3, 2}, stride = {2, 2}, pads = {1, 0, 1, 1};
  const auto model_of = [&](const char* type, OnnxModel::Attributes more) {
    more.insert(more.end(), {{"kernel_shape", kernel}, {"strides", stride}, {"pads", pads}});
    return unary(11, in, type, more);
  };
  expect_computes(model_of("MaxPool", {}), {in}, [&](const std::vector<Array>& x) {
    return pooled(x[0], true, kernel, stride, pads, false, {4, 4});
  });
  expect_computes(model_of("AveragePool", {}), {in}, [&](const std::vector<Array>& x) {
    return pooled(x[0], false, kernel, stride, pads, false, {4, 4});
  });
  expect_computes(model_of("AveragePool", {{"count_include_pad", std::int64_t{1}}}), {in},
                  [&](const std::vector<Array>& x) {
                    return pooled(x[0], false, kernel, stride, pads, true, {4, 4});
                  });
}

TEST(OnnxOperators, PoolingThatRoundsUp) {
  const Dims in = {1, 2, 6, 6}, kernel = {3, 3}, stride = {2, 2}, none = {0, 0, 0, 0};
  for (const char* type : {"MaxPool", "AveragePool"}) {
    const auto model =
        unary(10, in, type,
              {{"kernel_shape", kernel}, {"strides", stride}, {"ceil_mode", std::int64_t{1}}});
    expect_computes(model, {in}, [&](const std::vector<Array>& x) {
      return pooled(x[0], type[0] == 'M', kernel, stride, none, false, {3, 3});
    });
  }
}

TEST(OnnxOperators, ReducingIsPoolingInEveryVersion) {
  const Dims in = {2, 5, 3, 4};
  const auto mean = [&](const std::vector<Array>& x) {
    return made({2, 5}, [&](const Dims& at) {
      double sum = 0;
      for (std::int64_t y = 0; y < 3; ++y)
        for (std::int64_t z = 0; z < 4; ++z) sum += x[0]({at[0], at[1], y, z});
      return sum / 12;
    });
  };
  expect_computes(unary(11, in, "GlobalAveragePool"), {in}, mean);
  for (const std::int64_t keep : {0, 1}) {
    expect_computes(unary(11, in, "ReduceMean", {{"axes", Dims{2, 3}}, {"keepdims", keep}}), {in},
                    mean);
    expect_computes(
        unary(18, in, "ReduceMean", {{"keepdims", keep}}, {"axes"}).integers("axes", {-1, -2}),
        {in}, mean);
  }
  // Channels alone, and everything.
  expect_computes(unary(13, in, "ReduceMax", {{"axes", Dims{1}}}), {in},
                  [&](const std::vector<Array>& x) {
                    return made({2, 1, 3, 4}, [&](const Dims& at) {
                      double largest = -2;
                      for (std::int64_t c = 0; c < 5; ++c)
                        largest = std::max(largest, double{x[0]({at[0], c, at[2], at[3]})});
                      return largest;
                    });
                  });
  expect_computes(unary(13, in, "ReduceSum"), {in}, [&](const std::vector<Array>& x) {
    return made({1}, [&](const Dims&) {
      return std::accumulate(x[0].values.begin(), x[0].values.end(), 0.0);
    });
  });
  // No axes and nothing to do is the identity.
  expect_computes(unary(18, in, "ReduceMean", {{"noop_with_empty_axes", std::int64_t{1}}}), {in},
                  [](const std::vector<Array>& x) { return x[0]; });
}

struct ActivationCase {
  const char* type;
  int opset;
  OnnxModel::Attributes attributes;
  std::function<double(double)> function;
};

class Activations : public ::testing::TestWithParam<ActivationCase> {};

TEST_P(Activations, AreApplied) {
  const ActivationCase& c = GetParam();
  const Dims in = {1, 3, 4, 5};
  // Shifted and stretched, so that both ends of every function are met.
  OnnxModel model(c.opset);
  model.input("x", in).floats("four", {}, {4});
  model.node("Mul", {"x", "four"}, {"wide"})
      .node(c.type, {"wide"}, {"y"}, c.attributes)
      .output("y");
  expect_computes(
      model, {in},
      [&](const std::vector<Array>& x) {
        return mapped(x[0], [&](double v) { return c.function(4 * v); });
      },
      1e-5F);
}

double hard_sigmoid(double x, double alpha, double beta) {
  return std::clamp(alpha * x + beta, 0.0, 1.0);
}

INSTANTIATE_TEST_SUITE_P(
    Onnx, Activations,
    ::testing::Values(
        ActivationCase{"Relu", 7, {}, [](double x) { return std::max(x, 0.0); }},
        ActivationCase{"LeakyRelu", 7, {}, [](double x) { return x < 0 ? 0.01 * x : x; }},
        ActivationCase{
            "LeakyRelu", 16, {{"alpha", 0.25F}}, [](double x) { return x < 0 ? 0.25 * x : x; }},
        ActivationCase{
            "Elu", 7, {{"alpha", 0.5F}}, [](double x) { return x < 0 ? std::expm1(x) / 2 : x; }},
        ActivationCase{"Sigmoid", 13, {}, [](double x) { return 1 / (1 + std::exp(-x)); }},
        ActivationCase{"Tanh", 13, {}, [](double x) { return std::tanh(x); }},
        ActivationCase{"Erf", 9, {}, [](double x) { return std::erf(x); }},
        ActivationCase{"Exp", 13, {}, [](double x) { return std::exp(x); }},
        ActivationCase{"Reciprocal", 13, {}, [](double x) { return 1 / x; }},
        ActivationCase{"Neg", 13, {}, [](double x) { return -x; }},
        ActivationCase{"HardSigmoid", 7, {}, [](double x) { return hard_sigmoid(x, 0.2, 0.5); }},
        ActivationCase{"HardSigmoid",
                       7,
                       {{"alpha", 1.0F / 6}, {"beta", 0.5F}},
                       [](double x) { return hard_sigmoid(x, 1.0 / 6, 0.5); }},
        ActivationCase{
            "HardSwish", 14, {}, [](double x) { return x * hard_sigmoid(x, 1.0 / 6, 0.5); }},
        ActivationCase{
            "Gelu", 20, {}, [](double x) { return x / 2 * (1 + std::erf(x / std::sqrt(2.0))); }},
        ActivationCase{"Clip",
                       7,
                       {{"min", -0.5F}, {"max", 1.5F}},
                       [](double x) { return std::clamp(x, -0.5, 1.5); }},
        ActivationCase{"Clip", 10, {{"max", 0.5F}}, [](double x) { return std::min(x, 0.5); }},
        ActivationCase{"Clip", 7, {}, [](double x) { return x; }}),
    [](const auto& c) { return std::string(c.param.type) + "_" + std::to_string(c.index); });

TEST(OnnxOperators, ClipTakesItsBoundsAsInputsFromOpset11On) {
  const Dims in = {1, 2, 3, 4};
  const auto model_of = [&](const std::vector<std::string>& bounds) {
    return unary(11, in, "Clip", {}, bounds).floats("low", {}, {-0.25F}).floats("high", {}, {0.5F});
  };
  const auto clipped = [](double low, double high) {
    return [=](const std::vector<Array>& x) {
      return mapped(x[0], [=](double v) { return std::clamp(v, low, high); });
    };
  };
  expect_computes(model_of({"low", "high"}), {in}, clipped(-0.25, 0.5));
  expect_computes(model_of({"", "high"}), {in}, clipped(-9, 0.5));
  expect_computes(model_of({"low"}), {in}, clipped(-0.25, 9));
  expect_computes(model_of({}), {in}, clipped(-9, 9));
  // The attributes of older versions mean nothing then.
  expect_computes(unary(11, in, "Clip", {{"max", 0.0F}}), {in}, clipped(-9, 9));
}

TEST(OnnxOperators, SlopesBelowZeroPerChannelOrForAll) {
  const Dims in = {1, 3, 4, 4};
  for (const Dims& sizes : {Dims{3, 1, 1}, Dims{1}}) {
    auto model = unary(9, in, "PRelu", {}, {"slope"}).random("slope", sizes);
    const Array slope = stored(model, "slope");
    expect_computes(model, {in}, [&](const std::vector<Array>& x) {
      return made(in, [&](const Dims& at) {
        const float s = slope.values[sizes.size() > 1 ? static_cast<std::size_t>(at[1]) : 0];
        return x[0](at) < 0 ? double{s} * x[0](at) : x[0](at);
      });
    });
  }
}

TEST(OnnxOperators, PowersAndRoots) {
  const Dims in = {1, 2, 3, 3};
  OnnxModel model(13);
  model.input("x", in).floats("two", {}, {2}).floats("half", {}, {0.5F}).floats("one", {}, {1});
  model.node("Pow", {"x", "two"}, {"square"}).node("Add", {"square", "one"}, {"more"});
  model.node("Sqrt", {"more"}, {"root"}).node("Pow", {"more", "half"}, {"power"});
  model.node("Add", {"root", "power"}, {"y"}).output("y");
  expect_computes(model, {in}, [](const std::vector<Array>& x) {
    return mapped(x[0], [](double v) { return 2 * std::sqrt(v * v + 1); });
  });
}

TEST(OnnxOperators, ArithmeticWithConstants) {
  const Dims in = {2, 3, 4, 5};
  struct Case {
    const char* type;
    std::function<double(double, double)> function;
  };
  const Case cases[] = {{"Add", std::plus<>()},
                        {"Sub", std::minus<>()},
                        {"Mul", std::multiplies<>()},
                        {"Div", std::divides<>()}};
  // Of single numbers, channels, rows, whole images: whatever broadcasts.
  for (const Dims& sizes :
       {Dims{}, Dims{1}, Dims{3, 1, 1}, Dims{1, 3, 1, 1}, Dims{5}, Dims{4, 5}, Dims{3, 4, 5}}) {
    for (const Case& c : cases) {
      for (const bool constant_first : {false, true}) {
        SCOPED_TRACE(std::string(c.type) + " of rank " + std::to_string(sizes.size()));
        OnnxModel model(14);
        Array constant = made(sizes, [&](const Dims& at) {
          return 2.0 + std::accumulate(at.begin(), at.end(), 0.5);
        });
        model.input("x", in).floats("c", sizes, constant.values);
        // So far from zero that a division keeps its accuracy.
        model.floats("three", {}, {3}).node("Add", {"x", "three"}, {"far"});
        if (constant_first) {
          model.node(c.type, {"c", "far"}, {"y"}).output("y");
        } else {
          model.node(c.type, {"far", "c"}, {"y"}).output("y");
        }
        expect_computes(model, {in}, [&](const std::vector<Array>& x) {
          return made(in, [&](const Dims& at) {
            Dims of_constant(at.end() - static_cast<std::ptrdiff_t>(sizes.size()), at.end());
            for (std::size_t d = 0; d < sizes.size(); ++d)
              if (sizes[d] == 1) of_constant[d] = 0;
            const double value = 3.0 + x[0](at);
            return constant_first ? c.function(constant(of_constant), value)
                                  : c.function(value, constant(of_constant));
          });
        });
      }
    }
  }
}

TEST(OnnxOperators, ArithmeticOfTensors) {
  const Dims a = {2, 3, 4, 5};
  struct Case {
    const char* type;
    Dims other;
    bool swapped;
  };
  for (const Case& c : {Case{"Add", a, false}, Case{"Sub", a, false}, Case{"Mul", a, false},
                        Case{"Mul", {2, 3, 1, 1}, false}, Case{"Mul", {2, 3, 1, 1}, true},
                        Case{"Add", {1, 3, 1, 1}, true}, Case{"Sub", {2, 1, 4, 5}, false},
                        Case{"Div", {2, 3, 1, 5}, false}, Case{"Mul", {4, 5}, false}}) {
    SCOPED_TRACE(c.type);
    OnnxModel model(13);
    model.input("x", a).input("z", c.other).floats("three", {}, {3});
    model.node("Add", {"z", "three"}, {"far"});
    model.node(
        c.type,
        c.swapped ? std::vector<std::string>{"far", "x"} : std::vector<std::string>{"x", "far"},
        {"y"});
    model.output("y");
    expect_computes(model, {a, c.other}, [&](const std::vector<Array>& x) {
      return made(a, [&](const Dims& at) {
        Dims place(at.end() - static_cast<std::ptrdiff_t>(c.other.size()), at.end());
        for (std::size_t d = 0; d < place.size(); ++d)
          if (c.other[d] == 1) place[d] = 0;
        const double left = x[0](at), right = 3.0 + x[1](place);
        const std::string type = c.type;
        return type == "Add"   ? left + right
               : type == "Sub" ? left - right
               : type == "Mul" ? left * right
                               : left / right;
      });
    });
  }
  OnnxModel model(8);
  model.input("x", a).node("Relu", {"x"}, {"r"}).node("Sum", {"x", "r", "x"}, {"y"}).output("y");
  expect_computes(model, {a}, [](const std::vector<Array>& x) {
    return mapped(x[0], [](double v) { return 2 * v + std::max(v, 0.0); });
  });
}

TEST(OnnxOperators, Products) {
  const Dims in = {2, 6};
  const auto rows_of = [&](const Array& w, bool transposed, double alpha, const Array* b,
                           double beta) {
    return [=](const std::vector<Array>& x) {
      return made({2, 4}, [&](const Dims& at) {
        double sum = 0;
        for (std::int64_t i = 0; i < 6; ++i)
          sum += double{x[0]({at[0], i})} * (transposed ? w({at[1], i}) : w({i, at[1]}));
        return alpha * sum +
               (b == nullptr
                    ? 0
                    : beta * b->values[static_cast<std::size_t>(b->count() > 1 ? at[1] : 0)]);
      });
    };
  };
  for (const std::int64_t transposes : {0, 1}) {
    OnnxModel model(9);
    model.input("x", in).random("w", transposes != 0 ? Dims{4, 6} : Dims{6, 4}).random("b", {4});
    model
        .node("Gemm", {"x", "w", "b"}, {"y"},
              {{"transB", transposes}, {"alpha", 0.5F}, {"beta", 2.0F}})
        .output("y");
    const Array b = stored(model, "b");
    expect_computes(model, {in}, rows_of(stored(model, "w"), transposes != 0, 0.5, &b, 2));
  }
  OnnxModel without(11);
  without.input("x", in).random("w", {6, 4}).node("Gemm", {"x", "w"}, {"y"}).output("y");
  expect_computes(without, {in}, rows_of(stored(without, "w"), false, 1, nullptr, 0));
  OnnxModel scalar(11);
  scalar.input("x", in).random("w", {6, 4}).random("b", {1});
  scalar.node("Gemm", {"x", "w", "b"}, {"y"}).output("y");
  const Array one = stored(scalar, "b");
  expect_computes(scalar, {in}, rows_of(stored(scalar, "w"), false, 1, &one, 1));

  // As Dense layers come: a product and a sum, which become one operator.
  OnnxModel dense(13);
  dense.input("x", in).random("w", {6, 4}).random("b", {4});
  dense.node("MatMul", {"x", "w"}, {"p"}).node("Add", {"p", "b"}, {"y"}).output("y");
  const Array b = stored(dense, "b");
  expect_computes(dense, {in}, rows_of(stored(dense, "w"), false, 1, &b, 1));
  const auto network = dense.read();
  ASSERT_TRUE(network.ok());
  EXPECT_EQ(std::ranges::count(network->operators, OperatorKind::compute, &Operator::kind), 1);

  OnnxModel sequence(13);
  sequence.input("x", {2, 3, 6}).random("w", {6, 4});
  sequence.node("MatMul", {"x", "w"}, {"y"}).output("y");
  const Array w = stored(sequence, "w");
  expect_computes(sequence, {{2, 3, 6}}, [&](const std::vector<Array>& x) {
    return made({2, 3, 4}, [&](const Dims& at) {
      double sum = 0;
      for (std::int64_t i = 0; i < 6; ++i) sum += double{x[0]({at[0], at[1], i})} * w({i, at[2]});
      return sum;
    });
  });
}

TEST(OnnxOperators, BatchNormalisationIsFoldedWhereItCanBe) {
  for (const int opset : {7, 9, 14, 15}) {
    for (const bool folds : {true, false}) {
      SCOPED_TRACE(opset);
      OnnxModel model(opset);
      model.input("x", {1, 3, 4, 4}).random("w", {5, 3, 1, 1}).random("b", {5});
      model.random("scale", {5}).random("shift", {5}).random("mean", {5});
      model.floats("variance", {5}, {0.5F, 1, 2, 0.25F, 4});
      model.node("Conv", {"x", "w", "b"}, {"c"});
      model.node("BatchNormalization", {"c", "scale", "shift", "mean", "variance"}, {"y"},
                 {{"epsilon", 1e-3F}});
      model.output("y");
      if (!folds) model.output("c");
      const Array w = stored(model, "w"), b = stored(model, "b"), scale = stored(model, "scale"),
                  shift = stored(model, "shift"), mean = stored(model, "mean"),
                  variance = stored(model, "variance");
      expect_computes(model, {{1, 3, 4, 4}}, [&](const std::vector<Array>& x) {
        return made({1, 5, 4, 4}, [&](const Dims& at) {
          const auto c = static_cast<std::size_t>(at[1]);
          double sum = b.values[c];
          for (std::int64_t i = 0; i < 3; ++i)
            sum += double{w({at[1], i, 0, 0})} * x[0]({0, i, at[2], at[3]});
          return (sum - mean.values[c]) / std::sqrt(variance.values[c] + 1e-3) * scale.values[c] +
                 shift.values[c];
        });
      });
      EXPECT_EQ(model.read()->operators.size(), folds ? 1U : 2U);
    }
  }
}

TEST(OnnxOperators, LayerNormalisation) {
  const Dims in = {2, 3, 8};
  const auto normal = [&](const Array& scale, const Array& shift) {
    return [=](const std::vector<Array>& x) {
      return made(in, [&](const Dims& at) {
        double mean = 0, variance = 0;
        for (std::int64_t i = 0; i < 8; ++i) mean += x[0]({at[0], at[1], i}) / 8;
        for (std::int64_t i = 0; i < 8; ++i)
          variance += std::pow(x[0]({at[0], at[1], i}) - mean, 2) / 8;
        return (x[0](at) - mean) / std::sqrt(variance + 1e-6) *
                   scale.values[static_cast<std::size_t>(at[2])] +
               shift.values[static_cast<std::size_t>(at[2])];
      });
    };
  };
  OnnxModel whole(17);
  whole.input("x", in).random("g", {8}).random("b", {8});
  whole.node("LayerNormalization", {"x", "g", "b"}, {"y"}, {{"epsilon", 1e-6F}}).output("y");
  expect_computes(whole, {in}, normal(stored(whole, "g"), stored(whole, "b")), 1e-5F);

  OnnxModel spelt(13);  // as PyTorch exported it before opset 17
  spelt.input("x", in).random("g", {8}).random("b", {8}).floats("two", {}, {2});
  spelt.floats("epsilon", {}, {1e-6F});
  spelt.node("ReduceMean", {"x"}, {"mean"}, {{"axes", Dims{-1}}}).node("Sub", {"x", "mean"}, {"d"});
  spelt.node("Pow", {"d", "two"}, {"square"});
  spelt.node("ReduceMean", {"square"}, {"variance"}, {{"axes", Dims{-1}}});
  spelt.node("Add", {"variance", "epsilon"}, {"more"}).node("Sqrt", {"more"}, {"root"});
  spelt.node("Div", {"d", "root"}, {"n"}).node("Mul", {"n", "g"}, {"scaled"});
  spelt.node("Add", {"scaled", "b"}, {"y"}).output("y");
  expect_computes(spelt, {in}, normal(stored(spelt, "g"), stored(spelt, "b")), 1e-5F);
  const auto network = spelt.read();
  ASSERT_TRUE(network.ok());
  EXPECT_TRUE(std::ranges::any_of(
      network->operators, [](const Operator& op) { return op.workload.op == Op::layer_norm; }));
}

TEST(OnnxOperators, ResponseNormalisation) {
  const Dims in = {1, 6, 2, 2};
  const auto model = unary(
      13, in, "LRN", {{"size", std::int64_t{3}}, {"alpha", 0.3F}, {"beta", 0.5F}, {"bias", 2.0F}});
  expect_computes(model, {in}, [&](const std::vector<Array>& x) {
    return made(in, [&](const Dims& at) {
      double sum = 0;
      for (std::int64_t c = at[1] - 1; c <= at[1] + 1; ++c)
        sum += std::pow(x[0]({0, c, at[2], at[3]}), 2);
      return x[0](at) / std::pow(2 + 0.1 * sum, 0.5);
    });
  });
}

TEST(OnnxOperators, SoftmaxChangedItsMeaningWithOpset13) {
  const Dims in = {2, 3, 4, 1};
  for (const int opset : {11, 13}) {
    for (const std::int64_t axis : {1, 2}) {
      const auto model = unary(opset, in, "Softmax", {{"axis", axis}});
      expect_computes(model, {in}, [&](const std::vector<Array>& x) {
        return made(in, [&](const Dims& at) {
          double sum = 0;
          for (std::int64_t i = 0; i < x[0].count(); ++i) {
            const Dims other = x[0].place(i);
            bool together = true;
            for (std::size_t d = 0; d < in.size(); ++d) {
              const bool runs = opset < 13 ? static_cast<std::int64_t>(d) >= axis
                                           : static_cast<std::int64_t>(d) == axis;
              together = together && (runs || other[d] == at[d]);
            }
            if (together) sum += std::exp(double{x[0](other)});
          }
          return std::exp(double{x[0](at)}) / sum;
        });
      });
    }
  }
}

TEST(OnnxOperators, ConcatenationAlongAnyAxis) {
  const Dims a = {2, 3, 2, 4};
  for (const std::int64_t axis : {0, 1, 2, 3, -1}) {
    OnnxModel model(13);
    const auto at_axis = static_cast<std::size_t>(axis < 0 ? axis + 4 : axis);
    Dims b = a;
    b[at_axis] = 1;
    model.input("x", a)
        .input("z", b)
        .node("Concat", {"x", "z"}, {"y"}, {{"axis", axis}})
        .output("y");
    expect_computes(model, {a, b}, [&](const std::vector<Array>& x) {
      Dims whole = a;
      ++whole[at_axis];
      return made(whole, [&](const Dims& at) {
        if (at[at_axis] < a[at_axis]) return x[0](at);
        Dims other = at;
        other[at_axis] -= a[at_axis];
        return x[1](other);
      });
    });
  }
}

/// Elements first, first + step, ... along an axis.
Array taken(const Array& x, std::size_t axis, std::int64_t first, std::int64_t count,
            std::int64_t step = 1) {
  Dims dims = x.dims;
  dims[axis] = count;
  return made(dims, [&](const Dims& at) {
    Dims from = at;
    from[axis] = first + at[axis] * step;
    return x(from);
  });
}

TEST(OnnxOperators, SplitInEveryVersion) {
  const Dims in = {1, 7, 2, 2};
  const auto check = [&](OnnxModel model, std::int64_t first, std::int64_t count) {
    model.node("Relu", {"b"}, {"y"}).output("y");
    expect_computes(model, {in}, [&](const std::vector<Array>& x) {
      return mapped(taken(x[0], 1, first, count), [](double v) { return std::max(v, 0.0); });
    });
  };
  const auto model_of = [&](int opset, const std::vector<std::string>& more,
                            const std::vector<std::string>& parts,
                            OnnxModel::Attributes attributes) {
    OnnxModel model(opset);
    std::vector<std::string> inputs = {"x"};
    inputs.insert(inputs.end(), more.begin(), more.end());
    attributes.push_back({"axis", std::int64_t{1}});
    return model.input("x", in).node("Split", inputs, parts, attributes);
  };
  check(model_of(7, {}, {"a", "b", "c"}, {{"split", Dims{2, 4, 1}}}), 2, 4);
  check(model_of(13, {"split"}, {"a", "b", "c"}, {}).integers("split", {2, 4, 1}), 2, 4);
  // Equal parts, the last one smaller.
  check(model_of(18, {}, {"a", "b", "c"}, {{"num_outputs", std::int64_t{3}}}), 3, 3);
}

TEST(OnnxOperators, SliceInEveryVersion) {
  const Dims in = {2, 6, 5, 4};
  const auto rows_and_channels = [&](const std::vector<Array>& x) {
    return taken(taken(x[0], 1, 1, 3), 2, 1, 3);
  };
  expect_computes(
      unary(9, in, "Slice", {{"starts", Dims{1, -4}}, {"ends", Dims{4, -1}}, {"axes", Dims{1, 2}}}),
      {in}, rows_and_channels);
  expect_computes(unary(10, in, "Slice", {}, {"starts", "ends", "axes"})
                      .integers("starts", {1, -4})
                      .integers("ends", {4, -1})
                      .integers("axes", {1, -2}),
                  {in}, rows_and_channels);
  expect_computes(unary(13, in, "Slice", {}, {"starts", "ends", "axes", "steps"})
                      .integers("starts", {0})
                      .integers("ends", {INT64_MAX})
                      .integers("axes", {1})
                      .integers("steps", {2}),
                  {in}, [&](const std::vector<Array>& x) { return taken(x[0], 1, 0, 3, 2); });
}

TEST(OnnxOperators, GatherTakesOneOrSeveral) {
  const Dims in = {1, 6, 3, 2};
  expect_computes(
      unary(13, in, "Gather", {{"axis", std::int64_t{1}}}, {"at"}).integers("at", {-2}, true), {in},
      [&](const std::vector<Array>& x) { return taken(x[0], 1, 4, 1); });
  expect_computes(
      unary(13, in, "Gather", {{"axis", std::int64_t{1}}}, {"at"}).integers("at", {1, 3, 5}), {in},
      [&](const std::vector<Array>& x) { return taken(x[0], 1, 1, 3, 2); });
}

TEST(OnnxOperators, ShapesChangeAndElementsStay) {
  const Dims in = {2, 3, 4, 1};
  const auto same = [](const std::vector<Array>& x) { return x[0]; };
  const auto check = [&](OnnxModel model, const Dims& shape) {
    const Computed computed = compute(model);
    ASSERT_EQ(computed.network.outputs.size(), 1U);
    expect_computes(model, {in}, same);
    const TensorShape& got = computed.network.tensors[computed.network.outputs[0]].shape;
    EXPECT_EQ(Dims(got.sizes().begin(), got.sizes().end()), shape);
  };
  check(unary(7, in, "Reshape", {}, {"to"}).integers("to", {0, -1}), {2, 12});
  check(unary(14, in, "Reshape", {}, {"to"}).integers("to", {4, 3, 2}), {4, 3, 2});
  check(unary(7, in, "Flatten"), {2, 12});
  check(unary(11, in, "Flatten", {{"axis", std::int64_t{-2}}}), {6, 4});
  check(unary(11, in, "Squeeze", {{"axes", Dims{3}}}), {2, 3, 4});
  check(unary(13, in, "Squeeze", {}, {"axes"}).integers("axes", {-1}), {2, 3, 4});
  check(unary(13, in, "Squeeze"), {2, 3, 4});
  OnnxModel back(11);
  back.input("x", in)
      .node("Neg", {"x"}, {"m"})
      .node("Neg", {"m"}, {"n"})
      .node("Squeeze", {"n"}, {"s"});
  back.node("Unsqueeze", {"s"}, {"y"}, {{"axes", Dims{1}}}).output("y");
  check(back, {2, 1, 3, 4});
  OnnxModel newer(13);
  newer.input("x", in).node("Neg", {"x"}, {"m"}).node("Neg", {"m"}, {"n"});
  newer.integers("axes", {1}).node("Squeeze", {"n"}, {"s"});
  newer.node("Unsqueeze", {"s", "axes"}, {"y"}).output("y");
  check(newer, {2, 1, 3, 4});
}

TEST(OnnxOperators, Transpositions) {
  const Dims in = {2, 3, 4, 5};
  Dims order = {0, 1, 2, 3};
  do {
    SCOPED_TRACE(::testing::PrintToString(order));
    const auto model = unary(13, in, "Transpose", {{"perm", order}});
    expect_computes(model, {in}, [&](const std::vector<Array>& x) {
      Dims dims;
      for (const std::int64_t axis : order) dims.push_back(in[static_cast<std::size_t>(axis)]);
      return made(dims, [&](const Dims& at) {
        Dims from(4);
        for (std::size_t i = 0; i < 4; ++i) from[static_cast<std::size_t>(order[i])] = at[i];
        return x[0](from);
      });
    });
  } while (std::ranges::next_permutation(order).found);
}

TEST(OnnxOperators, ChannelsLastIsAViewAsTensorFlowExportsIt) {
  OnnxModel model(11);
  model.input("x", {1, 6, 6, 3}).random("w", {4, 3, 3, 3}).random("b", {4});
  model.node("Transpose", {"x"}, {"first"}, {{"perm", Dims{0, 3, 1, 2}}});
  model.node("Conv", {"first", "w"}, {"c"})
      .node("Transpose", {"c"}, {"last"}, {{"perm", Dims{0, 2, 3, 1}}});
  model.node("Add", {"last", "b"}, {"biased"}).node("Relu", {"biased"}, {"y"}).output("y");
  const Array w = stored(model, "w"), b = stored(model, "b");
  expect_computes(model, {{1, 6, 6, 3}}, [&](const std::vector<Array>& x) {
    return made({1, 4, 4, 4}, [&](const Dims& at) {
      double sum = b.values[static_cast<std::size_t>(at[3])];
      for (std::int64_t i = 0; i < 3; ++i)
        for (std::int64_t ky = 0; ky < 3; ++ky)
          for (std::int64_t kx = 0; kx < 3; ++kx)
            sum += double{w({at[3], i, ky, kx})} * x[0]({0, at[1] + ky, at[2] + kx, i});
      return std::max(sum, 0.0);
    });
  });
  // The sum per channel is the convolution's bias although channels come last where it is added.
  const auto network = model.read();
  ASSERT_TRUE(network.ok());
  EXPECT_EQ(std::ranges::count_if(network->operators,
                                  [](const Operator& op) {
                                    return op.kind == OperatorKind::compute &&
                                           op.workload.op == Op::conv;
                                  }),
            1);
}

TEST(OnnxOperators, ChannelShuffle) {
  const Dims in = {1, 6, 2, 2};
  OnnxModel model(13);
  model.input("x", in).integers("apart", {1, 2, 3, 2, 2}).integers("together", {1, 6, 2, 2});
  model.node("Reshape", {"x", "apart"}, {"a"});
  model.node("Transpose", {"a"}, {"t"}, {{"perm", Dims{0, 2, 1, 3, 4}}});
  model.node("Reshape", {"t", "together"}, {"y"}).output("y");
  expect_computes(model, {in}, [&](const std::vector<Array>& x) {
    return made(in, [&](const Dims& at) {
      return x[0]({0, at[1] % 2 * 3 + at[1] / 2, at[2], at[3]});
    });
  });
  const auto network = model.read();
  ASSERT_TRUE(network.ok());
  ASSERT_EQ(network->operators.size(), 1U);
  EXPECT_EQ(network->operators[0].workload.op, Op::shuffle);
}

TEST(OnnxOperators, ZerosAroundImages) {
  const Dims in = {1, 2, 3, 4};
  const Dims pads = {0, 0, 1, 2, 0, 0, 0, 3};
  const auto padded = [&](const std::vector<Array>& x) {
    return made({1, 2, 4, 9}, [&](const Dims& at) {
      return x[0]({0, at[1], at[2] - 1, at[3] - 2});
    });
  };
  expect_computes(unary(7, in, "Pad", {{"pads", pads}}), {in}, padded);
  expect_computes(unary(11, in, "Pad", {}, {"pads"}).integers("pads", pads), {in}, padded);
  expect_computes(
      unary(13, in, "Pad", {}, {"pads", "zero"}).integers("pads", pads).floats("zero", {}, {0}),
      {in}, padded);
  // In front of a convolution they become its padding.
  OnnxModel model(11);
  model.input("x", in).integers("pads", pads).random("w", {2, 2, 3, 3});
  model.node("Pad", {"x", "pads"}, {"p"}).node("Conv", {"p", "w"}, {"y"}).output("y");
  const auto network = model.read();
  ASSERT_TRUE(network.ok());
  ASSERT_EQ(network->operators.size(), 1U);
  const ConvShape& shape = network->operators[0].workload.shape;
  EXPECT_EQ((Dims{shape.pad_top, shape.pad_left, shape.pad_bottom, shape.pad_right}),
            (Dims{1, 2, 0, 3}));
}

struct ResizeCase {
  const char* name;
  int opset;
  std::string mode, place, rounding;
  Dims to;
};

class Resizing : public ::testing::TestWithParam<ResizeCase> {};

/// The position among the inputs by the table of the specification.
double position(const ResizeCase& c, double i, double in, double out) {
  const double scale = out / in;
  if (c.place == "asymmetric") return i / scale;
  if (c.place == "align_corners") return out == 1 ? 0 : i * (in - 1) / (out - 1);
  if (c.place == "pytorch_half_pixel" && out == 1) return 0;
  return (i + 0.5) / scale - 0.5;
}

TEST_P(Resizing, FollowsTheSpecification) {
  const ResizeCase& c = GetParam();
  const Dims in = {1, 2, 4, 5};
  OnnxModel model(c.opset);
  model.input("x", in);
  OnnxModel::Attributes attributes = {{"mode", c.mode}};
  const Floats scales = {1, 1, static_cast<float>(c.to[0]) / 4, static_cast<float>(c.to[1]) / 5};
  if (c.opset == 7) {
    attributes.push_back({"scales", scales});
    model.node("Upsample", {"x"}, {"y"}, attributes);
  } else if (c.opset < 11) {
    model.floats("scales", {4}, scales);
    model.node(c.opset == 9 ? "Upsample" : "Resize", {"x", "scales"}, {"y"}, attributes);
  } else {
    attributes.push_back({"coordinate_transformation_mode", c.place});
    attributes.push_back({"nearest_mode", c.rounding});
    model.integers("sizes", {1, 2, c.to[0], c.to[1]});
    model.node("Resize", {"x", "", "", "sizes"}, {"y"}, attributes);
  }
  model.output("y");
  const auto weight = [&](std::int64_t i, std::int64_t from, std::int64_t size, std::int64_t out) {
    const double at = position(c, double(i), double(size), double(out));
    const auto inside = [&](double index) {
      return static_cast<std::int64_t>(std::clamp(index, 0.0, double(size - 1)));
    };
    if (c.mode == "nearest") {
      const double nearest = c.rounding == "floor"               ? std::floor(at)
                             : c.rounding == "ceil"              ? std::ceil(at)
                             : c.rounding == "round_prefer_ceil" ? std::floor(at + 0.5)
                                                                 : std::ceil(at - 0.5);
      return inside(nearest) == from ? 1.0 : 0.0;
    }
    const double below = std::floor(at);
    return (inside(below) == from ? 1 - (at - below) : 0.0) +
           (inside(below + 1) == from ? at - below : 0.0);
  };
  expect_computes(model, {in}, [&](const std::vector<Array>& x) {
    return made({1, 2, c.to[0], c.to[1]}, [&](const Dims& at) {
      double sum = 0;
      for (std::int64_t row = 0; row < in[2]; ++row)
        for (std::int64_t column = 0; column < in[3]; ++column)
          sum += weight(at[2], row, in[2], c.to[0]) * weight(at[3], column, in[3], c.to[1]) *
                 x[0]({0, at[1], row, column});
      return sum;
    });
  });
}

INSTANTIATE_TEST_SUITE_P(
    Onnx, Resizing,
    ::testing::Values(
        ResizeCase{"upsample7", 7, "nearest", "asymmetric", "floor", {8, 15}},
        ResizeCase{"upsample9", 9, "nearest", "asymmetric", "floor", {8, 10}},
        ResizeCase{"upsample9_linear", 9, "linear", "asymmetric", "floor", {8, 10}},
        ResizeCase{"resize10", 10, "nearest", "asymmetric", "floor", {12, 10}},
        ResizeCase{"whole", 11, "nearest", "half_pixel", "round_prefer_floor", {12, 10}},
        ResizeCase{"whole_linear", 13, "linear", "half_pixel", "floor", {8, 20}},
        ResizeCase{"whole_pytorch", 13, "linear", "pytorch_half_pixel", "floor", {8, 20}},
        ResizeCase{"whole_corners", 13, "linear", "align_corners", "floor", {8, 10}},
        ResizeCase{"fraction", 13, "linear", "half_pixel", "floor", {7, 9}},
        ResizeCase{"fraction_corners", 13, "linear", "align_corners", "floor", {6, 3}},
        ResizeCase{"fraction_nearest", 13, "nearest", "asymmetric", "floor", {6, 8}},
        ResizeCase{"fraction_ceil", 13, "nearest", "asymmetric", "ceil", {6, 8}},
        ResizeCase{"fraction_round", 19, "nearest", "half_pixel", "round_prefer_ceil", {6, 7}},
        ResizeCase{"smaller", 13, "linear", "half_pixel", "floor", {2, 3}},
        ResizeCase{"to_one", 13, "linear", "pytorch_half_pixel", "floor", {1, 1}}),
    [](const auto& c) { return std::string(c.param.name); });

TEST(OnnxOperators, DepthToSpaceInBothOrders) {
  const Dims in = {1, 12, 2, 3};
  for (const bool depth_first : {true, false}) {
    const auto model =
        unary(11, in, "DepthToSpace",
              {{"blocksize", std::int64_t{2}}, {"mode", std::string(depth_first ? "DCR" : "CRD")}});
    expect_computes(model, {in}, [&](const std::vector<Array>& x) {
      return made({1, 3, 4, 6}, [&](const Dims& at) {
        const std::int64_t pixel = at[2] % 2 * 2 + at[3] % 2;
        return x[0]({0, depth_first ? pixel * 3 + at[1] : at[1] * 4 + pixel, at[2] / 2, at[3] / 2});
      });
    });
  }
}

TEST(OnnxOperators, WhatDoesNothingIsLeftOut) {
  for (const int opset : {7, 12}) {
    OnnxModel model(opset);
    model.input("x", {1, 2, 3, 3}).floats("ratio", {}, {0.5F});
    const OnnxModel::Attributes old = {{"ratio", 0.5F}};
    model.node("Dropout",
               opset < 12 ? std::vector<std::string>{"x"} : std::vector<std::string>{"x", "ratio"},
               {"d", "mask"}, opset < 12 ? old : OnnxModel::Attributes{});
    model.node("Identity", {"d"}, {"i"});
    model.node("Cast", {"i"}, {"c"}, {{"to", std::int64_t{::onnx::TensorProto::FLOAT}}});
    model.node("Relu", {"c"}, {"y"}).output("y");
    const auto network = model.read();
    ASSERT_TRUE(network.ok()) << network.error().message;
    EXPECT_EQ(network->operators.size(), 1U);
  }
}

TEST(OnnxPatterns, ActivationsSpeltOut) {
  const Dims in = {1, 3, 4, 4};
  const auto start = [&] {
    OnnxModel model(13);
    model.input("x", in);
    for (const auto& [name, value] :
         {std::pair("zero", 0.0F), std::pair("three", 3.0F), std::pair("six", 6.0F),
          std::pair("half", 0.5F), std::pair("one", 1.0F), std::pair("root", std::sqrt(2.0F))})
      model.floats(name, {}, {value});
    return model;
  };
  const auto check = [&](OnnxModel model, ActivationKind kind) {
    model.output("y");
    const auto network = model.read();
    ASSERT_TRUE(network.ok()) << network.error().message;
    ASSERT_EQ(network->operators.size(), 1U);
    EXPECT_EQ(network->operators[0].workload.epilogue.activation.kind, kind);
    EXPECT_FALSE(network->clean_up.empty());
    const Activation activation{kind};
    expect_computes(model, {in}, [&](const std::vector<Array>& x) {
      return mapped(x[0], [&](double v) { return activation(static_cast<float>(v)); });
    });
  };
  check(start().node("Sigmoid", {"x"}, {"s"}).node("Mul", {"x", "s"}, {"y"}),
        ActivationKind::swish);
  check(start().node("Sigmoid", {"x"}, {"s"}).node("Mul", {"s", "x"}, {"y"}),
        ActivationKind::swish);
  check(start()
            .node("HardSigmoid", {"x"}, {"s"}, {{"alpha", 1.0F / 6}, {"beta", 0.5F}})
            .node("Mul", {"x", "s"}, {"y"}),
        ActivationKind::hard_swish);
  check(start()
            .node("Add", {"x", "three"}, {"a"})
            .node("Clip", {"a", "zero", "six"}, {"c"})
            .node("Mul", {"x", "c"}, {"m"})
            .node("Div", {"m", "six"}, {"y"}),
        ActivationKind::hard_swish);
  check(start()
            .node("Add", {"x", "three"}, {"a"})
            .node("Clip", {"a", "zero", "six"}, {"c"})
            .node("Div", {"c", "six"}, {"y"}),
        ActivationKind::hard_sigmoid);
  check(start()
            .node("Div", {"x", "root"}, {"d"})
            .node("Erf", {"d"}, {"e"})
            .node("Add", {"e", "one"}, {"a"})
            .node("Mul", {"x", "a"}, {"m"})
            .node("Mul", {"m", "half"}, {"y"}),
        ActivationKind::gelu);
  // Almost one: the sigmoid of something else.
  auto other = start();
  other.node("Relu", {"x"}, {"r"}).node("Sigmoid", {"r"}, {"s"}).node("Mul", {"x", "s"}, {"y"});
  EXPECT_EQ(other.output("y").read()->operators.size(), 3U);
}

TEST(OnnxConstants, AreComputedWhileReading) {
  // The way PyTorch spells x.view(x.size(0), -1), with detours.
  OnnxModel model(13);
  model.input("x", {2, 3, 2, 2});
  model.node("Shape", {"x"}, {"shape"});
  model.node("Constant", {}, {"zero"}, {{"value", integer_tensor("", {}, {0})}});
  model.node("Gather", {"shape", "zero"}, {"batch"}, {{"axis", std::int64_t{0}}});
  model.integers("first", {0}).node("Unsqueeze", {"batch", "first"}, {"batches"});
  model.node("Constant", {}, {"rest"}, {{"value_ints", Dims{-1}}});
  model.node("Concat", {"batches", "rest"}, {"to"}, {{"axis", std::int64_t{0}}});
  model.node("Cast", {"to"}, {"real"}, {{"to", std::int64_t{::onnx::TensorProto::FLOAT}}});
  model.node("Constant", {}, {"one"}, {{"value_float", 1.0F}});
  model.node("Mul", {"real", "one"}, {"product"});
  model.node("Cast", {"product"}, {"back"}, {{"to", std::int64_t{::onnx::TensorProto::INT64}}});
  model.node("Reshape", {"x", "back"}, {"y"}).node("Relu", {"y"}, {"z"}).output("z");
  const auto network = model.read();
  ASSERT_TRUE(network.ok()) << network.error().message;
  const TensorShape& shape = network->tensors[network->outputs[0]].shape;
  EXPECT_EQ(shape, TensorShape({2, 12}));
  ASSERT_FALSE(network->clean_up.empty());
  EXPECT_NE(network->clean_up[0].find("computed while reading"), std::string::npos);
}

/// A constant that some operators make, seen through what is added to x.
void expect_constant(OnnxModel model, const Array& expected) {
  model.input("x", expected.dims).node("Add", {"x", "made"}, {"y"}).output("y");
  expect_computes(model, {expected.dims}, [&](const std::vector<Array>& x) {
    return made(expected.dims, [&](const Dims& at) { return double{x[0](at)} + expected(at); });
  });
}

TEST(OnnxConstants, OperatorsOnThem) {
  const auto start = [] {
    OnnxModel model(13);
    model.floats("v", {2, 3}, {1, 2, 3, 4, 5, 6});
    return model;
  };
  const auto to_float = [](OnnxModel model, const char* name) {
    return model.node("Cast", {name}, {"made"}, {{"to", std::int64_t{::onnx::TensorProto::FLOAT}}});
  };
  expect_constant(start().node("Transpose", {"v"}, {"made"}), {{3, 2}, {1, 4, 2, 5, 3, 6}});
  expect_constant(start()
                      .integers("starts", {-1})
                      .integers("ends", {INT64_MIN})
                      .integers("axes", {1})
                      .integers("steps", {-2})
                      .node("Slice", {"v", "starts", "ends", "axes", "steps"}, {"made"}),
                  {{2, 2}, {3, 1, 6, 4}});
  expect_constant(start().integers("n", {2, 1}).node("Tile", {"v", "n"}, {"made"}),
                  {{4, 3}, {1, 2, 3, 4, 5, 6, 1, 2, 3, 4, 5, 6}});
  expect_constant(start().integers("to", {2, 2, 3}).node("Expand", {"v", "to"}, {"made"}),
                  {{2, 2, 3}, {1, 2, 3, 4, 5, 6, 1, 2, 3, 4, 5, 6}});
  expect_constant(start()
                      .integers("at", {1, 0})
                      .node("Gather", {"v", "at"}, {"made"}, {{"axis", std::int64_t{0}}}),
                  {{2, 3}, {4, 5, 6, 1, 2, 3}});
  expect_constant(start()
                      .floats("three", {}, {3})
                      .node("Greater", {"v", "three"}, {"more"})
                      .node("Neg", {"v"}, {"minus"})
                      .node("Where", {"more", "v", "minus"}, {"made"}),
                  {{2, 3}, {-1, -2, -3, 4, 5, 6}});
  expect_constant(to_float(start()
                               .integers("a", {7}, true)
                               .integers("b", {1}, true)
                               .integers("c", {-2}, true)
                               .node("Range", {"a", "b", "c"}, {"r"}),
                           "r"),
                  {{3}, {7, 5, 3}});
  expect_constant(to_float(start()
                               .integers("a", {7, -7})
                               .integers("b", {2, 2})
                               .node("Mod", {"a", "b"}, {"m"})
                               .node("Div", {"a", "b"}, {"d"})
                               .node("Concat", {"m", "d"}, {"all"}, {{"axis", std::int64_t{0}}}),
                           "all"),
                  {{4}, {1, 1, 3, -3}});
  expect_constant(to_float(start()
                               .integers("shape", {2, 2})
                               .node("ConstantOfShape", {"shape"}, {"filled"},
                                     {{"value", integer_tensor("", {1}, {5})}}),
                           "filled"),
                  {{2, 2}, {5, 5, 5, 5}});
  expect_constant(start()
                      .floats("w", {3}, {1, 4, 9})
                      .node("Sqrt", {"w"}, {"s"})
                      .node("Add", {"v", "s"}, {"made"}),
                  {{2, 3}, {2, 4, 6, 5, 7, 9}});
}

}  // namespace
}  // namespace convopt::testing
