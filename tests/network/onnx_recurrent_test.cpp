// LSTM and GRU in their forms, against the specification of ONNX.
#include <gtest/gtest.h>

#include <cmath>
#include <string>
#include <utility>
#include <vector>

#include "tests/network/onnx_arrays.h"

namespace convopt::testing {
namespace {

constexpr std::int64_t kSteps = 5, kBatch = 2, kInputs = 3, kHidden = 4;

double sigmoid(double x) { return 1 / (1 + std::exp(-x)); }

/// Y, Y_h and Y_c.
using Results = std::vector<Array>;

struct Layer {
  std::string type, direction = "forward";
  bool has_bias = true, has_states = true, reset_after = false, batch_first = false;

  std::int64_t gates() const { return type == "LSTM" ? 4 : 3; }
  std::int64_t directions() const { return direction == "bidirectional" ? 2 : 1; }
  Dims x() const {
    return batch_first ? Dims{kBatch, kSteps, kInputs} : Dims{kSteps, kBatch, kInputs};
  }
  Dims state() const {
    return batch_first ? Dims{kBatch, directions(), kHidden} : Dims{directions(), kBatch, kHidden};
  }

  OnnxModel model(const std::string& output) const {
    OnnxModel model(14);
    const std::int64_t rows = gates() * kHidden;
    model.input("x", x()).random("w", {directions(), rows, kInputs});
    model.random("r", {directions(), rows, kHidden}).random("b", {directions(), 2 * rows});
    std::vector<std::string> inputs = {"x", "w", "r", has_bias ? "b" : "", ""};
    if (has_states) {
      model.input("h", state());
      inputs.push_back("h");
      if (type == "LSTM") model.input("c", state());
      if (type == "LSTM") inputs.push_back("c");
    }
    OnnxModel::Attributes attributes = {{"hidden_size", kHidden}, {"direction", direction}};
    if (reset_after) attributes.emplace_back("linear_before_reset", std::int64_t{1});
    if (batch_first) attributes.emplace_back("layout", std::int64_t{1});
    std::vector<std::string> outputs = {"y", "y_h"};
    if (type == "LSTM") outputs.push_back("y_c");
    return model.node(type, inputs, outputs, attributes).output(output);
  }

  Results compute(const OnnxModel& model, const std::vector<Array>& given) const {
    const Array w = stored(model, "w"), r = stored(model, "r"), b = stored(model, "b");
    const std::int64_t rows = gates() * kHidden;
    Results results(3, Array(state()));
    results[0] = Array(batch_first ? Dims{kBatch, kSteps, directions(), kHidden}
                                   : Dims{kSteps, directions(), kBatch, kHidden});
    for (std::int64_t d = 0; d < directions(); ++d) {
      for (std::int64_t n = 0; n < kBatch; ++n) {
        const auto of_state = [&](std::int64_t i) {
          return batch_first ? Dims{n, d, i} : Dims{d, n, i};
        };
        std::vector<double> h(kHidden), c(kHidden);
        for (std::int64_t i = 0; i < kHidden && has_states; ++i) {
          h[std::size_t(i)] = given[1](of_state(i));
          if (type == "LSTM") c[std::size_t(i)] = given[2](of_state(i));
        }
        for (std::int64_t s = 0; s < kSteps; ++s) {
          const bool backwards = d == 1 || direction == "reverse";
          const std::int64_t t = backwards ? kSteps - 1 - s : s;
          // W x + Wb and R h + Rb of one row.
          const auto from_input = [&](std::int64_t row) {
            double sum = has_bias ? b({d, row}) : 0;
            for (std::int64_t k = 0; k < kInputs; ++k)
              sum += w({d, row, k}) * given[0](batch_first ? Dims{n, t, k} : Dims{t, n, k});
            return sum;
          };
          const auto from_state = [&](std::int64_t row, const std::vector<double>& state) {
            double sum = has_bias ? b({d, rows + row}) : 0;
            for (std::int64_t k = 0; k < kHidden; ++k)
              sum += r({d, row, k}) * state[std::size_t(k)];
            return sum;
          };
          const auto gate = [&](std::int64_t number, std::int64_t i) {
            return from_input(number * kHidden + i) + from_state(number * kHidden + i, h);
          };
          std::vector<double> next(kHidden), reset(kHidden);
          for (std::int64_t i = 0; i < kHidden; ++i) reset[std::size_t(i)] = sigmoid(gate(1, i));
          std::vector<double> seen = h;
          for (std::size_t i = 0; i < seen.size(); ++i) seen[i] *= reset[i];
          for (std::int64_t i = 0; i < kHidden; ++i) {
            const auto at = std::size_t(i);
            if (type == "LSTM") {
              c[at] = sigmoid(gate(2, i)) * c[at] + sigmoid(gate(0, i)) * std::tanh(gate(3, i));
              next[at] = sigmoid(gate(1, i)) * std::tanh(c[at]);
            } else {
              const std::int64_t row = 2 * kHidden + i;
              const double hidden =
                  reset_after ? reset[at] * from_state(row, h) : from_state(row, seen);
              const double z = sigmoid(gate(0, i));
              next[at] = (1 - z) * std::tanh(from_input(row) + hidden) + z * h[at];
            }
          }
          h = next;
          for (std::int64_t i = 0; i < kHidden; ++i) {
            results[0].at(batch_first ? Dims{n, t, d, i} : Dims{t, d, n, i}) =
                static_cast<float>(h[std::size_t(i)]);
          }
        }
        for (std::int64_t i = 0; i < kHidden; ++i) {
          results[1].at(of_state(i)) = static_cast<float>(h[std::size_t(i)]);
          results[2].at(of_state(i)) = static_cast<float>(c[std::size_t(i)]);
        }
      }
    }
    return results;
  }

  std::vector<Dims> inputs() const {
    std::vector<Dims> all = {x()};
    if (has_states) all.push_back(state());
    if (has_states && type == "LSTM") all.push_back(state());
    return all;
  }

  void expect_right() const {
    const std::vector<std::string> outputs = {"y", "y_h", "y_c"};
    for (std::size_t i = 0; i < (type == "LSTM" ? 3U : 2U); ++i) {
      const OnnxModel model = this->model(outputs[i]);
      SCOPED_TRACE(type + " " + direction + " " + outputs[i]);
      expect_computes(model, inputs(),
                      [&](const std::vector<Array>& given) { return compute(model, given)[i]; });
    }
  }
};

TEST(Recurrent, EveryDirectionAndForm) {
  for (const char* type : {"LSTM", "GRU"}) {
    for (const char* direction : {"forward", "reverse", "bidirectional"}) {
      Layer layer;
      layer.type = type;
      layer.direction = direction;
      layer.expect_right();
      layer.has_states = false;
      layer.reset_after = true;
      layer.expect_right();
      layer.has_bias = false;
      layer.batch_first = true;
      layer.expect_right();
    }
  }
}

/// How often the network of a model has an operation.
long count_of(const OnnxModel& model, Op op) {
  const auto network = model.read();
  EXPECT_TRUE(network.ok()) << (network.ok() ? "" : network.error().message);
  if (!network) return -1;
  return std::ranges::count_if(network->operators, [&](const Operator& one) {
    return one.kind == OperatorKind::compute && one.workload.op == op;
  });
}

TEST(Recurrent, AreOneOperationWithTheUsualFunctions) {
  Layer layer;
  layer.type = "LSTM";
  EXPECT_EQ(count_of(layer.model("y"), Op::lstm), 1);
  layer.type = "GRU";
  EXPECT_EQ(count_of(layer.model("y"), Op::gru), 1);
  // Peepholes and other functions are unrolled.
  OnnxModel peeping(14);
  peeping.input("x", {kSteps, kBatch, kInputs}).random("w", {1, 4 * kHidden, kInputs});
  peeping.random("r", {1, 4 * kHidden, kHidden}).random("p", {1, 3 * kHidden});
  peeping.node("LSTM", {"x", "w", "r", "", "", "", "", "p"}, {"y"}, {{"hidden_size", kHidden}})
      .output("y");
  EXPECT_EQ(count_of(peeping, Op::lstm), 0);
}

/// What is unrolled has a limit of steps; the operations have none.
TEST(Recurrent, LongSequencesAreRead) {
  OnnxModel model(14);
  model.input("x", {5000, 1, kInputs}).random("w", {1, 3 * kHidden, kInputs});
  model.random("r", {1, 3 * kHidden, kHidden});
  model.node("GRU", {"x", "w", "r"}, {"y"}, {{"hidden_size", kHidden}}).output("y");
  EXPECT_EQ(count_of(model, Op::gru), 1);
}

}  // namespace
}  // namespace convopt::testing
