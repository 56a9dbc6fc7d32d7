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
    if (now[i].source == Cost::Source::measured) ++timed;
    // A measurement that was cut short is a lower bound above the prediction, and taken as the
    // time.
    const Cost::Source source = now[i].source;
    const bool seen = source == Cost::Source::measured || source == Cost::Source::bound;
    if (!seen || expected.first[i].source != Cost::Source::predicted) continue;
    const double log_ns = std::log(now[i].estimate.ns);
    Sample sample;
    sample.workload =
        index_of(workloads_, queries[i].workload->text(), seen_.workloads, *queries[i].workload);
    sample.primitive =
        index_of(primitives_, queries[i].primitive->name, seen_.primitives, *queries[i].primitive);
    sample.log_ns = log_ns;
    seen_.samples.push_back(sample);
    residuals_.push_back(log_ns - std::log(expected.first[i].estimate.ns));
    log_errors_.push_back(std::abs(log_ns - std::log(expected.corrected[i].estimate.ns)));
  }
  std::vector<double> fastest(seen_.workloads.size(), INFINITY);
  for (const Sample& s : seen_.samples) {
    fastest[s.workload] = std::min(fastest[s.workload], s.log_ns);
  }
  for (Sample& s : seen_.samples) s.relevance = std::exp(fastest[s.workload] - s.log_ns);
  process_ = GaussianProcess::fit(seen_, seen_.all_rows(), residuals_);
  if (log_errors_.size() < kLatestErrors) return timed;
  std::vector<double> latest(log_errors_.end() - kLatestErrors, log_errors_.end());
  std::ranges::sort(latest);
  half_width_ = latest[static_cast<std::size_t>(kCoverage * kLatestErrors)];
  return timed;
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
