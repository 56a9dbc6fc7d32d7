#include "model/type_model.h"

#include <algorithm>
#include <cmath>
#include <unordered_map>

#include "core/parallel.h"
#include "core/try.h"
#include "model/features.h"

namespace convopt {
namespace {

// A workload this much smaller or larger than any seen (a factor of 1.25) is still called known.
constexpr double kRangeTolerance = 0.33;
// Queries that are worth a thread, and parts into which they are cut at most: each part looks up
// primitives and workloads anew.
constexpr std::size_t kRowsOfPart = 256, kMostParts = 4;

bool inside(const std::pair<std::vector<double>, std::vector<double>>& range,
            const std::vector<double>& coordinates) {
  for (std::size_t i = 0; i < coordinates.size(); ++i) {
    if (coordinates[i] < range.first[i] - kRangeTolerance ||
        coordinates[i] > range.second[i] + kRangeTolerance) {
      return false;
    }
  }
  return true;
}

}  // namespace

Result<TypeModel> TypeModel::without_correction(const TypeModel& base, const Platform& platform) {
  CONVOPT_TRY(const LinearCosts* const costs, base.parts().costs_near(platform));
  ModelParts parts;
  parts.info.timing_mode = base.parts().info.timing_mode;
  parts.codes = base.parts().codes;
  parts.priors.costs = DeferredCosts(*costs);
  parts.intervals = base.parts().intervals;
  const std::span<const std::string> names = base.trees().feature_names();
  Trees none({names.begin(), names.end()});
  CONVOPT_CHECK(none.read_from(feature_names()));
  return TypeModel(std::move(parts), std::move(none));
}

Result<std::vector<Estimate>> TypeModel::predict(std::span<const Query> queries,
                                                 const Platform& platform,
                                                 std::span<const double> expected) const {
  const std::size_t parts = std::clamp<std::size_t>(queries.size() / kRowsOfPart, 1, kMostParts);
  const std::size_t size = (queries.size() + parts - 1) / parts;
  std::vector<Estimate> estimates(queries.size());
  std::vector<Result<void>> results(parts);
  in_parallel(parts, [&](std::size_t i) {
    const auto part_of = [&](auto all) {
      return all.subspan(i * size, std::min(size, all.size() - i * size));
    };
    const auto own = expected.empty() ? expected : part_of(expected);
    const auto part = predict_part(part_of(queries), platform, own);
    if (part) {
      std::ranges::copy(*part, part_of(std::span(estimates)).begin());
    } else {
      results[i] = part.error();
    }
  });
  for (const Result<void>& result : results) {
    if (!result) return result.error();
  }
  return estimates;
}

Result<std::vector<Estimate>> TypeModel::predict_part(std::span<const Query> queries,
                                                      const Platform& platform,
                                                      std::span<const double> expected) const {
  const Capabilities machine = Capabilities::of(platform);
  FeatureMatrix features;
  features.columns = feature_names().size();
  features.values.resize(queries.size() * features.columns);
  const Intercepts& intercepts = parts_.priors.intercepts;
  CONVOPT_TRY(const LinearCosts* const costs, parts_.priors.costs_of(platform));
  struct Known {
    double intercept = 0;
    LinearCost cost;
    bool known = false;
  };
  // A network asks for few primitives and workloads, many times over.
  std::unordered_map<const PrimitiveInfo*, Known> primitives;
  std::unordered_map<const Workload*, bool> workloads;
  std::vector<double> log_expected(queries.size()), intercept(queries.size());
  std::vector<CostTerms> terms(queries.size());
  std::vector<Estimate> estimates(queries.size());

  for (std::size_t i = 0; i < queries.size(); ++i) {
    FeatureInput input;
    input.workload = queries[i].workload;
    input.primitive = queries[i].primitive;
    input.platform = &platform;
    input.machine = &machine;
    input.codes = &parts_.codes;
    count_work(input, parts_.info.timing_mode);
    log_expected[i] = expected.empty() ? std::log(input.time.ns) : expected[i];
    terms[i] = cost_terms(input.work, unaligned_results(*input.workload, *input.primitive), machine,
                          parts_.info.timing_mode);

    const auto [primitive, new_primitive] = primitives.try_emplace(input.primitive);
    if (new_primitive) {
      primitive->second = {intercepts.of(*input.primitive),
                           costs != nullptr ? costs->of(*input.primitive) : LinearCost{},
                           intercepts.knows(*input.primitive)};
    }
    const auto [workload, new_workload] = workloads.try_emplace(input.workload, false);
    if (new_workload) {
      const auto range = parts_.ranges.find(std::string(to_string(input.workload->op)));
      workload->second =
          range != parts_.ranges.end() && inside(range->second, range_coordinates(*input.workload));
    }
    intercept[i] = primitive->second.intercept;
    estimates[i].extrapolated = !primitive->second.known || !workload->second;
    write_features(input, features.row(i));
    write_prior_features(intercept[i], costs != nullptr ? &primitive->second.cost : nullptr,
                         terms[i], log_expected[i], features.row(i));
  }

  CONVOPT_TRY(const std::vector<float> trees, trees_.predict(features));
  EnsembleReader ensemble(parts_.ensemble);
  for (std::size_t i = 0; i < queries.size(); ++i) {
    const double log_ns = ensemble.log_ns({intercept[i] + trees[i], log_expected[i], &terms[i],
                                           queries[i].workload, queries[i].primitive});
    Intervals::Range range = parts_.intervals.of(*queries[i].primitive);
    if (estimates[i].extrapolated) {
      // Coverage is stated for what was seen; outside, twice the width is a guess that errs on the
      // wide side.
      range.low *= 2;
      range.high *= 2;
    }
    estimates[i].ns = std::exp(std::clamp(log_ns, -20.0, 60.0));
    estimates[i].low_ns = estimates[i].ns * std::exp(range.low);
    estimates[i].high_ns = estimates[i].ns * std::exp(range.high);
  }
  return estimates;
}

Result<Dataset> expect(const TypeModel& base, Dataset data) {
  std::vector<std::vector<std::size_t>> rows_of(data.platforms.size());
  for (std::size_t row = 0; row < data.samples.size(); ++row) {
    rows_of[data.samples[row].platform].push_back(row);
  }
  for (std::size_t p = 0; p < rows_of.size(); ++p) {
    std::vector<Query> queries;
    for (const std::size_t row : rows_of[p]) {
      const Sample& sample = data.samples[row];
      queries.push_back({&data.workloads[sample.workload], &data.primitives[sample.primitive]});
    }
    CONVOPT_TRY(const std::vector<Estimate> estimates, base.predict(queries, data.platforms[p]));
    for (std::size_t i = 0; i < estimates.size(); ++i) {
      data.samples[rows_of[p][i]].log_expected = std::log(estimates[i].ns);
    }
  }
  return data;
}

}  // namespace convopt
