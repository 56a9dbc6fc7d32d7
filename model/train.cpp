#include "model/train.h"

#include <algorithm>
#include <cmath>
#include <future>
#include <map>

#include "core/try.h"
#include "model/features.h"
#include "model/regret.h"
#include "model/statistics.h"

namespace convopt {
namespace {

std::vector<Target> targets_of(const Dataset& data, std::span<const std::size_t> rows,
                               const Intercepts& intercepts) {
  std::vector<Target> targets;
  targets.reserve(rows.size());
  for (const std::size_t row : rows) {
    const Sample& sample = data.samples[row];
    Target target;
    target.value = sample.log_ratio() - intercepts.of(data.primitives[sample.primitive]);
    target.weight = std::max(kLeastWeight, sample.relevance);
    target.lower_bound = sample.censored;
    targets.push_back(target);
  }
  return targets;
}

}  // namespace

Result<Fit> Fit::train(const Dataset& data, std::span<const std::size_t> rows,
                       const BoosterParameters& parameters) {
  PriorFeatures priors = PriorFeatures::fit(data, rows);
  CONVOPT_TRY(const FeatureMatrix features, select_rows(data, rows, priors, Hide::also_some));
  CONVOPT_TRY(Trees trees, train_trees(features, targets_of(data, rows, priors.intercepts),
                                       feature_names(), parameters));
  return Fit{std::move(priors), std::move(trees)};
}

Result<std::vector<double>> Fit::predict(const Dataset& data,
                                         std::span<const std::size_t> rows) const {
  return convopt::log_ratios(priors, trees, data, rows);
}

Result<std::vector<double>> cross_validate(const Dataset& data, std::span<const int> fold_of_group,
                                           int folds, int threads,
                                           const FitAndPredict& fit_and_predict) {
  std::vector<double> predictions(data.samples.size());
  const auto run_fold = [&](int fold) -> Result<void> {
    std::vector<std::size_t> training, held_out;
    for (std::size_t row = 0; row < data.samples.size(); ++row) {
      const int own = fold_of_group[data.samples[row].group];
      if (own >= 0) (own == fold ? held_out : training).push_back(row);
    }
    if (held_out.empty()) return {};
    CONVOPT_TRY(const std::vector<double> predicted, fit_and_predict(training, held_out));
    for (std::size_t i = 0; i < held_out.size(); ++i) predictions[held_out[i]] = predicted[i];
    return {};
  };
  for (int first = 0; first < folds; first += std::max(1, threads)) {
    std::vector<std::future<Result<void>>> running;
    const int last = std::min(folds, first + std::max(1, threads));
    for (int fold = first; fold < last; ++fold) {
      const auto policy = threads > 1 ? std::launch::async : std::launch::deferred;
      running.push_back(std::async(policy, run_fold, fold));
    }
    Result<void> result;
    for (auto& future : running) {
      if (auto done = future.get(); !done) result = done;
    }
    if (!result) return result.error();
  }
  return predictions;
}

ModelScores score(const Dataset& data, std::span<const std::size_t> rows,
                  std::span<const double> errors) {
  ModelScores scores;
  std::vector<double> relative, measured, predicted;
  // A choice is made where several primitives compute the same between the same layouts; beyond
  // that, layouts have to fit the neighbours. Here all layouts compete: a diagnosis, not a plan.
  std::map<std::pair<std::size_t, std::size_t>, Decision> choices;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const Sample& sample = data.samples[rows[i]];
    if (sample.censored) continue;
    const double log_predicted = sample.log_ns - errors[i];
    relative.push_back(std::abs(std::exp(-errors[i]) - 1));
    measured.push_back(sample.log_ns);
    predicted.push_back(log_predicted);
    if (data.workloads[sample.workload].op != Op::conv) continue;
    choices[{sample.platform, sample.workload}].add(log_predicted, std::exp(sample.log_ns));
  }
  if (relative.empty()) return scores;
  scores.within_10_percent =
      double(std::count_if(relative.begin(), relative.end(), [](double e) { return e <= 0.1; })) /
      double(relative.size());
  scores.mdrae = statistics::median(std::move(relative));
  scores.spearman = statistics::spearman(measured, predicted);
  scores.regret = total_regret(choices);
  return scores;
}

Result<std::unique_ptr<TrainedModel>> train(std::span<const Profile> profiles,
                                            const TrainOptions& options) {
  CONVOPT_TRY(const Dataset data, make_dataset(profiles, options.timing_mode));
  return train(data, options);
}

Result<TypeModel> train_type(const Dataset& data, const TrainOptions& options) {
  BoosterParameters parameters = options.booster;
  parameters.seed = options.seed;
  const std::vector<std::size_t> rows = data.all_rows();
  CONVOPT_TRY(Fit fit, Fit::train(data, rows, parameters));

  ModelParts parts;
  parts.info = describe(data, options.seed);
  parts.codes = data.codes;
  const int folds = std::min<int>(options.folds, static_cast<int>(data.groups.size()));
  std::vector<double> errors;
  if (folds >= 2) {
    const std::vector<int> fold_of = fold_of_group(data, folds, options.seed);
    const auto fit_fold = [&](std::span<const std::size_t> training,
                              std::span<const std::size_t> test) -> Result<std::vector<double>> {
      CONVOPT_TRY(const Fit fold_fit, Fit::train(data, training, parameters));
      return fold_fit.predict(data, test);
    };
    CONVOPT_TRY(const std::vector<double> held_out,
                cross_validate(data, fold_of, folds, options.threads, fit_fold));
    for (const std::size_t row : rows) {
      errors.push_back(data.samples[row].log_ratio() - held_out[row]);
    }
    parts.intervals = Intervals::fit(data, rows, errors);
    parts.info.interval_coverage = Intervals::coverage(data, rows, errors, fold_of, folds);
    parts.holdout = score(data, rows, errors);
  } else {
    parts.intervals = Intervals::fit(data, {}, {});
  }
  parts.platforms = data.platforms;
  parts.priors = std::move(fit.priors);
  parts.ranges = seen_ranges(data);
  parts.parameters = parameters;
  parts.method = "trained";
  parts.info.holdout_mdrae = parts.holdout.mdrae;
  return TypeModel(std::move(parts), std::move(fit.trees));
}

namespace {

Result<void> check_adds_to(const TrainedModel& former, const Dataset& data) {
  const auto learns = [&](const Sample& sample) {
    return arithmetic_type(data.primitives[sample.primitive]) != former.base_type();
  };
  if (!std::ranges::any_of(data.samples, learns)) {
    return make_error(ErrorCode::bad_input, "the profiles hold no times of other types than " +
                                                std::string(to_string(former.base_type())) +
                                                ", whose model is kept");
  }
  if (data.timing_mode != former.info().timing_mode) {
    return make_error(ErrorCode::bad_input, "the model to keep was trained on times in the mode " +
                                                std::string(to_string(former.info().timing_mode)) +
                                                ", and the profiles hold times in the mode " +
                                                std::string(to_string(data.timing_mode)));
  }
  return {};
}

void keep_type(const TrainedModel* former, DataType type, std::vector<ModelOfType>& models) {
  if (former == nullptr) return;
  const auto known = std::ranges::find(former->models(), type, &ModelOfType::type);
  if (known != former->models().end()) models.push_back(*known);
}

/// What models of single types were trained on, together.
Result<ModelInfo> info_of(std::span<const ModelOfType> models) {
  ModelInfo all;
  const auto add = [](std::vector<std::string>& names, const std::vector<std::string>& more) {
    for (const std::string& name : more) {
      if (std::ranges::find(names, name) == names.end()) names.push_back(name);
    }
  };
  for (const ModelOfType& own : models) {
    CONVOPT_TRY(const TypeModel* const model, own.model.get());
    const ModelInfo& info = model->parts().info;
    add(all.platforms, info.platforms);
    add(all.primitives, info.primitives);
    all.timing_mode = info.timing_mode;
    all.samples += info.samples;
    all.workloads += info.workloads;
    for (const auto& [library, version] : info.libraries) all.libraries[library] = version;
  }
  return all;
}

}  // namespace

Result<std::unique_ptr<TrainedModel>> train(const Dataset& data, const TrainOptions& options) {
  std::vector<ModelOfType> models;
  const TypeModel* base = nullptr;
  const TrainedModel* const former = options.former;
  if (former != nullptr) {
    CONVOPT_CHECK(check_adds_to(*former, data));
    models.push_back(former->models().front());
    base = &former->base();
  }
  for (const DataType type : kArithmeticTypes) {
    if (former != nullptr && type == former->base_type()) continue;
    Dataset own = data.only(type);
    if (own.samples.empty()) {
      keep_type(former, type, models);
      continue;
    }
    if (base != nullptr) {
      CONVOPT_TRY(own, expect(*base, std::move(own)));
    }
    CONVOPT_TRY(TypeModel model, train_type(own, options));
    models.push_back({type, Deferred<TypeModel>(std::move(model))});
    if (base == nullptr) {
      CONVOPT_TRY(base, models.front().model.get());
    }
  }
  ModelInfo info = describe(data, options.seed);
  if (former != nullptr) {
    CONVOPT_TRY(info, info_of(models));
    info.seed = options.seed;
  }
  info.holdout_mdrae = base->parts().info.holdout_mdrae;
  info.interval_coverage = base->parts().info.interval_coverage;
  return TrainedModel::create(std::move(info), std::move(models));
}

}  // namespace convopt
