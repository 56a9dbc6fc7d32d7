#include "model/stacking.h"

#include <algorithm>
#include <cmath>
#include <map>

namespace convopt {
namespace {

// Weight of a workload's common error, relative to that of a difference. Between 0.01 and 0.6
// regrets are much the same.
constexpr double kCommon = 0.1;
// Weight of the prior: as much as a sum of so many squared errors. Between CPUs whose kernels rank
// alike, ten shapes have that little; between others, three have far more (docs/lab/model.md).
constexpr double kPrior = 1.35;

/// Symmetric, one row and column per predictor: w'Qw is the squared error of a mean with weights w.
class Quadratic {
 public:
  explicit Quadratic(std::size_t count) : count_(count), values_(count * count) {}

  void add(std::span<const double> errors, double weight) {
    for (std::size_t i = 0; i < count_; ++i) {
      for (std::size_t j = 0; j < count_; ++j) {
        values_[i * count_ + j] += weight * errors[i] * errors[j];
      }
    }
  }
  void add_ridge(double weight) {
    for (std::size_t i = 0; i < count_; ++i) values_[i * count_ + i] += weight;
  }
  double at(std::size_t i, std::size_t j) const { return values_[i * count_ + j]; }

  /// Smallest w'Qw/2 - b'w over weights that are not negative and sum to 1, from `start` on: weight
  /// is moved between two predictors at a time.
  std::vector<double> minimise(std::span<const double> b, std::span<const double> start) const {
    std::vector<double> w(start.begin(), start.end());
    constexpr int kMostSweeps = 500;
    for (int sweep = 0; sweep < kMostSweeps; ++sweep) {
      double moved = 0;
      for (std::size_t i = 0; i < count_; ++i) {
        for (std::size_t j = 0; j < i; ++j) {
          const double curvature = at(i, i) + at(j, j) - 2 * at(i, j);
          if (!(curvature > 0)) continue;
          const double gain = (gradient(w, b, i) - gradient(w, b, j)) / curvature;
          const double step = std::clamp(gain, -w[j], w[i]);
          w[i] -= step;
          w[j] += step;
          moved = std::max(moved, std::abs(step));
        }
      }
      if (moved < 1e-6) break;
    }
    return w;
  }

 private:
  double gradient(std::span<const double> w, std::span<const double> b, std::size_t i) const {
    double sum = -b[i];
    for (std::size_t j = 0; j < count_; ++j) sum += at(i, j) * w[j];
    return sum;
  }

  std::size_t count_;
  std::vector<double> values_;
};

}  // namespace

std::vector<double> stacking_weights(const Dataset& data, std::span<const std::size_t> rows,
                                     std::span<const std::span<const double>> errors,
                                     std::span<const double> prior) {
  const std::size_t count = errors.size();
  std::map<std::size_t, std::vector<std::size_t>> by_workload;  // indices into rows
  for (std::size_t i = 0; i < rows.size(); ++i) {
    // A bound says less than a time, and nothing about a difference.
    const Sample& sample = data.samples[rows[i]];
    if (!sample.censored) by_workload[sample.workload].push_back(i);
  }
  Quadratic squares(count);
  std::vector<double> values(count);
  for (const auto& [workload, members] : by_workload) {
    std::vector<double> common(count);
    double weight = 0;
    for (const std::size_t i : members) {
      const double relevance = data.samples[rows[i]].relevance;
      for (std::size_t m = 0; m < count; ++m) common[m] += relevance * errors[m][i];
      weight += relevance;
    }
    for (double& value : common) value /= weight;
    squares.add(common, kCommon);
    for (const std::size_t i : members) {
      for (std::size_t m = 0; m < count; ++m) values[m] = errors[m][i] - common[m];
      squares.add(values, data.samples[rows[i]].relevance);
    }
  }
  squares.add_ridge(kPrior);
  std::vector<double> pull;
  for (const double share : prior) pull.push_back(kPrior * share);
  return squares.minimise(pull, prior);
}

}  // namespace convopt
