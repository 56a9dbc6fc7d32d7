#include "model/linear_cost.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "model/statistics.h"

namespace convopt {
namespace {

// Standard deviation that a cost model leaves where it fits well; weighs samples against the prior.
constexpr double kNoise = 0.1;
// Errors beyond this many times the noise count linearly (Huber).
constexpr double kHuber = 2.0;
// A coefficient whose prior is zero may still grow to explain this share of the time.
constexpr double kShareOfNothing = 0.1;
// Relative deviation between platforms of the factor per term.
constexpr double kCommonDeviation = 0.7;

// Minimises c'Ac/2 - b'c over c >= 0 by coordinate descent.
void solve_non_negative(const std::array<std::array<double, kCostTerms>, kCostTerms>& a,
                        const std::array<double, kCostTerms>& b,
                        std::array<double, kCostTerms>& c) {
  constexpr int kMostSweeps = 100;
  for (int sweep = 0; sweep < kMostSweeps; ++sweep) {
    double moved = 0, size = 0;
    for (std::size_t j = 0; j < kCostTerms; ++j) {
      if (!(a[j][j] > 0)) continue;
      double gradient = -b[j];
      for (std::size_t i = 0; i < kCostTerms; ++i) gradient += a[j][i] * c[i];
      const double next = std::max(0.0, c[j] - gradient / a[j][j]);
      moved += std::abs(next - c[j]) * std::sqrt(a[j][j]);
      size += next * std::sqrt(a[j][j]);
      c[j] = next;
    }
    if (moved < 1e-7 * size) break;
  }
}

std::vector<CostSample> samples_of(const Dataset& data, std::span<const std::size_t> rows) {
  std::vector<CostSample> samples;
  samples.reserve(rows.size());
  for (const std::size_t row : rows) {
    const Sample& s = data.samples[row];
    samples.push_back({s.terms, s.log_ns, std::max(kLeastWeight, s.relevance), s.censored});
  }
  return samples;
}

template <class KeyOf>
std::map<std::string, std::vector<std::size_t>> split(const Dataset& data,
                                                      std::span<const std::size_t> rows,
                                                      KeyOf&& key_of) {
  std::map<std::string, std::vector<std::size_t>> parts;
  for (const std::size_t row : rows) {
    parts[key_of(data.primitives[data.samples[row].primitive])].push_back(row);
  }
  return parts;
}

std::string name_of(const PrimitiveInfo& primitive) { return primitive.name; }

// Four digits are more than times support, and a file of them takes a third of the time to read.
LinearCost rounded(LinearCost cost) {
  for (double& c : cost.coefficients) {
    if (!(c > 0)) continue;
    const double scale = std::pow(10, 3 - std::floor(std::log10(c)));
    c = std::round(c * scale) / scale;
  }
  return cost;
}

LinearCost first_principles() {
  LinearCost cost;
  cost.coefficients.fill(1);
  return cost;
}

}  // namespace

double LinearCost::log_ns(const CostTerms& terms) const {
  double ns = 0;
  for (std::size_t j = 0; j < kCostTerms; ++j) ns += coefficients[j] * terms[j];
  return std::log(std::max(ns, 1e-3));
}

LinearCost LinearCost::times(const LinearCost& factors) const {
  LinearCost result;
  for (std::size_t j = 0; j < kCostTerms; ++j) {
    result.coefficients[j] = coefficients[j] * factors.coefficients[j];
  }
  return result;
}

LinearCost LinearCost::scaled(double factor) const {
  LinearCost result = *this;
  for (double& c : result.coefficients) c *= factor;
  return result;
}

LinearCost fit_linear_cost(std::span<const CostSample> samples, const LinearCost& prior,
                           double deviation) {
  if (samples.empty()) return prior;
  // Mean share of the time that a coefficient of one explains, per term.
  std::array<double, kCostTerms> scale{};
  double total = 0;
  for (const CostSample& s : samples) {
    total += s.weight;
    for (std::size_t j = 0; j < kCostTerms; ++j) {
      scale[j] += s.weight * s.terms[j] * std::exp(-s.log_ns);
    }
  }
  std::array<double, kCostTerms> stiffness{};
  for (std::size_t j = 0; j < kCostTerms; ++j) {
    const double p = prior.coefficients[j];
    const double alone = scale[j] > 0 ? total / scale[j] : 0;
    const double sigma = deviation * (p + kShareOfNothing * std::min(alone, 100 * (p + 0.1)));
    stiffness[j] = sigma > 0 ? 1 / (sigma * sigma) : 0;
  }
  LinearCost cost = prior;
  constexpr int kIterations = 15;
  for (int iteration = 0; iteration < kIterations; ++iteration) {
    std::array<std::array<double, kCostTerms>, kCostTerms> a{};
    std::array<double, kCostTerms> b{};
    for (std::size_t j = 0; j < kCostTerms; ++j) {
      a[j][j] = stiffness[j];
      b[j] = stiffness[j] * prior.coefficients[j];
    }
    for (const CostSample& s : samples) {
      // log(c x) is about log(c0 x) + c x / (c0 x) - 1.
      const double log_now = cost.log_ns(s.terms);
      const double error = s.log_ns - log_now;
      if (s.lower_bound && error < 0) continue;
      const double size = std::abs(error) / kNoise;
      const double weight = s.weight / (kNoise * kNoise) * (size > kHuber ? kHuber / size : 1.0);
      const double goal = 1 + std::clamp(error, -1.0, 1.0);
      const double inverse = std::exp(-log_now);
      std::array<double, kCostTerms> x;
      for (std::size_t j = 0; j < kCostTerms; ++j) x[j] = s.terms[j] * inverse;
      for (std::size_t j = 0; j < kCostTerms; ++j) {
        for (std::size_t i = 0; i <= j; ++i) a[j][i] += weight * x[j] * x[i];
        b[j] += weight * goal * x[j];
      }
    }
    for (std::size_t j = 0; j < kCostTerms; ++j) {
      for (std::size_t i = j + 1; i < kCostTerms; ++i) a[j][i] = a[i][j];
    }
    LinearCost next = cost;
    solve_non_negative(a, b, next.coefficients);
    double change = 0;
    for (std::size_t j = 0; j < kCostTerms; ++j) {
      change = std::max(change, std::abs(next.coefficients[j] - cost.coefficients[j]) /
                                    (cost.coefficients[j] + 1e-3));
    }
    cost = next;
    if (change < 1e-4) break;
  }
  return rounded(cost);
}

LinearCosts LinearCosts::fit(const Dataset& data, std::span<const std::size_t> rows) {
  // Wide priors around the analytic costs.
  constexpr double kOpDeviation = 5, kKindDeviation = 2, kPrimitiveDeviation = 1;
  LinearCosts costs;
  for (const auto& [op, of_op] : split(data, rows, op_of)) {
    costs.by_op[op] = fit_linear_cost(samples_of(data, of_op), first_principles(), kOpDeviation);
  }
  for (const auto& [kind, of_kind] : split(data, rows, kind_of)) {
    const LinearCost& prior =
        costs.by_op[op_of(data.primitives[data.samples[of_kind[0]].primitive])];
    costs.by_kind[kind] = fit_linear_cost(samples_of(data, of_kind), prior, kKindDeviation);
  }
  for (const auto& [name, own] : split(data, rows, name_of)) {
    const LinearCost& prior =
        costs.by_kind[kind_of(data.primitives[data.samples[own[0]].primitive])];
    costs.by_primitive[name] = fit_linear_cost(samples_of(data, own), prior, kPrimitiveDeviation);
    costs.op_of_primitive[name] = op_of(data.primitives[data.samples[own[0]].primitive]);
  }
  return costs;
}

LinearCosts LinearCosts::adapt(const LinearCosts& source, const Dataset& data,
                               std::span<const std::size_t> rows, double deviation,
                               std::span<const double> beyond, double share) {
  std::vector<CostSample> samples = samples_of(data, rows);
  for (std::size_t i = 0; i < beyond.size(); ++i) samples[i].log_ns -= share * beyond[i];
  std::vector<const PrimitiveInfo*> primitives;
  for (const std::size_t row : rows) {
    primitives.push_back(&data.primitives[data.samples[row].primitive]);
  }
  std::vector<LinearCost> source_costs;
  std::vector<statistics::Weighted> ratios;
  for (std::size_t i = 0; i < samples.size(); ++i) {
    source_costs.push_back(source.of(*primitives[i]));
    if (samples[i].lower_bound) continue;
    ratios.push_back(
        {samples[i].log_ns - source_costs[i].log_ns(samples[i].terms), samples[i].weight});
  }
  if (ratios.empty()) return source;
  const double factor = std::exp(statistics::weighted_quantile(std::move(ratios), 0.5));

  // Per operation: convolutions say nothing about the arithmetic of pooling.
  std::map<std::string, std::vector<CostSample>> of_op;
  for (std::size_t i = 0; i < samples.size(); ++i) {
    CostSample& relative = of_op[op_of(*primitives[i])].emplace_back(samples[i]);
    for (std::size_t j = 0; j < kCostTerms; ++j) {
      relative.terms[j] *= factor * source_costs[i].coefficients[j];
    }
  }
  std::map<std::string, LinearCost> common;
  for (const auto& [op, relative] : of_op) {
    common[op] = fit_linear_cost(relative, first_principles(), kCommonDeviation).scaled(factor);
  }
  const auto adapted = [&](const LinearCost& cost, const std::string& op) {
    const auto at = common.find(op);
    return rounded(at == common.end() ? cost.scaled(factor) : cost.times(at->second));
  };

  LinearCosts costs;
  costs.op_of_primitive = source.op_of_primitive;
  for (const auto& [op, cost] : source.by_op) costs.by_op[op] = adapted(cost, op);
  for (const auto& [kind, cost] : source.by_kind) {
    costs.by_kind[kind] = adapted(cost, kind.substr(0, kind.find('/')));
  }
  for (const auto& [name, cost] : source.by_primitive) {
    const auto op = source.op_of_primitive.find(name);
    costs.by_primitive[name] = adapted(cost, op == source.op_of_primitive.end() ? "" : op->second);
  }
  // Primitives that the source never saw take their kind as prior, so kinds come first.
  std::map<std::string, std::vector<CostSample>> unseen_of_kind, of_primitive;
  std::map<std::string, const PrimitiveInfo*> info_of;
  for (std::size_t i = 0; i < samples.size(); ++i) {
    const PrimitiveInfo& info = *primitives[i];
    of_primitive[info.name].push_back(samples[i]);
    info_of[info.name] = &info;
    if (!source.by_primitive.contains(info.name)) {
      unseen_of_kind[kind_of(info)].push_back(samples[i]);
      info_of[kind_of(info)] = &info;
    }
  }
  for (const auto& [kind, of_kind] : unseen_of_kind) {
    costs.by_kind[kind] = fit_linear_cost(of_kind, costs.of(*info_of[kind]), 2 * deviation);
  }
  for (const auto& [name, own] : of_primitive) {
    costs.by_primitive[name] = fit_linear_cost(own, costs.of(*info_of[name]), deviation);
    costs.op_of_primitive[name] = op_of(*info_of[name]);
  }
  return costs;
}

LinearCost LinearCosts::of(const PrimitiveInfo& primitive) const {
  if (const auto at = by_primitive.find(primitive.name); at != by_primitive.end())
    return at->second;
  if (const auto at = by_kind.find(kind_of(primitive)); at != by_kind.end()) return at->second;
  if (const auto at = by_op.find(op_of(primitive)); at != by_op.end()) return at->second;
  return first_principles();
}

}  // namespace convopt
