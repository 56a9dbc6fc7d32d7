#include "src/tune/bias_correction.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>

#include "core/try.h"

namespace convopt {
namespace {

// Number of latest errors that set the width of intervals; with fewer, the model's own stay.
constexpr std::size_t kLatestErrors = 40;
constexpr double kCoverage = 0.9;

std::size_t index_of(std::map<std::string, std::size_t>& indices, std::string name, auto& list,
                     const auto& value) {
  const auto [at, is_new] = indices.try_emplace(std::move(name), list.size());
  if (is_new) list.push_back(value);
  return at->second;
}

}  // namespace

Result<BiasCorrectedCosts> BiasCorrectedCosts::create(const CostSource& costs,
                                                      const CostSource& predicted,
                                                      const CostSource& measured,
                                                      std::span<const Query> pairs) {
  BiasCorrectedCosts result(costs);
  CONVOPT_TRY(const std::vector<Cost> times, measured.costs(pairs));
  std::vector<Query> timed;
  std::vector<Cost> now;
  for (std::size_t i = 0; i < pairs.size(); ++i) {
    if (times[i].source != Cost::Source::measured && times[i].source != Cost::Source::bound)
      continue;
    timed.push_back(pairs[i]);
    now.push_back(times[i]);
  }
  if (timed.empty()) return result;
  CONVOPT_TRY(const std::vector<Cost> first, predicted.costs(timed));
  for (std::size_t i = 0; i < timed.size(); ++i) {
    // A bound below the prediction says nothing.
    const bool is_bound = now[i].source == Cost::Source::bound;
    if (is_bound && now[i].estimate.ns < first[i].estimate.ns) continue;
    result.see(timed[i], now[i], first[i]);
  }
  if (result.seen_.samples.empty()) return result;
  result.fit();
  result.log_errors_ = result.errors_left_out();
  result.set_half_width();
  return result;
}

Result<BiasCorrectedCosts::Expectation> BiasCorrectedCosts::expect(
    std::span<const Query> queries) const {
  CONVOPT_TRY(std::vector<Cost> first, costs_->costs(queries));
  std::vector<Cost> corrected = first;
  correct(queries, corrected);
  return Expectation{std::move(first), std::move(corrected)};
}

Result<std::size_t> BiasCorrectedCosts::learn(const CostSource& costs,
                                              std::span<const Query> queries,
                                              const Expectation& expected) {
  costs_ = &costs;
  CONVOPT_TRY(const std::vector<Cost> now, costs.costs(queries));
  std::size_t timed = 0;
  for (std::size_t i = 0; i < queries.size(); ++i) {
    const Cost::Source source = now[i].source;
    if (source == Cost::Source::measured) ++timed;
    const bool seen = source == Cost::Source::measured || source == Cost::Source::bound;
    if (!seen || expected.first[i].source != Cost::Source::predicted) continue;
    see(queries[i], now[i], expected.first[i]);
    log_errors_.push_back(
        std::abs(std::log(now[i].estimate.ns / expected.corrected[i].estimate.ns)));
  }
  fit();
  set_half_width();
  return timed;
}

void BiasCorrectedCosts::see(const Query& query, const Cost& now, const Cost& first) {
  Sample sample;
  sample.workload = index_of(workloads_, query.workload->text(), seen_.workloads, *query.workload);
  sample.primitive =
      index_of(primitives_, query.primitive->name, seen_.primitives, *query.primitive);
  // A measurement that was cut short is a lower bound above the prediction, and taken as the time.
  sample.log_ns = std::log(now.estimate.ns);
  seen_.samples.push_back(sample);
  residuals_.push_back(sample.log_ns - std::log(first.estimate.ns));
}

void BiasCorrectedCosts::fit() {
  std::vector<double> fastest(seen_.workloads.size(), INFINITY);
  for (const Sample& s : seen_.samples) {
    fastest[s.workload] = std::min(fastest[s.workload], s.log_ns);
  }
  for (Sample& s : seen_.samples) s.relevance = std::exp(fastest[s.workload] - s.log_ns);
  process_ = GaussianProcess::fit(seen_, seen_.all_rows(), residuals_);
}

std::vector<double> BiasCorrectedCosts::errors_left_out() const {
  constexpr std::size_t kFolds = 2;
  std::vector<double> errors;
  for (std::size_t fold = 0; fold < kFolds; ++fold) {
    std::vector<std::size_t> others, rows;
    std::vector<double> residuals;
    for (std::size_t row = 0; row < seen_.samples.size(); ++row) {
      if (seen_.samples[row].workload % kFolds == fold) {
        rows.push_back(row);
      } else {
        others.push_back(row);
        residuals.push_back(residuals_[row]);
      }
    }
    const GaussianProcess process = GaussianProcess::fit(seen_, others, residuals);
    for (const std::size_t row : rows) {
      const Sample& s = seen_.samples[row];
      const std::vector<double> kernels = process.kernels(size_point(seen_.workloads[s.workload]));
      const std::vector<double> factors = process.of(seen_.primitives[s.primitive]);
      errors.push_back(std::abs(residuals_[row] - std::inner_product(factors.begin(), factors.end(),
                                                                     kernels.begin(), 0.0)));
    }
  }
  return errors;
}

void BiasCorrectedCosts::set_half_width() {
  if (log_errors_.size() < kLatestErrors) return;
  std::vector<double> latest(log_errors_.end() - kLatestErrors, log_errors_.end());
  std::ranges::sort(latest);
  half_width_ = latest[static_cast<std::size_t>(kCoverage * kLatestErrors)];
}

Result<std::vector<Cost>> BiasCorrectedCosts::costs(std::span<const Query> queries) const {
  Result<std::vector<Cost>> result = costs_->costs(queries);
  if (result) correct(queries, *result);
  return result;
}

void BiasCorrectedCosts::correct(std::span<const Query> queries, std::vector<Cost>& costs) const {
  if (process_.empty()) return;
  std::map<const PrimitiveInfo*, std::vector<double>> factors;
  const Workload* last = nullptr;
  std::vector<double> kernels;
  for (std::size_t i = 0; i < queries.size(); ++i) {
    if (costs[i].source != Cost::Source::predicted) continue;
    if (queries[i].workload != last) {
      last = queries[i].workload;
      kernels = process_.kernels(size_point(*last));
    }
    const auto [at, is_new] = factors.try_emplace(queries[i].primitive);
    if (is_new) at->second = process_.of(*queries[i].primitive);
    const double correction =
        std::exp(std::inner_product(at->second.begin(), at->second.end(), kernels.begin(), 0.0));
    Estimate& e = costs[i].estimate;
    e.ns *= correction;
    e.low_ns = half_width_ > 0 ? e.ns * std::exp(-half_width_) : e.low_ns * correction;
    e.high_ns = half_width_ > 0 ? e.ns * std::exp(half_width_) : e.high_ns * correction;
  }
}

}  // namespace convopt
