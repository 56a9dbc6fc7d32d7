#include "model/field.h"

#include <algorithm>
#include <cmath>
#include <unordered_map>

namespace convopt {
namespace {

// More points say little more, and the work grows with their cube.
constexpr std::size_t kMostPoints = 120;
// Amplitudes and noises tried; by marginal likelihood one pair is taken for a level. The first
// amplitude switches the level off.
constexpr std::array kAmplitudes = {0.0, 0.03, 0.06, 0.12, 0.25};
constexpr std::array kNoises = {0.03, 0.06, 0.12};
// Processes and points by which the pair is chosen.
constexpr std::size_t kJudges = 24, kJudgePoints = 40;

/// Matern, smoothness 3/2.
double kernel(const FieldPoint& a, const FieldPoint& b) {
  double squares = 0;
  for (std::size_t i = 0; i < a.size(); ++i) squares += (a[i] - b[i]) * (a[i] - b[i]);
  const double r = std::sqrt(3 * squares);
  return (1 + r) * std::exp(-r);
}

std::string op_key(const PrimitiveInfo& p) { return std::string(to_string(p.op)) + '/'; }

struct Observation {
  std::size_t point = 0;
  double value = 0, count = 0;  ///< weighted mean and weight
};
using Observations = std::vector<Observation>;

/// Cholesky factor of amplitude^2 K + diag(noise^2 / count); lower triangle, row-major.
class Factor {
 public:
  Factor(const Observations& seen, std::size_t count, std::span<const double> gram,
         std::size_t stride, double amplitude, double noise)
      : n_(count), l_(count * count) {
    for (std::size_t i = 0; i < n_; ++i) {
      for (std::size_t j = 0; j <= i; ++j) {
        double sum = amplitude * amplitude * gram[seen[i].point * stride + seen[j].point];
        if (i == j) sum += noise * noise / seen[i].count + 1e-9;
        for (std::size_t k = 0; k < j; ++k) sum -= l_[i * n_ + k] * l_[j * n_ + k];
        l_[i * n_ + j] = i == j ? std::sqrt(std::max(sum, 1e-12)) : sum / l_[j * n_ + j];
      }
    }
  }
  std::vector<double> forward(const Observations& seen) const {
    std::vector<double> x(n_);
    for (std::size_t i = 0; i < n_; ++i) {
      double sum = seen[i].value;
      for (std::size_t k = 0; k < i; ++k) sum -= l_[i * n_ + k] * x[k];
      x[i] = sum / l_[i * n_ + i];
    }
    return x;
  }
  std::vector<double> solve(const Observations& seen) const {
    std::vector<double> x = forward(seen);
    for (std::size_t i = n_; i-- > 0;) {
      for (std::size_t k = i + 1; k < n_; ++k) x[i] -= l_[k * n_ + i] * x[k];
      x[i] /= l_[i * n_ + i];
    }
    return x;
  }
  double log_likelihood(const Observations& seen) const {
    double result = 0;
    for (const double z : forward(seen)) result -= 0.5 * z * z;
    for (std::size_t i = 0; i < n_; ++i) result -= std::log(l_[i * n_ + i]);
    return result;
  }

 private:
  std::size_t n_;
  std::vector<double> l_;
};

}  // namespace

FieldPoint field_point(const Workload& workload) {
  const ConvShape& s = workload.shape;
  const TensorShape output = workload.output();
  const auto log = [](double value) { return std::log2(std::max(1.0, value)); };
  constexpr double kOctaves = 3;
  return {log(double(output.n) * output.h * output.w) / kOctaves, log(output.c) / kOctaves,
          log(double(s.ic) / s.groups) / kOctaves, log(double(s.kh) * s.kw) / 2,
          log(std::max(s.stride_h, s.stride_w))};
}

Field Field::fit(const Dataset& data, std::span<const std::size_t> rows,
                 std::span<const double> residuals) {
  Field field;
  std::unordered_map<std::size_t, std::size_t> point_of;
  std::vector<std::size_t> used;
  std::vector<std::size_t> points;
  std::vector<double> left;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const Sample& s = data.samples[rows[i]];
    if (s.censored) continue;
    const auto at = point_of.find(s.workload);
    std::size_t point = 0;
    if (at != point_of.end()) {
      point = at->second;
    } else {
      if (field.points.size() >= kMostPoints) continue;
      point = field.points.size();
      point_of.emplace(s.workload, point);
      field.points.push_back(field_point(data.workloads[s.workload]));
    }
    used.push_back(rows[i]);
    points.push_back(point);
    left.push_back(residuals[i]);
  }
  const std::size_t n = field.points.size();
  std::vector<double> gram(n * n);
  for (std::size_t i = 0; i < n; ++i) {
    for (std::size_t j = 0; j < n; ++j) gram[i * n + j] = kernel(field.points[i], field.points[j]);
  }

  const auto name_key = [](const PrimitiveInfo& p) { return p.name; };
  const auto fit_level = [&](auto&& key_of) {
    std::map<std::string, std::vector<Observation>> sums;
    std::map<std::string, std::map<std::size_t, Observation>> by_key;
    for (std::size_t i = 0; i < used.size(); ++i) {
      const Sample& s = data.samples[used[i]];
      Observation& o = by_key[key_of(data.primitives[s.primitive])][points[i]];
      const double weight = std::max(0.2, s.relevance);
      o.point = points[i];
      o.value += weight * left[i];
      o.count += weight;
    }
    for (auto& [key, observations] : by_key) {
      for (auto& [point, o] : observations) {
        o.value /= o.count;
        sums[key].push_back(o);
      }
    }
    double best = -INFINITY, amplitude = 0, noise = kNoises[0];
    for (const double a : kAmplitudes) {
      for (const double b : kNoises) {
        double likelihood = 0;
        std::size_t judges = 0;
        for (const auto& [key, seen] : sums) {
          if (++judges > kJudges) break;
          likelihood +=
              Factor(seen, std::min(seen.size(), kJudgePoints), gram, n, a, b).log_likelihood(seen);
        }
        if (likelihood > best) {
          best = likelihood;
          amplitude = a;
          noise = b;
        }
      }
    }
    if (amplitude == 0) return;
    for (const auto& [key, seen] : sums) {
      const std::vector<double> solution =
          Factor(seen, seen.size(), gram, n, amplitude, noise).solve(seen);
      std::vector<double>& factors = field.factors[key];
      factors.assign(n, 0);
      for (std::size_t i = 0; i < seen.size(); ++i) {
        factors[seen[i].point] = amplitude * amplitude * solution[i];
      }
    }
    for (std::size_t i = 0; i < used.size(); ++i) {
      const std::vector<double>& factors =
          field.factors[key_of(data.primitives[data.samples[used[i]].primitive])];
      for (std::size_t j = 0; j < n; ++j) left[i] -= factors[j] * gram[points[i] * n + j];
    }
  };
  fit_level(op_key);
  fit_level(kind_of);
  fit_level(name_key);
  return field;
}

std::vector<double> Field::kernels(const FieldPoint& point) const {
  std::vector<double> result(points.size());
  for (std::size_t i = 0; i < points.size(); ++i) result[i] = kernel(point, points[i]);
  return result;
}

std::vector<double> Field::of(const PrimitiveInfo& primitive) const {
  std::vector<double> result;
  for (const std::string& key : {op_key(primitive), kind_of(primitive), primitive.name}) {
    const auto own = factors.find(key);
    if (own == factors.end()) continue;
    result.resize(points.size());
    for (std::size_t i = 0; i < points.size(); ++i) result[i] += own->second[i];
  }
  return result;
}

void Field::scale(double weight) {
  for (auto& [key, values] : factors) {
    for (double& value : values) value *= weight;
  }
}

}  // namespace convopt
