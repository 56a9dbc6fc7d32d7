#include "model/transfer.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <set>

#include "model/statistics.h"
#include "model/train.h"

namespace convopt {
namespace {

using Rows = std::span<const std::size_t>;

// Fewer shapes cannot be split into some to learn from and some to judge by.
constexpr std::size_t kShapesToCompare = 3;
// Leaving out one of few shapes wastes least; with many, fewer folds say the same in less time.
constexpr std::size_t kManyShapes = 20;
constexpr int kFoldsOfFew = 10, kFoldsOfMany = 5;

// Noise and differences between primitives before any sample says more: 15 % each, the size that
// factors per kernel showed between five processors (docs/model.md).
constexpr double kPriorDeviation = 0.15;
// A power may differ from that of the source by so much.
constexpr double kSlopeDeviation = 0.3;

// Few samples: small trees, many of them weak.
BoosterParameters residual_parameters(std::uint64_t seed) {
  BoosterParameters parameters;
  parameters.rounds = 80;
  parameters.depth = 4;
  parameters.eta = 0.08;
  parameters.min_child_weight = 3;
  parameters.seed = seed;
  return parameters;
}

BoosterParameters scratch_parameters(std::uint64_t seed) {
  BoosterParameters parameters;
  parameters.rounds = 200;
  parameters.depth = 5;
  parameters.seed = seed;
  return parameters;
}

/// What is the same for every fold and method.
struct Task {
  const TrainedModel& source;
  const Dataset& data;
  std::vector<double> source_ratio;  ///< f of the source, by row
  std::uint64_t seed;

  double analytic(std::size_t row) const { return data.samples[row].log_analytic; }
  const std::string& primitive(std::size_t row) const {
    return data.primitives[data.samples[row].primitive].name;
  }
  double corrected(const Correction& correction, std::size_t row) const {
    return correction.apply(source_ratio[row], analytic(row), primitive(row));
  }
  /// What the correction leaves: log(measured / predicted).
  double residual(const Correction& correction, std::size_t row) const {
    return data.samples[row].log_ns - corrected(correction, row);
  }
  /// A bound says nothing about a prediction above it.
  bool counts(const Correction& correction, std::size_t row) const {
    return !data.samples[row].censored || residual(correction, row) > 0;
  }
};

// On top of what the source itself was corrected by.
Correction with_factor(const Task& task, Rows rows) {
  Correction correction = task.source.parts().correction;
  std::vector<statistics::Weighted> residuals;
  for (const std::size_t row : rows) {
    if (!task.data.samples[row].censored) {
      residuals.push_back({task.residual(correction, row), task.data.samples[row].relevance});
    }
  }
  if (!residuals.empty()) {
    correction.offset += statistics::weighted_quantile(std::move(residuals), 0.5);
  }
  return correction;
}

// Empirical Bayes: the mean residual of a primitive counts as much as its scatter and its number of
// samples allow, measured against how much primitives differ at all.
void add_factors_per_primitive(const Task& task, Rows rows, Correction& correction) {
  struct Sum {
    double count = 0, sum = 0, squares = 0;
  };
  std::map<std::string, Sum> sums;
  for (const std::size_t row : rows) {
    if (!task.counts(correction, row)) continue;
    const double residual = task.residual(correction, row);
    Sum& sum = sums[task.primitive(row)];
    sum.count += 1;
    sum.sum += residual;
    sum.squares += residual * residual;
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
    const double mean = s.sum / s.count;
    between += std::max(0.0, mean * mean - within / s.count);
    between_count += 1;
  }
  between /= between_count;
  for (const auto& [name, s] : sums) {
    correction.by_primitive[name] += s.sum / (s.count + within / std::max(between, 1e-6));
  }
}

Correction with_factor_per_primitive(const Task& task, Rows rows) {
  Correction correction = with_factor(task, rows);
  add_factors_per_primitive(task, rows, correction);
  return correction;
}

// Weighted ridge regression of what one factor leaves on the source's ratio and the analytic time,
// then the primitives.
Correction with_slopes(const Task& task, Rows rows) {
  Correction correction = with_factor(task, rows);
  double weight = 0, mean_f = 0, mean_a = 0, mean_r = 0;
  std::vector<std::size_t> used;
  for (const std::size_t row : rows) {
    if (!task.counts(correction, row)) continue;
    used.push_back(row);
    const double w = task.data.samples[row].relevance;
    weight += w;
    mean_f += w * task.source_ratio[row];
    mean_a += w * task.analytic(row);
    mean_r += w * task.residual(correction, row);
  }
  if (!(weight > 0)) return correction;
  mean_f /= weight;
  mean_a /= weight;
  mean_r /= weight;
  double ff = 0, fa = 0, aa = 0, fr = 0, ar = 0, rr = 0;
  for (const std::size_t row : used) {
    const double w = task.data.samples[row].relevance;
    const double f = task.source_ratio[row] - mean_f, a = task.analytic(row) - mean_a;
    const double r = task.residual(correction, row) - mean_r;
    ff += w * f * f;
    fa += w * f * a;
    aa += w * a * a;
    fr += w * f * r;
    ar += w * a * r;
    rr += w * r * r;
  }
  const double ridge = std::max(rr / weight, 1e-4) / (kSlopeDeviation * kSlopeDeviation);
  const double determinant = (ff + ridge) * (aa + ridge) - fa * fa;
  // A slope near zero or below would turn what the source knows upside down.
  const double slope = std::clamp(((aa + ridge) * fr - fa * ar) / determinant,
                                  0.2 - correction.slope, 3.0 - correction.slope);
  const double size_slope = ((ff + ridge) * ar - fa * fr) / determinant;
  // Written about the present center: (a - mean_a) = (a - center) - (mean_a - center).
  if (task.source.parts().correction.size_slope == 0) correction.center = mean_a;
  correction.slope += slope;
  correction.size_slope += size_slope;
  correction.offset += mean_r - slope * mean_f - size_slope * (mean_a - correction.center);
  add_factors_per_primitive(task, rows, correction);
  return correction;
}

Correction correction_of(TransferMethod method, const Task& task, Rows rows) {
  switch (method) {
    case TransferMethod::zero_shot:
      return task.source.parts().correction;
    case TransferMethod::factor:
      return with_factor(task, rows);
    case TransferMethod::factor_per_primitive:
      return with_factor_per_primitive(task, rows);
    case TransferMethod::affine:
    case TransferMethod::residual:
      return with_slopes(task, rows);
    case TransferMethod::scratch:
      return {};
  }
  return {};
}

// The source's trees and more of them, fitted to what the correction leaves.
Result<Booster> with_more_trees(const Task& task, Rows rows, const Correction& correction) {
  // Read from the file's bytes, because folds run at the same time and share the source.
  auto source = Booster::deserialize(task.source.bytes());
  if (!source) return source.error();
  Booster booster = std::move(source->booster);
  const Effects& effects = task.source.parts().effects;
  std::vector<Target> targets;
  for (const std::size_t row : rows) {
    const Sample& sample = task.data.samples[row];
    const double trees =
        task.source_ratio[row] - effects.of(task.data.primitives[sample.primitive]);
    targets.push_back({trees + task.residual(correction, row) / correction.slope, sample.relevance,
                       sample.censored});
  }
  auto boosted =
      booster.boost(select_rows(task.data, rows, effects), targets, residual_parameters(task.seed));
  if (!boosted) return boosted.error();
  return Result<Booster>(std::move(booster));
}

/// log of the predicted times of `test`, having learnt from `training`.
Result<std::vector<double>> learn_and_predict(TransferMethod method, const Task& task,
                                              Rows training, Rows test) {
  std::vector<double> result(test.size());
  if (method == TransferMethod::scratch) {
    const auto fit = Fit::train(task.data, training, scratch_parameters(task.seed));
    if (!fit) return fit.error();
    const auto ratios = fit->predict(task.data, test);
    if (!ratios) return ratios.error();
    for (std::size_t i = 0; i < test.size(); ++i) result[i] = task.analytic(test[i]) + (*ratios)[i];
    return result;
  }
  const Correction correction = correction_of(method, task, training);
  if (method != TransferMethod::residual) {
    for (std::size_t i = 0; i < test.size(); ++i) result[i] = task.corrected(correction, test[i]);
    return result;
  }
  const auto booster = with_more_trees(task, training, correction);
  if (!booster) return booster.error();
  const Effects& effects = task.source.parts().effects;
  const auto trees = booster->predict(select_rows(task.data, test, effects));
  if (!trees) return trees.error();
  for (std::size_t i = 0; i < test.size(); ++i) {
    const PrimitiveInfo& primitive = task.data.primitives[task.data.samples[test[i]].primitive];
    result[i] = correction.apply(effects.of(primitive) + (*trees)[i], task.analytic(test[i]),
                                 primitive.name);
  }
  return result;
}

/// By group of shapes.
std::vector<double> losses(const Dataset& data, std::span<const double> errors) {
  std::vector<double> loss(data.groups.size(), 0), weight(data.groups.size(), 0);
  for (std::size_t row = 0; row < data.samples.size(); ++row) {
    const Sample& sample = data.samples[row];
    const double error = sample.censored ? std::max(0.0, errors[row]) : std::abs(errors[row]);
    loss[sample.group] += sample.relevance * error;
    weight[sample.group] += sample.relevance;
  }
  for (std::size_t g = 0; g < loss.size(); ++g) loss[g] /= weight[g];
  return loss;
}

double mean(std::span<const double> values) {
  double sum = 0;
  for (const double value : values) sum += value;
  return sum / static_cast<double>(values.size());
}

// The simplest candidate whose loss exceeds the best one's by at most a standard error of their
// difference, shape by shape.
std::size_t choose(const std::vector<std::vector<double>>& losses_of) {
  std::size_t best = 0;
  for (std::size_t i = 1; i < losses_of.size(); ++i) {
    if (mean(losses_of[i]) < mean(losses_of[best])) best = i;
  }
  const auto groups = static_cast<double>(losses_of[best].size());
  for (std::size_t i = 0; i < best; ++i) {
    const double difference = mean(losses_of[i]) - mean(losses_of[best]);
    double squares = 0;
    for (std::size_t g = 0; g < losses_of[i].size(); ++g) {
      const double d = losses_of[i][g] - losses_of[best][g] - difference;
      squares += d * d;
    }
    if (difference <= std::sqrt(squares / (groups * std::max(1.0, groups - 1)))) return i;
  }
  return best;
}

void merge_ranges(SeenRanges& into, const SeenRanges& more) {
  for (const auto& [op, range] : more) {
    const auto [at, inserted] = into.try_emplace(op, range);
    if (inserted) continue;
    for (std::size_t i = 0; i < range.first.size(); ++i) {
      at->second.first[i] = std::min(at->second.first[i], range.first[i]);
      at->second.second[i] = std::max(at->second.second[i], range.second[i]);
    }
  }
}

void add_primitives(ModelParts& parts, const std::vector<PrimitiveInfo>& more) {
  std::set<std::string> known(parts.info.primitives.begin(), parts.info.primitives.end());
  for (const PrimitiveInfo& primitive : more) {
    if (!known.insert(primitive.name).second) continue;
    parts.info.primitives.push_back(primitive.name);
    parts.primitives.push_back(primitive);
    // The value it would have anyhow; from now on it is known.
    parts.effects.by_primitive.try_emplace(primitive.name, parts.effects.of(primitive));
  }
}

Result<std::unique_ptr<TrainedModel>> adapted(TransferMethod method, const Task& task,
                                              ModelParts parts) {
  const std::vector<std::size_t> rows = task.data.all_rows();
  const ModelParts& source = task.source.parts();
  const std::string origin = task.source.info().id;
  parts.platforms = task.data.platforms;
  parts.method = std::string(to_string(method)) + " from " + origin;
  if (method == TransferMethod::scratch) {
    auto fit = Fit::train(task.data, rows, scratch_parameters(task.seed));
    if (!fit) return fit.error();
    parts.primitives = task.data.primitives;
    parts.effects = std::move(fit->effects);
    parts.ranges = seen_ranges(task.data);
    parts.parameters = scratch_parameters(task.seed);
    return TrainedModel::create(std::move(parts), std::move(fit->booster));
  }
  parts.info.primitives = task.source.info().primitives;
  parts.primitives = source.primitives;
  parts.effects = source.effects;
  parts.ranges = source.ranges;
  parts.parameters = source.parameters;
  parts.correction = correction_of(method, task, rows);
  merge_ranges(parts.ranges, seen_ranges(task.data));
  add_primitives(parts, task.data.primitives);
  if (method == TransferMethod::residual) {
    auto booster = with_more_trees(task, rows, parts.correction);
    if (!booster) return booster.error();
    return TrainedModel::create(std::move(parts), std::move(*booster));
  }
  auto trees = Booster::deserialize(task.source.bytes());
  if (!trees) return trees.error();
  return TrainedModel::create(std::move(parts), std::move(trees->booster));
}

}  // namespace

std::string_view to_string(TransferMethod method) {
  switch (method) {
    case TransferMethod::zero_shot:
      return "zero-shot";
    case TransferMethod::factor:
      return "factor";
    case TransferMethod::factor_per_primitive:
      return "factor-per-primitive";
    case TransferMethod::affine:
      return "affine";
    case TransferMethod::residual:
      return "residual";
    case TransferMethod::scratch:
      return "scratch";
  }
  return "?";
}

Result<Transfer> adapt(const TrainedModel& source, const Profile& target,
                       const TransferOptions& options) {
  if (options.methods.empty()) {
    return make_error(ErrorCode::usage, "no way to adapt the model was asked for");
  }
  const TimingMode mode = source.info().timing_mode;
  const auto data = make_dataset(std::span(&target, 1), mode);
  if (!data) {
    return make_error(data.error().code, "the profile holds no times in the model's timing mode, " +
                                             std::string(to_string(mode)));
  }
  Task task{source, *data, {}, options.seed};
  const std::vector<std::size_t> rows = data->all_rows();
  auto ratios = source.log_ratios(*data, rows);
  if (!ratios) return ratios.error();
  task.source_ratio = std::move(*ratios);

  Transfer transfer;
  transfer.shapes = data->groups.size();
  transfer.samples = data->samples.size();
  ModelParts parts;
  parts.info = describe(*data, options.seed);
  std::size_t chosen = 0;
  if (data->groups.size() < kShapesToCompare) {
    for (const TransferMethod method : options.methods) {
      // One factor is the most that so little can support.
      if (method <= TransferMethod::factor) chosen = transfer.candidates.size();
      transfer.candidates.push_back({method, {}});
    }
    parts.intervals = source.parts().intervals;
  } else {
    const int folds = data->groups.size() < kManyShapes
                          ? std::min<int>(kFoldsOfFew, static_cast<int>(data->groups.size()))
                          : kFoldsOfMany;
    const std::vector<int> fold_of = fold_of_group(*data, folds, options.seed);
    std::vector<std::vector<double>> errors_of, losses_of;
    for (const TransferMethod method : options.methods) {
      auto errors =
          cross_validate(*data, fold_of, folds, options.threads, [&](Rows training, Rows test) {
            return learn_and_predict(method, task, training, test);
          });
      if (!errors) return errors.error();
      for (const std::size_t row : rows) {
        (*errors)[row] = data->samples[row].log_ns - (*errors)[row];
      }
      losses_of.push_back(losses(*data, *errors));
      transfer.candidates.push_back({method, score(*data, *errors), mean(losses_of.back())});
      errors_of.push_back(std::move(*errors));
    }
    chosen = choose(losses_of);
    parts.intervals = Intervals::fit(*data, rows, errors_of[chosen]);
    parts.info.interval_coverage =
        Intervals::coverage(*data, rows, errors_of[chosen], fold_of, folds);
    parts.holdout = transfer.candidates[chosen].scores;
    parts.info.holdout_mdrae = parts.holdout.mdrae;
  }
  transfer.candidates[chosen].chosen = true;
  auto model = adapted(transfer.candidates[chosen].method, task, std::move(parts));
  if (!model) return model.error();
  transfer.model = std::move(*model);
  return transfer;
}

}  // namespace convopt
