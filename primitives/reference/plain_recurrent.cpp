// Layers that carry a state from one step of a sequence to the next.
#include <cmath>
#include <utility>
#include <vector>

#include "primitives/reference/plain.h"

namespace convopt::reference {
namespace {

double sigmoid(double x) { return 1 / (1 + std::exp(-x)); }

/// The weights of one direction and of one row of the batch.
class Direction {
 public:
  Direction(const Workload& workload, const Parameters& parameters, int number)
      : inputs_(workload.first[2]),
        hidden_(workload.second[2]),
        rows_(std::int64_t{workload.op == Op::lstm ? 4 : 3} * hidden_) {
    const float* const weights = parameters.weights.as<float>();
    input_ = weights + number * rows_ * inputs_;
    state_ = weights + workload.second[0] * rows_ * inputs_ + number * rows_ * hidden_;
    const float* const bias = parameters.bias.as<float>();
    if (bias != nullptr) bias_ = bias + number * 2 * rows_;
  }

  /// What weights and bias make of the input for one hidden value of a gate.
  double from_input(int gate, int i, const Tensor& in, int step, int row) const {
    const std::int64_t number = std::int64_t{gate} * hidden_ + i;
    double sum = bias_ != nullptr ? bias_[number] : 0;
    for (int k = 0; k < inputs_; ++k) sum += input_[number * inputs_ + k] * in.at({step, row, k});
    return sum;
  }
  double from_state(int gate, int i, const std::vector<double>& state) const {
    const std::int64_t number = std::int64_t{gate} * hidden_ + i;
    double sum = bias_ != nullptr ? bias_[rows_ + number] : 0;
    for (int k = 0; k < hidden_; ++k)
      sum += state_[number * hidden_ + k] * state[static_cast<std::size_t>(k)];
    return sum;
  }

 private:
  int inputs_, hidden_;
  std::int64_t rows_;
  const float *input_, *state_, *bias_ = nullptr;
};

}  // namespace

void recur(const Workload& workload, const Parameters& parameters, std::span<const Tensor> sources,
           Tensor& result) {
  const Tensor& in = sources[0];
  const int steps = in.shape[0], directions = workload.second[0], batch = workload.second[1];
  const auto hidden = static_cast<std::size_t>(workload.second[2]);
  for (int d = 0; d < directions; ++d) {
    const Direction direction(workload, parameters, d);
    const bool backwards = d == 1 || workload.reversed == 1;
    for (int b = 0; b < batch; ++b) {
      std::vector<double> state(hidden), cell(hidden), next(hidden);
      const auto at = [&](int step, std::size_t i) {
        return Index{step, d, b, static_cast<int>(i)};
      };
      for (std::size_t i = 0; i < hidden; ++i) {
        const Index from = {d, b, static_cast<int>(i)};
        state[i] = sources[1].at(from);
        if (workload.op == Op::lstm) cell[i] = sources[2].at(from);
      }
      for (int s = 0; s < steps; ++s) {
        const int step = backwards ? steps - 1 - s : s;
        const auto sum = [&](int gate, std::size_t i, const std::vector<double>& seen) {
          const auto number = static_cast<int>(i);
          return direction.from_input(gate, number, in, step, b) +
                 direction.from_state(gate, number, seen);
        };
        if (workload.op == Op::lstm) {
          for (std::size_t i = 0; i < hidden; ++i) {
            cell[i] = sigmoid(sum(2, i, state)) * cell[i] +
                      sigmoid(sum(0, i, state)) * std::tanh(sum(3, i, state));
            next[i] = sigmoid(sum(1, i, state)) * std::tanh(cell[i]);
          }
        } else {
          std::vector<double> reset(hidden), seen = state;
          for (std::size_t i = 0; i < hidden; ++i) {
            reset[i] = sigmoid(sum(1, i, state));
            if (workload.reset_after == 0) seen[i] = reset[i] * state[i];
          }
          for (std::size_t i = 0; i < hidden; ++i) {
            const auto number = static_cast<int>(i);
            double from_state = direction.from_state(2, number, seen);
            if (workload.reset_after == 1) from_state *= reset[i];
            const double candidate =
                std::tanh(direction.from_input(2, number, in, step, b) + from_state);
            const double update = sigmoid(sum(0, i, state));
            next[i] = (1 - update) * candidate + update * state[i];
          }
        }
        std::swap(state, next);
        for (std::size_t i = 0; i < hidden; ++i) result.at(at(step, i)) = state[i];
      }
      if (workload.keeps_cell == 0) continue;
      for (std::size_t i = 0; i < hidden; ++i) result.at(at(steps, i)) = cell[i];
    }
  }
}

}  // namespace convopt::reference
