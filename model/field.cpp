#include "model/field.h"

#include <algorithm>
#include <cmath>
#include <optional>
#include <unordered_map>

namespace convopt {
namespace {

// More points say little more, and the work grows with their cube.
constexpr std::size_t kMostPoints = 120;
constexpr int kSweeps = 15;
constexpr double kLeastWeight = 0.2;

/// What observations may have in common, and standard deviations of it: of what is the same for all
/// sizes, and of what changes with them.
struct Level {
  enum Key : std::uint8_t { workload, all, op, kind, name } key;
  double constant, changing;
  bool lasting;  ///< holds for other workloads, too
};
static double env(const char* n, double d) {
  const char* e = getenv(n);
  return e ? atof(e) : d;
}
const double kNoise = env("FN", 0.06);
const Level kLevels[] = {{Level::all, env("FA", 0.5), 0, true},
                         {Level::workload, env("FW", 0.05), 0, false},
                         {Level::op, env("FOC", 0.15), env("FOS", 0.1), true},
                         {Level::kind, env("FKC", 0.1), env("FKS", 0.1), true},
                         {Level::name, env("FNC", 0.1), env("FNS", 0.08), true}};

/// Matern, smoothness 3/2.
double kernel(const FieldPoint& a, const FieldPoint& b) {
  double squares = 0;
  for (std::size_t i = 0; i < a.size(); ++i) squares += (a[i] - b[i]) * (a[i] - b[i]);
  const double r = std::sqrt(3 * squares);
  return (1 + r) * std::exp(-r);
}

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
  std::vector<double> solve(std::vector<double> x) const {
    for (std::size_t i = 0; i < n_; ++i) {
      for (std::size_t k = 0; k < i; ++k) x[i] -= l_[i * n_ + k] * x[k];
      x[i] /= l_[i * n_ + i];
    }
    for (std::size_t i = n_; i-- > 0;) {
      for (std::size_t k = i + 1; k < n_; ++k) x[i] -= l_[k * n_ + i] * x[k];
      x[i] /= l_[i * n_ + i];
    }
    return x;
  }

 private:
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
    case Level::workload:
      return std::to_string(o.point);
    case Level::all:
      return "";
    case Level::op:
      return op_key(*o.primitive);
    case Level::kind:
      return kind_of(*o.primitive);
    case Level::name:
      return o.primitive->name;
  }
  return "";
}

/// Observations of one level and key: a Gaussian process over the points that they are at.
struct Part {
  std::vector<std::size_t> points;                     ///< that occur
  std::vector<std::vector<std::size_t>> observations;  ///< at each of them
  std::vector<double> weight;                          ///< of all of these together
  std::optional<Solver> solver;
  std::vector<double> solution;  ///< one per point
  std::vector<double> value;     ///< of the process at each of them
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
  std::vector<Observation> seen;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const Sample& s = data.samples[rows[i]];
    // A bound that is below what was expected says nothing.
    if (s.censored && residuals[i] < 0) continue;
    const auto [at, is_new] = point_of.try_emplace(s.workload, field.points.size());
    if (is_new) {
      if (field.points.size() >= kMostPoints) {
        point_of.erase(at);
        continue;
      }
      field.points.push_back(field_point(data.workloads[s.workload]));
    }
    seen.push_back({at->second, &data.primitives[s.primitive], residuals[i],
                    std::max(kLeastWeight, s.relevance)});
  }
  const std::size_t n = field.points.size();
  std::vector<double> gram(n * n);
  for (std::size_t i = 0; i < n; ++i) {
    for (std::size_t j = 0; j < n; ++j) gram[i * n + j] = kernel(field.points[i], field.points[j]);
  }

  std::vector<std::map<std::string, Part>> parts;
  for (const Level& level : kLevels) {
    std::map<std::string, Part>& of_level = parts.emplace_back();
    for (std::size_t i = 0; i < seen.size(); ++i) {
      Part& part = of_level[key_of(level.key, seen[i])];
      auto at = std::ranges::find(part.points, seen[i].point);
      const auto index = static_cast<std::size_t>(at - part.points.begin());
      if (at == part.points.end()) {
        part.points.push_back(seen[i].point);
        part.observations.emplace_back();
        part.weight.push_back(0);
      }
      part.observations[index].push_back(i);
      part.weight[index] += seen[i].weight;
    }
    for (auto& [key, part] : of_level) {
      std::vector<double> variance;
      for (const double weight : part.weight) variance.push_back(kNoise * kNoise / weight);
      const auto covariance = [&](std::size_t i, std::size_t j) {
        return level.constant * level.constant +
               level.changing * level.changing * gram[part.points[i] * n + part.points[j]];
      };
      part.solver.emplace(part.points.size(), variance, covariance);
      part.value.assign(part.points.size(), 0);
    }
  }
  // What is explained together, found by explaining what the others leave, in turn.
  std::vector<double> left;
  for (const Observation& o : seen) left.push_back(o.value);
  for (int sweep = 0; sweep < kSweeps; ++sweep) {
    for (std::size_t l = 0; l < parts.size(); ++l) {
      const Level& level = kLevels[l];
      for (auto& [key, part] : parts[l]) {
        std::vector<double> target(part.points.size());
        for (std::size_t i = 0; i < part.points.size(); ++i) {
          for (const std::size_t o : part.observations[i]) target[i] += seen[o].weight * left[o];
          target[i] = target[i] / part.weight[i] + part.value[i];
        }
        part.solution = part.solver->solve(target);
        for (std::size_t i = 0; i < part.points.size(); ++i) {
          const double value = target[i] - kNoise * kNoise / part.weight[i] * part.solution[i];
          for (const std::size_t o : part.observations[i]) left[o] -= value - part.value[i];
          part.value[i] = value;
        }
      }
      (void)level;
    }
  }
  for (std::size_t l = 0; l < parts.size(); ++l) {
    const Level& level = kLevels[l];
    if (!level.lasting) continue;
    for (const auto& [key, part] : parts[l]) {
      std::vector<double>& factors = field.factors[key];
      factors.resize(n + 1);
      for (std::size_t i = 0; i < part.points.size(); ++i) {
        factors[part.points[i]] += level.changing * level.changing * part.solution[i];
        factors[n] += level.constant * level.constant * part.solution[i];
      }
    }
  }
  return field;
}

std::vector<double> Field::kernels(const FieldPoint& point) const {
  std::vector<double> result(points.size());
  for (std::size_t i = 0; i < points.size(); ++i) result[i] = kernel(point, points[i]);
  result.push_back(1);
  return result;
}

std::vector<double> Field::of(const PrimitiveInfo& primitive) const {
  std::vector<double> result;
  for (const std::string& key :
       {std::string(), op_key(primitive), kind_of(primitive), primitive.name}) {
    const auto own = factors.find(key);
    if (own == factors.end()) continue;
    result.resize(own->second.size());
    for (std::size_t i = 0; i < result.size(); ++i) result[i] += own->second[i];
  }
  return result;
}

void Field::scale(double weight) {
  for (auto& [key, values] : factors) {
    for (double& value : values) value *= weight;
  }
}

}  // namespace convopt
