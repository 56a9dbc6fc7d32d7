#include "model/transfer.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "model/features.h"
#include "model/statistics.h"

namespace convopt {
namespace {

using statistics::mean;
using Rows = std::span<const std::size_t>;

// Fewer shapes cannot be split into some to learn from and some to judge by.
constexpr std::size_t kShapesToCompare = 3;
// Errors on fewer do not tell whether laws are better than the source: from the A53 to the M1,
// which is nothing like it, they were left out by three shapes and the mean regret was 2.2 instead
// of 1.4.
constexpr std::size_t kShapesToTell = 5;
// Leaving out one of few shapes wastes least; with many, fewer folds say the same in less time.
constexpr std::size_t kManyShapes = 20;
constexpr int kFoldsOfFew = 10, kFoldsOfMany = 5;
// Trees never won with fewer shapes, and they take nearly all of the time.
constexpr std::size_t kShapesForTrees = 20;

// Noise and differences between primitives before any sample says more: 15 % each, the size that
// factors per kernel showed between five processors (docs/reference/model.md).
constexpr double kPriorDeviation = 0.15;
// A power may differ from that of the source by so much.
constexpr double kSlopeDeviation = 0.3;
// A primitive's coefficients may differ from the source's, times what is common to all.
constexpr double kLawDeviation = 0.5;
// Times the error of the best, from which on a method is no member of the stack however it ranks.
constexpr double kFarOff = 2.5;

// Few samples: small trees, many of them weak.
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

bool has_trees(TransferMethod method) {
  return method == TransferMethod::residual || method == TransferMethod::scratch;
}

// What the source says of a shape counts in full.
bool keeps_source(TransferMethod method) {
  return method <= TransferMethod::source_field || method == TransferMethod::residual;
}

// By group of shapes: the mean error, fast primitives weighing most, and the logarithm of the
// regret of choosing among them.
struct Losses {
  std::vector<double> error, regret, sum;
};

Losses losses(const Dataset& data, Rows rows, std::span<const double> errors) {
  struct OfGroup {
    double error = 0, weight = 0, regret = 0, choices = 0;
  };
  struct Choice {
    std::size_t group = 0;
    double predicted = INFINITY, chosen = 0, best = INFINITY;
  };
  std::map<std::size_t, OfGroup> groups;
  std::map<std::size_t, Choice> choices;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const Sample& sample = data.samples[rows[i]];
    const double error = sample.censored ? std::max(0.0, errors[i]) : std::abs(errors[i]);
    OfGroup& group = groups[sample.group];
    group.error += sample.relevance * error;
    group.weight += sample.relevance;
    if (sample.censored || data.workloads[sample.workload].op != Op::conv) continue;
    Choice& choice = choices[sample.workload];
    choice.group = sample.group;
    const double predicted = sample.log_ns - errors[i];
    if (predicted < choice.predicted) {
      choice.predicted = predicted;
      choice.chosen = sample.log_ns;
    }
    choice.best = std::min(choice.best, sample.log_ns);
  }
  for (const auto& [workload, choice] : choices) {
    groups[choice.group].regret += choice.chosen - choice.best;
    groups[choice.group].choices += 1;
  }
  Losses result;
  for (const auto& [index, group] : groups) {
    result.error.push_back(group.error / group.weight);
    result.regret.push_back(group.regret / std::max(1.0, group.choices));
    result.sum.push_back(result.error.back() + result.regret.back());
  }
  return result;
}

// Standard error of the difference of two means, shape by shape.
double noise_between(std::span<const double> a, std::span<const double> b) {
  const double difference = mean(a) - mean(b);
  double squares = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    squares += (a[i] - b[i] - difference) * (a[i] - b[i] - difference);
  }
  const auto count = static_cast<double>(a.size());
  return std::sqrt(squares / (count * std::max(1.0, count - 1)));
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
    // The value it would have anyhow; from now on it is known.
    Effects& effects = parts.background.effects;
    effects.by_primitive.try_emplace(primitive.name, effects.of(primitive));
  }
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
    case TransferMethod::source_field:
      return "source-and-field";
    case TransferMethod::law:
      return "law";
    case TransferMethod::law_scratch:
      return "law-scratch";
    case TransferMethod::law_and_source:
      return "law-and-source";
    case TransferMethod::field:
      return "field";
    case TransferMethod::residual:
      return "residual";
    case TransferMethod::scratch:
      return "scratch";
    case TransferMethod::stack:
      return "stack";
  }
  return "?";
}

Result<Adapter> Adapter::create(const TrainedModel& source, const Dataset& data,
                                std::uint64_t seed) {
  if (data.codes != source.parts().codes) {
    return make_error(ErrorCode::internal, "the samples' categories are coded for another model");
  }
  Adapter adapter(source, data, seed);
  const std::vector<std::size_t> rows = data.all_rows();
  auto ratios = source.log_ratios(data, rows);
  if (!ratios) return ratios.error();
  adapter.source_ratio_ = std::move(*ratios);
  BlendReader reader(source.parts().blend);
  for (const std::size_t row : rows) {
    adapter.source_log_.push_back(adapter.log_ns(reader, adapter.source_ratio_[row], row));
  }
  return adapter;
}

double Adapter::log_ns(BlendReader& reader, double log_ratio, std::size_t row) const {
  const Sample& sample = data_->samples[row];
  return reader.log_ns({log_ratio, sample.log_analytic, &sample.terms,
                        &data_->workloads[sample.workload], &data_->primitives[sample.primitive]});
}

// log(measured / predicted)
std::vector<double> Adapter::residuals(const Blend& blend, Rows rows) const {
  BlendReader reader(blend);
  std::vector<double> result;
  result.reserve(rows.size());
  for (const std::size_t row : rows) {
    result.push_back(data_->samples[row].log_ns - log_ns(reader, source_ratio_[row], row));
  }
  return result;
}

void Adapter::add_factor(Rows rows, Blend& blend) const {
  const std::vector<double> left = residuals(blend, rows);
  std::vector<statistics::Weighted> values;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const Sample& sample = data_->samples[rows[i]];
    if (!sample.censored) values.push_back({left[i], sample.relevance});
  }
  if (!values.empty()) blend.offset += statistics::weighted_quantile(std::move(values), 0.5);
}

// Empirical Bayes: the mean residual of a primitive counts as much as its scatter and its number of
// samples allow, measured against how much primitives differ at all.
void Adapter::add_factors_per_primitive(Rows rows, Blend& blend) const {
  struct Sum {
    double count = 0, sum = 0, squares = 0;
  };
  std::map<std::string, Sum> sums;
  const std::vector<double> left = residuals(blend, rows);
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const Sample& sample = data_->samples[rows[i]];
    if (sample.censored && left[i] < 0) continue;  // a bound below the prediction says nothing
    Sum& sum = sums[data_->primitives[sample.primitive].name];
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
    blend.own[name] += s.sum / (s.count + within / std::max(between, 1e-6));
  }
}

// Weighted ridge regression of what is left on the source's ratio and on the analytic time.
void Adapter::add_slopes(Rows rows, Blend& blend) const {
  const std::vector<double> left = residuals(blend, rows);
  struct Point {
    double w, f, a, r;
  };
  std::vector<Point> points;
  double weight = 0, mean_f = 0, mean_a = 0, mean_r = 0;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const Sample& sample = data_->samples[rows[i]];
    if (sample.censored && left[i] < 0) continue;
    points.push_back({sample.relevance, source_ratio_[rows[i]], sample.log_analytic, left[i]});
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
  // A slope near zero or below would turn what the source knows upside down.
  const double slope = std::clamp(((aa + ridge) * fr - fa * ar) / determinant,
                                  std::min(0.0, 0.2 - blend.slope), 3.0 - blend.slope);
  const double size = ((ff + ridge) * ar - fa * fr) / determinant;
  blend.slope += slope;
  blend.size += size;
  blend.offset += mean_r - slope * mean_f - size * mean_a;
}

// What the source knows beyond its own laws is likely to hold here in part; how large a part, the
// samples say, held towards a half.
Blend Adapter::law_and_source(Rows rows) const {
  const Laws& laws = source_laws();
  std::vector<double> beyond;
  for (const std::size_t row : rows) {
    const Sample& sample = data_->samples[row];
    beyond.push_back(source_log_[row] -
                     laws.of(data_->primitives[sample.primitive]).log_ns(sample.terms));
  }
  constexpr double kPriorShare = 0.5, kShareDeviation = 0.3, kNoise = 0.1;
  double share = kPriorShare;
  Laws own;
  for (int round = 0; round < 2; ++round) {
    own = Laws::adapt(laws, *data_, rows, kLawDeviation, beyond, share);
    double bb = 1 / (kShareDeviation * kShareDeviation), br = kPriorShare * bb;
    for (std::size_t i = 0; i < rows.size(); ++i) {
      const Sample& sample = data_->samples[rows[i]];
      if (sample.censored) continue;
      const double r =
          sample.log_ns - own.of(data_->primitives[sample.primitive]).log_ns(sample.terms);
      // Primitives of one shape err together.
      const double weight = 0.25 * sample.relevance / (kNoise * kNoise);
      bb += weight * beyond[i] * beyond[i];
      br += weight * beyond[i] * r;
    }
    share = std::clamp(br / bb, 0.0, 1.0);
  }
  Blend blend = Blend::nothing();
  blend.add(source_->parts().blend, share);
  blend.laws.emplace_back(1, std::move(own));
  blend.laws.emplace_back(-share, laws);
  return blend;
}

// The source's trees and more of them, fitted to what the blend leaves.
Result<Booster> Adapter::more_trees(Rows rows, const Blend& blend) const {
  // Read from the file's bytes, because folds run at the same time and share the source.
  auto source = Booster::deserialize(source_->bytes());
  if (!source) return source.error();
  const Background& background = source_->parts().background;
  const std::vector<double> left = residuals(blend, rows);
  std::vector<Target> targets;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const Sample& sample = data_->samples[rows[i]];
    const double trees =
        source_ratio_[rows[i]] - background.effects.of(data_->primitives[sample.primitive]);
    targets.push_back({trees + left[i] / blend.slope, sample.relevance, sample.censored});
  }
  auto boosted = source->booster.boost(select_rows(*data_, rows, background), targets,
                                       residual_parameters(seed_));
  if (!boosted) return boosted.error();
  return Result<Booster>(std::move(source->booster));
}

Result<Learnt> Adapter::learn(TransferMethod method, Rows rows) const {
  Learnt learnt{.method = method, .blend = source_->parts().blend};
  switch (method) {
    case TransferMethod::zero_shot:
    case TransferMethod::stack:
      break;
    case TransferMethod::factor:
      add_factor(rows, learnt.blend);
      break;
    case TransferMethod::factor_per_primitive:
      add_factor(rows, learnt.blend);
      add_factors_per_primitive(rows, learnt.blend);
      break;
    case TransferMethod::affine:
    case TransferMethod::residual:
      add_factor(rows, learnt.blend);
      add_slopes(rows, learnt.blend);
      add_factors_per_primitive(rows, learnt.blend);
      break;
    case TransferMethod::source_field:
      add_factor(rows, learnt.blend);
      learnt.blend.fields.push_back(Field::fit(*data_, rows, residuals(learnt.blend, rows)));
      break;
    case TransferMethod::law:
      learnt.blend = Blend::nothing();
      learnt.blend.laws.emplace_back(1, Laws::adapt(source_laws(), *data_, rows, kLawDeviation));
      break;
    case TransferMethod::law_scratch:
      learnt.blend = Blend::nothing();
      learnt.blend.laws.emplace_back(1, Laws::fit(*data_, rows));
      break;
    case TransferMethod::law_and_source:
      learnt.blend = law_and_source(rows);
      break;
    case TransferMethod::field:
      learnt.blend = law_and_source(rows);
      learnt.blend.fields.push_back(Field::fit(*data_, rows, residuals(learnt.blend, rows)));
      break;
    case TransferMethod::scratch: {
      auto fit = Fit::train(*data_, rows, scratch_parameters(seed_));
      if (!fit) return fit.error();
      learnt.blend = {};
      learnt.own = std::make_shared<Fit>(std::move(*fit));
      break;
    }
  }
  if (method == TransferMethod::residual) {
    auto trees = more_trees(rows, learnt.blend);
    if (!trees) return trees.error();
    learnt.more_trees = std::make_shared<Booster>(std::move(*trees));
  }
  return learnt;
}

Result<std::vector<double>> Adapter::predict(const Learnt& learnt, Rows rows) const {
  std::vector<double> ratios;
  if (learnt.own != nullptr) {
    auto predicted = learnt.own->predict(*data_, rows);
    if (!predicted) return predicted.error();
    ratios = std::move(*predicted);
  } else if (learnt.more_trees != nullptr) {
    const Background& background = source_->parts().background;
    const auto trees = learnt.more_trees->predict(select_rows(*data_, rows, background));
    if (!trees) return trees.error();
    for (std::size_t i = 0; i < rows.size(); ++i) {
      const PrimitiveInfo& primitive = data_->primitives[data_->samples[rows[i]].primitive];
      ratios.push_back(background.effects.of(primitive) + (*trees)[i]);
    }
  } else {
    for (const std::size_t row : rows) ratios.push_back(source_ratio_[row]);
  }
  BlendReader reader(learnt.blend);
  std::vector<double> result;
  result.reserve(rows.size());
  for (std::size_t i = 0; i < rows.size(); ++i) {
    result.push_back(log_ns(reader, ratios[i], rows[i]));
  }
  return result;
}

Result<Adapter::Comparison> Adapter::compare(Rows rows, const TransferOptions& options) const {
  Comparison result;
  std::set<std::size_t> groups;
  for (const std::size_t row : rows) groups.insert(data_->samples[row].group);
  for (const TransferMethod method : options.methods)
    result.candidates.push_back({.method = method});
  if (groups.size() < kShapesToCompare) {
    // One factor is the most that so little can support.
    for (std::size_t i = 0; i < options.methods.size(); ++i) {
      if (options.methods[i] <= TransferMethod::factor) result.chosen = i;
    }
    result.candidates[result.chosen].chosen = true;
    return result;
  }
  result.folds = groups.size() < kManyShapes
                     ? std::min<int>(kFoldsOfFew, static_cast<int>(groups.size()))
                     : kFoldsOfMany;
  result.fold_of_group = fold_of_group(*data_, groups, result.folds, options.seed);

  std::vector<std::vector<double>> errors_of(options.methods.size());
  std::vector<Losses> losses_of(options.methods.size());
  const auto judge = [&](std::size_t index) {
    losses_of[index] = losses(*data_, rows, errors_of[index]);
    result.candidates[index].scores = score(*data_, rows, errors_of[index]);
    result.candidates[index].loss = mean(losses_of[index].sum);
  };
  const auto tried = [&](std::size_t index) { return !losses_of[index].sum.empty(); };
  for (std::size_t m = 0; m < options.methods.size(); ++m) {
    const TransferMethod method = options.methods[m];
    if (method == TransferMethod::stack) continue;
    if (has_trees(method) && groups.size() < kShapesForTrees && options.methods.size() > 1)
      continue;
    const auto predicted =
        cross_validate(*data_, result.fold_of_group, result.folds, options.threads,
                       [&](Rows training, Rows test) -> Result<std::vector<double>> {
                         const auto learnt = learn(method, training);
                         if (!learnt) return learnt.error();
                         return predict(*learnt, test);
                       });
    if (!predicted) return predicted.error();
    for (const std::size_t row : rows) {
      errors_of[m].push_back(data_->samples[row].log_ns - (*predicted)[row]);
    }
    judge(m);
  }
  const auto best_of = [&](auto&& admitted) {
    std::size_t best = options.methods.size();
    for (std::size_t m = 0; m < options.methods.size(); ++m) {
      if (!tried(m) || !admitted(options.methods[m])) continue;
      if (best == options.methods.size() ||
          result.candidates[m].loss < result.candidates[best].loss) {
        best = m;
      }
    }
    return best;
  };
  const std::size_t none = options.methods.size();
  const std::size_t best = best_of([](TransferMethod m) { return !has_trees(m); });
  const auto stack = static_cast<std::size_t>(
      std::ranges::find(options.methods, TransferMethod::stack) - options.methods.begin());
  if (best == none) {
    result.chosen = best_of([](TransferMethod) { return true; });
  } else if (stack == none) {
    result.chosen = best;
    // The simplest that is as good within the noise: a lucky split promotes no complex method.
    for (std::size_t m = best; m-- > 0;) {
      if (tried(m) && !has_trees(options.methods[m]) &&
          result.candidates[m].loss - result.candidates[best].loss <=
              noise_between(losses_of[m].sum, losses_of[best].sum)) {
        result.chosen = m;
      }
    }
  } else {
    // Error and regret disagree: laws of few samples hit times well and rank worse than the source
    // does. So both elect members, each those that are as good as its best within the noise; but
    // what ranks well is no member if its times are far off.
    const auto best_by = [&](std::vector<double> Losses::*part) {
      std::size_t first = best;
      for (std::size_t m = 0; m < none; ++m) {
        if (tried(m) && !has_trees(options.methods[m]) &&
            mean(losses_of[m].*part) < mean(losses_of[first].*part)) {
          first = m;
        }
      }
      return first;
    };
    const auto as_good = [&](std::vector<double> Losses::*part, std::size_t m, std::size_t than) {
      const std::vector<double>&mine = losses_of[m].*part, &theirs = losses_of[than].*part;
      return mean(mine) - mean(theirs) <= noise_between(mine, theirs);
    };
    const std::size_t nearest = best_by(&Losses::error), ranker = best_by(&Losses::regret);
    const double most_error = kFarOff * mean(losses_of[nearest].error);
    // Laws forget what the source's trees know of single shapes, and a choice among ten layers does
    // not show what that costs on networks: they have to be better than the source, not as good.
    std::size_t of_source = none;
    for (std::size_t m = 0; m < none; ++m) {
      if (tried(m) && keeps_source(options.methods[m]) &&
          (of_source == none || mean(losses_of[m].error) < mean(losses_of[of_source].error))) {
        of_source = m;
      }
    }
    const auto admitted = [&](std::size_t m) {
      if (!tried(m) || has_trees(options.methods[m])) return false;
      if (of_source == none || keeps_source(options.methods[m])) return true;
      if (groups.size() < kShapesToTell) return true;
      const std::vector<double>&mine = losses_of[m].error, &theirs = losses_of[of_source].error;
      return mean(mine) < mean(theirs);
    };
    std::vector<std::size_t> members;
    for (std::size_t m = 0; m < none; ++m) {
      if (!admitted(m)) continue;
      if (as_good(&Losses::error, m, nearest) ||
          (as_good(&Losses::regret, m, ranker) && mean(losses_of[m].error) < most_error)) {
        members.push_back(m);
        result.candidates[m].in_stack = true;
      }
    }
    errors_of[stack].assign(rows.size(), 0);
    for (const std::size_t m : members) {
      for (std::size_t i = 0; i < rows.size(); ++i) {
        errors_of[stack][i] += errors_of[m][i] / static_cast<double>(members.size());
      }
    }
    judge(stack);
    result.chosen = members.size() == 1 ? members[0] : stack;
  }
  const std::size_t trees = best_of([](TransferMethod m) { return has_trees(m); });
  if (trees != none && best != none &&
      result.candidates[result.chosen].loss - result.candidates[trees].loss >
          noise_between(losses_of[result.chosen].sum, losses_of[trees].sum)) {
    result.chosen = trees;
  }
  result.candidates[result.chosen].chosen = true;
  result.errors = std::move(errors_of[result.chosen]);
  return result;
}

Result<Learnt> Adapter::learn(const Comparison& comparison, Rows rows) const {
  const TransferMethod method = comparison.candidates[comparison.chosen].method;
  if (method != TransferMethod::stack) return learn(method, rows);
  std::vector<Blend> members;
  for (const TransferCandidate& candidate : comparison.candidates) {
    if (!candidate.in_stack) continue;
    auto learnt = learn(candidate.method, rows);
    if (!learnt) return learnt.error();
    members.push_back(std::move(learnt->blend));
  }
  return Learnt{.method = method, .blend = Blend::average(members)};
}

Result<Transfer> adapt(const TrainedModel& source, const Profile& target,
                       const TransferOptions& options) {
  if (options.methods.empty()) {
    return make_error(ErrorCode::usage, "no way to adapt the model was asked for");
  }
  const TimingMode mode = source.info().timing_mode;
  const auto data = make_dataset(std::span(&target, 1), mode, source.parts().codes);
  if (!data) {
    return make_error(data.error().code, "the profile holds no times in the model's timing mode, " +
                                             std::string(to_string(mode)));
  }
  const auto adapter = Adapter::create(source, *data, options.seed);
  if (!adapter) return adapter.error();
  const std::vector<std::size_t> rows = data->all_rows();
  const auto comparison = adapter->compare(rows, options);
  if (!comparison) return comparison.error();
  auto learnt = adapter->learn(*comparison, rows);
  if (!learnt) return learnt.error();

  ModelParts parts;
  parts.info = describe(*data, options.seed);
  parts.codes = data->codes;
  parts.platforms = data->platforms;
  parts.method = std::string(to_string(learnt->method)) + " from " + source.info().id;
  parts.intervals = source.parts().intervals;
  if (!comparison->errors.empty()) {
    parts.intervals = Intervals::fit(*data, rows, comparison->errors);
    parts.info.interval_coverage = Intervals::coverage(
        *data, rows, comparison->errors, comparison->fold_of_group, comparison->folds);
    parts.holdout = comparison->candidates[comparison->chosen].scores;
    parts.info.holdout_mdrae = parts.holdout.mdrae;
  }
  parts.adapted =
      Laws::adapt(source.parts().laws_of(data->platforms.front()), *data, rows, kLawDeviation);
  parts.blend = std::move(learnt->blend);
  Transfer transfer{
      .candidates = comparison->candidates, .shapes = data->groups.size(), .samples = rows.size()};
  auto model = [&]() -> Result<std::unique_ptr<TrainedModel>> {
    if (learnt->own != nullptr) {
      parts.background = learnt->own->background;
      parts.ranges = seen_ranges(*data);
      parts.parameters = scratch_parameters(options.seed);
      return TrainedModel::create(std::move(parts), std::move(learnt->own->booster));
    }
    parts.info.primitives = source.info().primitives;
    parts.background = source.parts().background;
    parts.ranges = source.parts().ranges;
    parts.parameters = source.parts().parameters;
    merge_ranges(parts.ranges, seen_ranges(*data));
    add_primitives(parts, data->primitives);
    if (learnt->more_trees != nullptr) {
      return TrainedModel::create(std::move(parts), std::move(*learnt->more_trees));
    }
    auto trees = Booster::deserialize(source.bytes());
    if (!trees) return trees.error();
    return TrainedModel::create(std::move(parts), std::move(trees->booster));
  }();
  if (!model) return model.error();
  transfer.model = std::move(*model);
  return transfer;
}

}  // namespace convopt
