#include "model/gaussian_process.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <optional>
#include <unordered_map>

#include "core/ops/descriptor.h"
#include "model/statistics.h"

namespace convopt {
namespace {

// More points say little more, and the work grows with their cube.
constexpr std::size_t kMostPoints = 120;
// Explaining what other levels leave, in turn. Not yet the joint fit: with ten shapes predictions
// of a network's layers differ from those after 120 sweeps by 0.5 and 2 % on average, by 4 % at
// most. After 240, errors are up to 0.7 points lower and regrets the same.
constexpr int kSweeps = 15;

/// What observations may have in common, with the standard deviations of its parts: of one that is
/// the same for all sizes and of one that changes with them. Tried between AVX-512 and SSE4 of Zen
/// 5 with ten and thirty shapes: constants of names from 0.05 to 0.2 and of kinds from 0.05 to 0.1,
/// what changes of both from half of this to twice: mean regrets from 1.044 to 1.054, larger ones
/// worse.
struct Level {
  enum class Key : std::uint8_t { all, workload, op, kind, name } key;
  double constant, changing;
  bool lasting;  ///< says something of other workloads, too
};
constexpr Level kLevels[] = {
    {Level::Key::all, 0.5, 0, true},
    {Level::Key::workload, 0, 0, false},  // its times are taken together, and err together
    {Level::Key::op, 0.15, 0.1, true},
    {Level::Key::kind, 0.07, 0.07, true},
    {Level::Key::name, 0.1, 0.05, true}};
/// Candidates for the amplitude of what changes with size and for the noise of single times. The
/// pair with the largest likelihood is taken, computed on this many primitives with this many
/// points each.
constexpr std::array kScales = {0.5, 1.0, 2.0, 4.0};
constexpr std::array kNoises = {0.03, 0.06, 0.12};
constexpr std::size_t kLikelihoodPrimitives = 24, kLikelihoodPoints = 40;

/// Matern, smoothness 3/2.
double kernel(const SizePoint& a, const SizePoint& b) {
  double squares = 0;
  for (std::size_t i = 0; i < a.size(); ++i) squares += (a[i] - b[i]) * (a[i] - b[i]);
  const double r = std::sqrt(3 * squares);
  return (1 + r) * std::exp(-r);
}

constexpr std::string_view kAll = "all";

std::string op_key(const PrimitiveInfo& p) { return std::string(to_string(p.op)) + '/'; }

/// Solves (K + diag(noise^2 / weight)) x = y; K given by a function of two indices.
class Solver {
 public:
  template <class Kernel>
  Solver(std::size_t count, std::span<const double> noise_variance, Kernel&& kernel)
      : n_(count), l_(count * count) {
    for (std::size_t i = 0; i < n_; ++i) {
      for (std::size_t j = 0; j <= i; ++j) {
        double sum = kernel(i, j) + (i == j ? noise_variance[i] : 0.0);
        for (std::size_t k = 0; k < j; ++k) sum -= l_[i * n_ + k] * l_[j * n_ + k];
        l_[i * n_ + j] = i == j ? std::sqrt(std::max(sum, 1e-12)) : sum / l_[j * n_ + j];
      }
    }
  }
  double log_likelihood(const std::vector<double>& y) const {
    double result = 0;
    for (const double z : forward(y)) result -= 0.5 * z * z;
    for (std::size_t i = 0; i < n_; ++i) result -= std::log(l_[i * n_ + i]);
    return result;
  }
  std::vector<double> solve(const std::vector<double>& y) const {
    std::vector<double> x = forward(y);
    for (std::size_t i = n_; i-- > 0;) {
      for (std::size_t k = i + 1; k < n_; ++k) x[i] -= l_[k * n_ + i] * x[k];
      x[i] /= l_[i * n_ + i];
    }
    return x;
  }

 private:
  std::vector<double> forward(std::vector<double> x) const {
    for (std::size_t i = 0; i < n_; ++i) {
      for (std::size_t k = 0; k < i; ++k) x[i] -= l_[i * n_ + k] * x[k];
      x[i] /= l_[i * n_ + i];
    }
    return x;
  }

  std::size_t n_;
  std::vector<double> l_;  // lower triangle, row-major
};

struct Observation {
  std::size_t point = 0;
  const PrimitiveInfo* primitive = nullptr;
  double value = 0, weight = 0;
};

std::string key_of(Level::Key key, const Observation& o) {
  switch (key) {
    case Level::Key::all:
      return std::string(kAll);
    case Level::Key::workload:
      return std::to_string(o.point);
    case Level::Key::op:
      return op_key(*o.primitive);
    case Level::Key::kind:
      return kind_of(*o.primitive);
    case Level::Key::name:
      return o.primitive->name;
  }
  return {};
}

/// Observations of one level and key: a Gaussian process over the points that they are at.
struct Part {
  std::vector<std::size_t> points;                     ///< that occur
  std::vector<std::vector<std::size_t>> observations;  ///< at each of them
  std::vector<double> weight;                          ///< of all of these together
  std::optional<Solver> solver;
  std::vector<double> solution;  ///< one per point
  std::vector<double> value;     ///< of the process at each of them

  void add(const Observation& o, std::size_t index) {
    const auto at = std::ranges::find(points, o.point) - points.begin();
    if (static_cast<std::size_t>(at) == points.size()) {
      points.push_back(o.point);
      observations.emplace_back();
      weight.push_back(0);
    }
    observations[static_cast<std::size_t>(at)].push_back(index);
    weight[static_cast<std::size_t>(at)] += o.weight;
  }
  /// Weighted means of `of`, one per point.
  std::vector<double> means(const std::vector<Observation>& seen,
                            const std::vector<double>& of) const {
    std::vector<double> result(points.size());
    for (std::size_t i = 0; i < points.size(); ++i) {
      for (const std::size_t o : observations[i]) result[i] += seen[o].weight * of[o];
      result[i] /= weight[i];
    }
    return result;
  }
};
using Parts = std::map<std::string, Part>;

struct Amplitudes {
  double scale = 1, noise = kNoises[1];
};

class Fitting {
 public:
  Fitting(const std::vector<SizePoint>& points, std::vector<Observation> seen)
      : count_(points.size()), gram_(count_ * count_), seen_(std::move(seen)) {
    for (std::size_t i = 0; i < count_; ++i) {
      for (std::size_t j = 0; j < count_; ++j) gram_[i * count_ + j] = kernel(points[i], points[j]);
    }
    for (const Observation& o : seen_) left_.push_back(o.value);
  }

  void run() {
    for (const Level& level : kLevels) {
      Parts& parts = parts_.emplace_back();
      for (std::size_t i = 0; i < seen_.size(); ++i)
        parts[key_of(level.key, seen_[i])].add(seen_[i], i);
    }
    choose_amplitudes();
    for (std::size_t l = 0; l < parts_.size(); ++l) {
      for (auto& [key, part] : parts_[l]) {
        // Measured twice, all times of a workload move together about as much as apart.
        const double constant = kLevels[l].lasting ? kLevels[l].constant : amplitudes_.noise;
        part.solver.emplace(solver(part, part.points.size(), square(constant),
                                   square(kLevels[l].changing), amplitudes_));
        part.value.assign(part.points.size(), 0);
      }
    }
    // What is explained together, found by explaining what the others leave, in turn.
    for (int sweep = 0; sweep < kSweeps; ++sweep) {
      for (Parts& parts : parts_) {
        for (auto& [key, part] : parts) explain(part);
      }
    }
  }

  std::map<std::string, std::vector<double>, std::less<>> factors() const {
    std::map<std::string, std::vector<double>, std::less<>> result;
    for (std::size_t l = 0; l < parts_.size(); ++l) {
      if (!kLevels[l].lasting) continue;
      const double changing = square(kLevels[l].changing * amplitudes_.scale);
      for (const auto& [key, part] : parts_[l]) {
        std::vector<double>& of_key = result[key];
        of_key.resize(count_ + 1);
        for (std::size_t i = 0; i < part.points.size(); ++i) {
          of_key[part.points[i]] += changing * part.solution[i];
          of_key[count_] += square(kLevels[l].constant) * part.solution[i];
        }
      }
    }
    return result;
  }

 private:
  static double square(double x) { return x * x; }

  Solver solver(const Part& part, std::size_t points, double constant, double changing,
                const Amplitudes& amplitudes) const {
    std::vector<double> variance;
    for (std::size_t i = 0; i < points; ++i) {
      variance.push_back(square(amplitudes.noise) / part.weight[i]);
    }
    return Solver(points, variance, [&](std::size_t i, std::size_t j) {
      return constant +
             changing * square(amplitudes.scale) * gram_[part.points[i] * count_ + part.points[j]];
    });
  }

  // As if primitives had nothing to do with each other: each has all levels' variance to itself.
  void choose_amplitudes() {
    double constant = 0, changing = 0;
    for (const Level& level : kLevels) {
      constant += level.lasting ? square(level.constant) : 0.0;
      changing += square(level.changing);
    }
    const auto names = static_cast<std::size_t>(
        std::ranges::find(kLevels, Level::Key::name, &Level::key) - std::begin(kLevels));
    double best = -INFINITY;
    for (const double scale : kScales) {
      for (const double noise : kNoises) {
        const Amplitudes amplitudes{scale, noise};
        double likelihood = 0;
        std::size_t primitives = 0;
        for (const auto& [key, part] : parts_[names]) {
          if (++primitives > kLikelihoodPrimitives) break;
          const std::size_t points = std::min(part.points.size(), kLikelihoodPoints);
          std::vector<double> values = part.means(seen_, left_);
          values.resize(points);
          likelihood += solver(part, points, constant, changing, amplitudes).log_likelihood(values);
        }
        if (likelihood > best) {
          best = likelihood;
          amplitudes_ = amplitudes;
        }
      }
    }
  }

  void explain(Part& part) {
    std::vector<double> target = part.means(seen_, left_);
    for (std::size_t i = 0; i < target.size(); ++i) target[i] += part.value[i];
    part.solution = part.solver->solve(target);
    for (std::size_t i = 0; i < target.size(); ++i) {
      const double value =
          target[i] - square(amplitudes_.noise) / part.weight[i] * part.solution[i];
      for (const std::size_t o : part.observations[i]) left_[o] -= value - part.value[i];
      part.value[i] = value;
    }
  }

  std::size_t count_;
  std::vector<double> gram_;
  std::vector<Observation> seen_;
  std::vector<double> left_;  ///< of each observation, by all levels together
  std::vector<Parts> parts_;  ///< one per level
  Amplitudes amplitudes_;
};

/// Residuals that are farther from their median than most say are moved as near as that (Huber,
/// 1964): a single disturbed time must not outweigh all others.
std::vector<double> without_outliers(std::span<const double> residuals) {
  // A normal distribution has one of 16000 beyond four deviations. Corrections below a factor of
  // two are never doubted.
  constexpr double kDeviations = 4 * 1.4826, kLeast = 0.7;
  std::vector<double> result(residuals.begin(), residuals.end());
  const double center = statistics::median(result);
  std::vector<double> distances;
  for (const double residual : result) distances.push_back(std::abs(residual - center));
  const double most = std::max(kLeast, kDeviations * statistics::median(std::move(distances)));
  for (double& residual : result) residual = std::clamp(residual, center - most, center + most);
  return result;
}

}  // namespace

SizePoint size_point(const Workload& workload) {
  const ConvShape s = geometry(workload);
  const TensorShape output = as_image(workload.output());
  const auto log = [](double value) { return std::log2(std::max(1.0, value)); };
  constexpr double kOctaves = 3;
  return {log(double(output.n()) * output.h() * output.w()) / kOctaves, log(output.c()) / kOctaves,
          log(double(s.ic) / s.groups) / kOctaves, log(double(s.kh) * s.kw) / 2,
          log(std::max(s.stride_h, s.stride_w))};
}

GaussianProcess GaussianProcess::fit(const Dataset& data, std::span<const std::size_t> rows,
                                     std::span<const double> all_residuals) {
  const std::vector<double> residuals = without_outliers(all_residuals);
  GaussianProcess process;
  std::unordered_map<std::size_t, std::size_t> point_of;
  std::vector<Observation> seen;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const Sample& s = data.samples[rows[i]];
    // A bound that is below what was expected says nothing.
    if (s.censored && residuals[i] < 0) continue;
    const auto [at, is_new] = point_of.try_emplace(s.workload, process.points.size());
    if (is_new) {
      if (process.points.size() >= kMostPoints) {
        point_of.erase(at);
        continue;
      }
      process.points.push_back(size_point(data.workloads[s.workload]));
    }
    seen.push_back({at->second, &data.primitives[s.primitive], residuals[i],
                    std::max(kLeastWeight, s.relevance)});
  }
  Fitting fitting(process.points, std::move(seen));
  fitting.run();
  process.factors = fitting.factors();
  return process;
}

std::vector<double> GaussianProcess::kernels(const SizePoint& point) const {
  std::vector<double> result(points.size());
  for (std::size_t i = 0; i < points.size(); ++i) result[i] = kernel(point, points[i]);
  result.push_back(1);
  return result;
}

std::vector<double> GaussianProcess::of(const PrimitiveInfo& primitive) const {
  std::vector<double> result;
  for (const std::string& key :
       {std::string(kAll), op_key(primitive), kind_of(primitive), primitive.name}) {
    const auto own = factors.find(key);
    if (own == factors.end()) continue;
    result.resize(own->second.size());
    for (std::size_t i = 0; i < result.size(); ++i) result[i] += own->second[i];
  }
  return result;
}

void GaussianProcess::scale(double weight) {
  for (auto& [key, values] : factors) {
    for (double& value : values) value *= weight;
  }
}

}  // namespace convopt
