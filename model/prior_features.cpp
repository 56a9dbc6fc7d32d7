#include "model/prior_features.h"

#include <cmath>
#include <utility>
#include <vector>

#include "core/try.h"
#include "model/features.h"

namespace convopt {
namespace {

// A platform's coefficients may differ from the common ones, times what is common to its
// operations. 0.2 instead of 0.5 left an error of 7.6 instead of 7.3 % on Zen 5 with AVX-512, and
// 6.6 instead of 6.4 % with AVX2, in a model of four platforms.
constexpr double kPlatformDeviation = 0.5;
// Every so many shapes one is learnt from without cost models. With none, a model of Zen 5 is wrong
// by 50 % on Zen 4, whose cost models it does not know, instead of by 21 %.
constexpr std::size_t kHiddenStep = 3;

}  // namespace

PriorFeatures PriorFeatures::fit(const Dataset& data, std::span<const std::size_t> rows) {
  const LinearCosts common = LinearCosts::fit(data, rows);
  PriorFeatures priors{Intercepts::fit(data, rows), DeferredCosts(common), {}};
  std::map<std::string, std::vector<std::size_t>> rows_of;
  std::vector<std::string> ids;
  for (const Platform& platform : data.platforms) ids.push_back(platform.id());
  for (const std::size_t row : rows) rows_of[ids[data.samples[row].platform]].push_back(row);
  if (rows_of.size() == 1) {
    priors.of_platform.emplace(rows_of.begin()->first, priors.costs);
    return priors;
  }
  for (const auto& [id, own] : rows_of) {
    priors.of_platform.emplace(
        id, DeferredCosts(LinearCosts::adapt(common, data, own, kPlatformDeviation)));
  }
  return priors;
}

Result<const LinearCosts*> PriorFeatures::costs_of(const Platform& platform) const {
  const auto at = of_platform.find(platform.id());
  if (at == of_platform.end()) return static_cast<const LinearCosts*>(nullptr);
  return at->second.get();
}

Result<const LinearCosts*> PriorFeatures::costs_near(const Platform& platform) const {
  const auto at = of_platform.find(platform.id());
  return at == of_platform.end() ? costs.get() : at->second.get();
}

void write_prior_features(double intercept, const LinearCost* cost, const CostTerms& terms,
                          double log_expected, std::span<float> row) {
  const std::span<float> columns = row.last(kPriorColumns);
  columns[0] = static_cast<float>(intercept);
  if (cost == nullptr) return;
  const double log_ns = cost->log_ns(terms), inverse = std::exp(-log_ns);
  columns[1] = static_cast<float>(log_ns - log_expected);
  for (std::size_t j = 0; j < kCostTerms; ++j) {
    columns[2 + j] = static_cast<float>(cost->coefficients[j] * terms[j] * inverse);
  }
}

Result<FeatureMatrix> select_rows(const Dataset& data, std::span<const std::size_t> rows,
                                  const PriorFeatures& priors, Hide hide) {
  std::vector<const LinearCosts*> costs_of;
  for (const Platform& platform : data.platforms) {
    CONVOPT_TRY(const LinearCosts* const costs, priors.costs_of(platform));
    costs_of.push_back(costs);
  }
  FeatureMatrix matrix;
  matrix.columns = data.features.columns;
  matrix.values.reserve(rows.size() * matrix.columns);
  for (const std::size_t row : rows) {
    const auto source = data.features.row(row);
    matrix.values.insert(matrix.values.end(), source.begin(), source.end());
    const Sample& sample = data.samples[row];
    const PrimitiveInfo& primitive = data.primitives[sample.primitive];
    const LinearCosts* costs = costs_of[sample.platform];
    if (hide == Hide::also_some && sample.group % kHiddenStep == 0) costs = nullptr;
    const LinearCost cost = costs != nullptr ? costs->of(primitive) : LinearCost{};
    write_prior_features(priors.intercepts.of(primitive), costs != nullptr ? &cost : nullptr,
                         sample.terms, sample.log_expected,
                         std::span(matrix.values).last(matrix.columns));
  }
  return matrix;
}

}  // namespace convopt
