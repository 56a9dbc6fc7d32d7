#include "model/trained_model.h"

#include <algorithm>
#include <cmath>
#include <unordered_map>

#include "core/files.h"
#include "core/try.h"
#include "model/features.h"
#include "model/model_file.h"

namespace convopt {
namespace {

// A workload this much smaller or larger than any seen (a factor of 1.25) is still called known.
constexpr double kRangeTolerance = 0.33;

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

Result<std::unique_ptr<TrainedModel>> TrainedModel::create(ModelParts parts, Booster booster) {
  CONVOPT_TRY(std::string bytes, write_model(parts, booster));
  return std::unique_ptr<TrainedModel>(
      new TrainedModel(std::move(parts), std::move(booster), std::move(bytes)));
}

Result<std::unique_ptr<TrainedModel>> TrainedModel::parse(std::string bytes,
                                                          const std::string& what) {
  CONVOPT_TRY(ModelContent content, read_model(bytes, what));
  return std::unique_ptr<TrainedModel>(
      new TrainedModel(std::move(content.parts), std::move(content.booster), std::move(bytes)));
}

Result<std::unique_ptr<TrainedModel>> TrainedModel::load(const std::filesystem::path& path) {
  CONVOPT_TRY(std::string bytes, read_file(path));
  return parse(std::move(bytes), "model '" + path.string() + "'");
}

Result<void> TrainedModel::save(const std::filesystem::path& path) const {
  return write_file_atomically(path, bytes_);
}

Result<std::vector<double>> TrainedModel::log_ratios(const Dataset& data,
                                                     std::span<const std::size_t> rows) const {
  return convopt::log_ratios(parts_.priors, booster_, data, rows);
}

Result<std::vector<Estimate>> TrainedModel::predict(std::span<const Query> queries,
                                                    const Platform& platform) const {
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
  std::vector<double> log_analytic(queries.size()), intercept(queries.size());
  std::vector<CostTerms> terms(queries.size());
  std::vector<Estimate> estimates(queries.size());

  for (std::size_t i = 0; i < queries.size(); ++i) {
    FeatureInput input;
    input.workload = queries[i].workload;
    input.primitive = queries[i].primitive;
    input.platform = &platform;
    input.machine = &machine;
    input.codes = &parts_.codes;
    input.work = estimate_work(*input.workload, *input.primitive, machine.vector);
    input.time = analytic_time(input.work, machine, parts_.info.timing_mode);
    log_analytic[i] = std::log(input.time.ns);
    terms[i] = cost_terms(input.work, machine, parts_.info.timing_mode);

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
                         terms[i], log_analytic[i], features.row(i));
  }

  CONVOPT_TRY(const std::vector<float> trees, booster_.predict(features));
  EnsembleReader ensemble(parts_.ensemble);
  for (std::size_t i = 0; i < queries.size(); ++i) {
    const double log_ns = ensemble.log_ns({intercept[i] + trees[i], log_analytic[i], &terms[i],
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

Result<std::unique_ptr<PerformanceModel>> load_model(const std::filesystem::path& path) {
  auto model = TrainedModel::load(path);
  if (!model) return model.error();
  return std::unique_ptr<PerformanceModel>(std::move(*model));
}

}  // namespace convopt
