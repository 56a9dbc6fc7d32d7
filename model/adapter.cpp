#include "model/adapter.h"

#include <algorithm>
#include <cmath>
#include <map>

#include "core/try.h"
#include "model/features.h"
#include "model/statistics.h"

namespace convopt {
namespace {

using Rows = std::span<const std::size_t>;

// Noise and differences between primitives before any sample says more: 15 % each, the size that
// factors per kernel showed between five processors (docs/lab/model.md).
constexpr double kPriorDeviation = 0.15;
// Standard deviation of a slope around that of the source.
constexpr double kSlopeDeviation = 0.3;

}  // namespace

BoosterParameters residual_parameters(std::uint64_t seed) {
  BoosterParameters parameters;
  parameters.rounds = 80;
  parameters.leaves = 16;
  parameters.eta = 0.08;
  parameters.min_child_weight = 3;
  parameters.seed = seed;
  return parameters;
}

BoosterParameters scratch_parameters(std::uint64_t seed) {
  BoosterParameters parameters;
  parameters.rounds = 100;
  parameters.leaves = 32;
  parameters.eta = 0.2;
  parameters.seed = seed;
  return parameters;
}

Result<Adapter> Adapter::create(const TypeModel& source, const Dataset& data, std::uint64_t seed) {
  if (data.codes != source.parts().codes) {
    return make_error(ErrorCode::internal, "the samples' categories are coded for another model");
  }
  Adapter adapter(source, data, seed);
  const std::vector<std::size_t> rows = data.all_rows();
  CONVOPT_TRY(adapter.source_costs_, source.parts().costs_near(data.platforms.front()));
  CONVOPT_TRY(adapter.source_ratio_, source.log_ratios(data, rows));
  EnsembleReader reader(source.parts().ensemble);
  for (const std::size_t row : rows) {
    adapter.source_log_.push_back(adapter.log_ns(reader, adapter.source_ratio_[row], row));
  }
  return adapter;
}

double Adapter::log_ns(EnsembleReader& reader, double log_ratio, std::size_t row) const {
  const Sample& sample = data_->samples[row];
  return reader.log_ns({log_ratio, sample.log_expected, &sample.terms,
                        &data_->workloads[sample.workload], &primitive_of(row)});
}

// log(measured / predicted)
std::vector<double> Adapter::residuals(const Ensemble& ensemble, Rows rows) const {
  EnsembleReader reader(ensemble);
  std::vector<double> result;
  result.reserve(rows.size());
  for (const std::size_t row : rows) {
    result.push_back(data_->samples[row].log_ns - log_ns(reader, source_ratio_[row], row));
  }
  return result;
}

void Adapter::add_factor(Rows rows, Ensemble& ensemble) const {
  const std::vector<double> left = residuals(ensemble, rows);
  std::vector<statistics::Weighted> values;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const Sample& sample = data_->samples[rows[i]];
    if (!sample.censored) values.push_back({left[i], sample.relevance});
  }
  if (!values.empty()) ensemble.offset += statistics::weighted_quantile(std::move(values), 0.5);
}

// Empirical Bayes: the mean residual of a primitive counts as much as its scatter and its number of
// samples allow, measured against how much primitives differ at all.
void Adapter::add_factors_per_primitive(Rows rows, Ensemble& ensemble) const {
  struct Sum {
    double count = 0, sum = 0, squares = 0;
  };
  std::map<std::string, Sum> sums;
  const std::vector<double> left = residuals(ensemble, rows);
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const Sample& sample = data_->samples[rows[i]];
    if (sample.censored && left[i] < 0) continue;  // a bound below the prediction says nothing
    Sum& sum = sums[primitive_of(rows[i]).name];
    sum.count += 1;
    sum.sum += left[i];
    sum.squares += left[i] * left[i];
  }
  const double prior = kPriorDeviation * kPriorDeviation;
  // Both variances start with two samples' worth of the prior.
  double within = 2 * prior, within_count = 2, between = 2 * prior, between_count = 2;
  for (const auto& [name, s] : sums) {
    within += std::max(0.0, s.squares - s.sum * s.sum / s.count);
    within_count += s.count - 1;
  }
  within /= within_count;
  for (const auto& [name, s] : sums) {
    const double average = s.sum / s.count;
    between += std::max(0.0, average * average - within / s.count);
    between_count += 1;
  }
  between /= between_count;
  for (const auto& [name, s] : sums) {
    ensemble.own[name] += s.sum / (s.count + within / std::max(between, 1e-6));
  }
  // A primitive that was not timed gets the mean factor of its kind, which keeps its rank there.
  std::map<std::string, std::pair<double, double>> of_kind;  // sum and count
  for (const PrimitiveInfo& primitive : data_->primitives) {
    if (!sums.contains(primitive.name)) continue;
    auto& [sum, count] = of_kind[kind_of(primitive)];
    sum += ensemble.own[primitive.name];
    count += 1;
  }
  for (const auto& [kind, sum] : of_kind) ensemble.own[kind] = sum.first / sum.second;
}

// Weighted ridge regression of what is left on the source's ratio and on the analytic time.
void Adapter::add_slopes(Rows rows, Ensemble& ensemble) const {
  const std::vector<double> left = residuals(ensemble, rows);
  struct Point {
    double w, f, a, r;
  };
  std::vector<Point> points;
  double weight = 0, mean_f = 0, mean_a = 0, mean_r = 0;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const Sample& sample = data_->samples[rows[i]];
    if (sample.censored && left[i] < 0) continue;
    points.push_back({sample.relevance, source_ratio_[rows[i]], sample.log_expected, left[i]});
    const Point& p = points.back();
    weight += p.w;
    mean_f += p.w * p.f;
    mean_a += p.w * p.a;
    mean_r += p.w * p.r;
  }
  if (!(weight > 0)) return;
  mean_f /= weight;
  mean_a /= weight;
  mean_r /= weight;
  double ff = 0, fa = 0, aa = 0, fr = 0, ar = 0, rr = 0;
  for (const Point& p : points) {
    const double f = p.f - mean_f, a = p.a - mean_a, r = p.r - mean_r;
    ff += p.w * f * f;
    fa += p.w * f * a;
    aa += p.w * a * a;
    fr += p.w * f * r;
    ar += p.w * a * r;
    rr += p.w * r * r;
  }
  const double ridge = std::max(rr / weight, 1e-4) / (kSlopeDeviation * kSlopeDeviation);
  const double determinant = (ff + ridge) * (aa + ridge) - fa * fa;
  // A slope near zero or below would discard or invert the source's ranking.
  const double slope = std::clamp(((aa + ridge) * fr - fa * ar) / determinant,
                                  std::min(0.0, 0.2 - ensemble.slope), 3.0 - ensemble.slope);
  const double size = ((ff + ridge) * ar - fa * fr) / determinant;
  ensemble.slope += slope;
  ensemble.size += size;
  ensemble.offset += mean_r - slope * mean_f - size * mean_a;
}

// Predictions of the source beyond its own cost models are likely to hold here in part. The share
// is fitted, with a half as prior, in turn with the cost models.
Ensemble Adapter::costs_and_source(Rows rows) const {
  const LinearCosts& source = *source_costs_;
  std::vector<double> beyond;
  for (const std::size_t row : rows) {
    const Sample& sample = data_->samples[row];
    beyond.push_back(source_log_[row] - source.of(primitive_of(row)).log_ns(sample.terms));
  }
  constexpr double kPriorShare = 0.5, kShareDeviation = 0.3, kNoise = 0.1;
  double share = kPriorShare;
  LinearCosts own;
  for (int round = 0; round < 2; ++round) {
    own = LinearCosts::adapt(source, *data_, rows, kCostDeviation, beyond, share);
    double bb = 1 / (kShareDeviation * kShareDeviation), br = kPriorShare * bb;
    for (std::size_t i = 0; i < rows.size(); ++i) {
      const Sample& sample = data_->samples[rows[i]];
      if (sample.censored) continue;
      const double r = sample.log_ns - own.of(primitive_of(rows[i])).log_ns(sample.terms);
      // Primitives of one shape err together.
      const double weight = 0.25 * sample.relevance / (kNoise * kNoise);
      bb += weight * beyond[i] * beyond[i];
      br += weight * beyond[i] * r;
    }
    share = std::clamp(br / bb, 0.0, 1.0);
  }
  Ensemble ensemble = Ensemble::nothing();
  ensemble.add(source_->parts().ensemble, share);
  ensemble.costs.push_back({1, std::move(own)});
  ensemble.costs.push_back({-share, source});
  return ensemble;
}

void Adapter::add_process(Rows rows, Ensemble& ensemble) const {
  ensemble.processes.push_back(GaussianProcess::fit(*data_, rows, residuals(ensemble, rows)));
}

// The source's trees and more of them, fitted to the residuals of the ensemble.
Result<Trees> Adapter::more_trees(Rows rows, const Ensemble& ensemble) const {
  Trees trees = source_->trees();
  const PriorFeatures& priors = source_->parts().priors;
  const std::vector<double> left = residuals(ensemble, rows);
  std::vector<Target> targets;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const Sample& sample = data_->samples[rows[i]];
    const double sum = source_ratio_[rows[i]] - priors.intercepts.of(primitive_of(rows[i]));
    targets.push_back({sum + left[i] / ensemble.slope, sample.relevance, sample.censored});
  }
  CONVOPT_TRY(const FeatureMatrix features, select_rows(*data_, rows, priors));
  CONVOPT_CHECK(boost(trees, features, std::move(targets), residual_parameters(seed_)));
  return trees;
}

Result<AdaptedFit> Adapter::learn(TransferMethod method, Rows rows) const {
  AdaptedFit learnt{.method = method, .ensemble = source_->parts().ensemble};
  Ensemble& ensemble = learnt.ensemble;
  switch (method) {
    case TransferMethod::zero_shot:
    case TransferMethod::ensemble:
      break;
    case TransferMethod::one_factor:
      add_factor(rows, ensemble);
      break;
    case TransferMethod::factor_per_primitive:
      add_factor(rows, ensemble);
      add_factors_per_primitive(rows, ensemble);
      break;
    case TransferMethod::affine:
    case TransferMethod::residual_trees:
      add_factor(rows, ensemble);
      add_slopes(rows, ensemble);
      add_factors_per_primitive(rows, ensemble);
      break;
    case TransferMethod::residual_gp:
      add_factor(rows, ensemble);
      add_process(rows, ensemble);
      break;
    case TransferMethod::linear_cost:
      ensemble = Ensemble::nothing();
      ensemble.costs.push_back(
          {1, LinearCosts::adapt(*source_costs_, *data_, rows, kCostDeviation)});
      break;
    case TransferMethod::linear_cost_scratch:
      ensemble = Ensemble::nothing();
      ensemble.costs.push_back({1, LinearCosts::fit(*data_, rows)});
      break;
    case TransferMethod::linear_cost_and_source:
      ensemble = costs_and_source(rows);
      break;
    case TransferMethod::linear_cost_gp:
      ensemble = costs_and_source(rows);
      add_process(rows, ensemble);
      break;
    case TransferMethod::trees_scratch: {
      CONVOPT_TRY(Fit fit, Fit::train(*data_, rows, scratch_parameters(seed_)));
      ensemble = {};
      learnt.own = std::make_shared<Fit>(std::move(fit));
      break;
    }
  }
  if (method == TransferMethod::residual_trees) {
    CONVOPT_TRY(Trees trees, more_trees(rows, ensemble));
    learnt.more_trees = std::make_shared<Trees>(std::move(trees));
  }
  return learnt;
}

Result<AdaptedFit> Adapter::learn(const Comparison& comparison, Rows rows) const {
  const TransferMethod method = comparison.candidates[comparison.chosen].method;
  if (method != TransferMethod::ensemble) return learn(method, rows);
  Ensemble ensemble = Ensemble::nothing();
  for (const TransferCandidate& candidate : comparison.candidates) {
    if (!(candidate.weight > 0)) continue;
    CONVOPT_TRY(const AdaptedFit learnt, learn(candidate.method, rows));
    ensemble.add(learnt.ensemble, candidate.weight);
  }
  return AdaptedFit{.method = method, .ensemble = std::move(ensemble)};
}

Result<std::vector<double>> Adapter::predict(const AdaptedFit& learnt, Rows rows) const {
  std::vector<double> ratios;
  if (learnt.own != nullptr) {
    CONVOPT_TRY(ratios, learnt.own->predict(*data_, rows));
  } else if (learnt.more_trees != nullptr) {
    CONVOPT_TRY(ratios, log_ratios(source_->parts().priors, *learnt.more_trees, *data_, rows));
  } else {
    for (const std::size_t row : rows) ratios.push_back(source_ratio_[row]);
  }
  EnsembleReader reader(learnt.ensemble);
  std::vector<double> result;
  result.reserve(rows.size());
  for (std::size_t i = 0; i < rows.size(); ++i) {
    result.push_back(log_ns(reader, ratios[i], rows[i]));
  }
  return result;
}

}  // namespace convopt
