// Adapter::compare: which method of transfer the samples support best.
#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "core/try.h"
#include "model/adapter.h"
#include "model/regret.h"
#include "model/stacking.h"
#include "model/statistics.h"

namespace convopt {
namespace {

using statistics::mean;
using Rows = std::span<const std::size_t>;

// Fewer shapes cannot be split into some to learn from and some to compare on.
constexpr std::size_t kShapesToCompare = 3;
// Leaving out one of few shapes wastes least; with many, fewer folds say the same in less time.
constexpr std::size_t kManyShapes = 20;
constexpr int kFoldsOfFew = 10, kFoldsOfMany = 5;
// Trees never won with fewer shapes, and they take nearly all of the time.
constexpr std::size_t kShapesForTrees = 20;
// A member of less weight changes no choice, but would have to be learnt, stored and read.
constexpr double kTrace = 0.01;

bool has_trees(TransferMethod method) {
  return method == TransferMethod::residual_trees || method == TransferMethod::trees_scratch;
}

std::vector<double> without_traces(std::vector<double> weights) {
  double sum = 0;
  for (double& weight : weights) {
    if (weight < kTrace) weight = 0;
    sum += weight;
  }
  for (double& weight : weights) weight /= sum;
  return weights;
}

/// By group of shapes: the mean error, fast primitives weighing most, the logarithm of the regret
/// of choosing among them, and their sum.
struct Losses {
  std::vector<double> error, regret, sum;
};
using Part = std::vector<double> Losses::*;

Losses losses(const Dataset& data, Rows rows, std::span<const double> errors) {
  struct OfGroup {
    double error = 0, weight = 0, regret = 0, choices = 0;
  };
  std::map<std::size_t, OfGroup> groups;
  std::map<std::size_t, std::pair<std::size_t, Decision>> choices;  // by workload, with its group
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const Sample& sample = data.samples[rows[i]];
    const double error = sample.censored ? std::max(0.0, errors[i]) : std::abs(errors[i]);
    OfGroup& group = groups[sample.group];
    group.error += sample.relevance * error;
    group.weight += sample.relevance;
    if (sample.censored || data.workloads[sample.workload].op != Op::conv) continue;
    auto& [choice_group, choice] = choices[sample.workload];
    choice_group = sample.group;
    choice.add(sample.log_ns - errors[i], sample.log_ns);
  }
  for (const auto& [workload, entry] : choices) {
    const auto& [group, choice] = entry;
    groups[group].regret += choice.chosen - choice.best;
    groups[group].choices += 1;
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

class MethodComparison {
 public:
  MethodComparison(const Adapter& adapter, Rows rows, const TransferOptions& options)
      : adapter_(adapter),
        data_(adapter.data()),
        rows_(rows),
        options_(options),
        methods_(options.methods),
        none_(methods_.size()),
        errors_of_(none_),
        losses_of_(none_) {
    for (const std::size_t row : rows) groups_.insert(data_.samples[row].group);
    for (const TransferMethod method : methods_) result_.candidates.push_back({.method = method});
  }

  Result<Comparison> run() {
    if (groups_.size() < kShapesToCompare) {
      result_.chosen = simplest_for_few_shapes();
    } else {
      CONVOPT_CHECK(cross_validate_all());
      result_.chosen = choose();
      result_.errors = std::move(errors_of_[result_.chosen]);
    }
    result_.candidates[result_.chosen].chosen = true;
    return std::move(result_);
  }

 private:
  // One factor is the most that so little can support.
  std::size_t simplest_for_few_shapes() const {
    std::size_t simplest = 0;
    for (std::size_t m = 0; m < none_; ++m) {
      if (methods_[m] <= TransferMethod::one_factor) simplest = m;
    }
    return simplest;
  }

  Result<void> cross_validate_all() {
    const std::size_t shapes = groups_.size();
    result_.folds =
        shapes < kManyShapes ? std::min<int>(kFoldsOfFew, static_cast<int>(shapes)) : kFoldsOfMany;
    result_.fold_of_group = fold_of_group(data_, groups_, result_.folds, options_.seed);
    for (std::size_t m = 0; m < none_; ++m) {
      if (methods_[m] == TransferMethod::ensemble) continue;
      if (has_trees(methods_[m]) && shapes < kShapesForTrees && none_ > 1) continue;
      CONVOPT_CHECK(cross_validate_method(m));
    }
    return {};
  }

  Result<void> cross_validate_method(std::size_t m) {
    const auto learn_and_predict = [&](Rows training, Rows test) -> Result<std::vector<double>> {
      CONVOPT_TRY(const AdaptedFit learnt, adapter_.learn(methods_[m], training));
      return adapter_.predict(learnt, test);
    };
    CONVOPT_TRY(const std::vector<double> predicted,
                cross_validate(data_, result_.fold_of_group, result_.folds, options_.threads,
                               learn_and_predict));
    for (const std::size_t row : rows_) {
      errors_of_[m].push_back(data_.samples[row].log_ns - predicted[row]);
    }
    score_method(m);
    return {};
  }

  void score_method(std::size_t m) {
    losses_of_[m] = losses(data_, rows_, errors_of_[m]);
    result_.candidates[m].scores = score(data_, rows_, errors_of_[m]);
    result_.candidates[m].loss = mean(losses_of_[m].sum);
  }

  bool tried(std::size_t m) const { return !losses_of_[m].sum.empty(); }
  bool without_trees(std::size_t m) const { return tried(m) && !has_trees(methods_[m]); }
  double loss(std::size_t m, Part part) const { return mean(losses_of_[m].*part); }
  double noise(std::size_t a, std::size_t b, Part part) const {
    return noise_between(losses_of_[a].*part, losses_of_[b].*part);
  }
  bool as_good(std::size_t m, std::size_t best, Part part) const {
    return loss(m, part) - loss(best, part) <= noise(m, best, part);
  }

  // Of those with the smallest loss, `best` if it is one, else the first; none_ if there is none.
  template <class Admitted>
  std::size_t best_of(Part part, Admitted&& admitted, std::size_t best) const {
    for (std::size_t m = 0; m < none_; ++m) {
      if (admitted(m) && (best == none_ || loss(m, part) < loss(best, part))) best = m;
    }
    return best;
  }

  std::size_t choose() {
    const auto plain = [this](std::size_t m) { return without_trees(m); };
    const std::size_t best = best_of(&Losses::sum, plain, none_);
    if (best == none_)
      return best_of(
          &Losses::sum, [this](std::size_t m) { return tried(m); }, none_);
    const auto ensemble = static_cast<std::size_t>(
        std::ranges::find(methods_, TransferMethod::ensemble) - methods_.begin());
    const std::size_t chosen = ensemble == none_ ? simplest_as_good_as(best) : stack(ensemble);
    const std::size_t trees = best_of(
        &Losses::sum, [this](std::size_t m) { return tried(m) && has_trees(methods_[m]); }, none_);
    const bool trees_win =
        trees != none_ &&
        loss(chosen, &Losses::sum) - loss(trees, &Losses::sum) > noise(chosen, trees, &Losses::sum);
    return trees_win ? trees : chosen;
  }

  // Within the noise, so that a lucky split promotes no complex method.
  std::size_t simplest_as_good_as(std::size_t best) const {
    for (std::size_t m = 0; m < best; ++m) {
      if (without_trees(m) && as_good(m, best, &Losses::sum)) return m;
    }
    return best;
  }

  // The ensemble's members are weighted by stacking. The prior is on methods that correct the
  // source little; others gain weight as far as held-out shapes support them. So the source's
  // ranking changes only where it is seen to be wrong.
  std::size_t stack(std::size_t ensemble) {
    std::vector<std::size_t> members;
    std::vector<std::span<const double>> errors;
    for (std::size_t m = 0; m < none_; ++m) {
      if (!without_trees(m)) continue;
      members.push_back(m);
      errors.push_back(errors_of_[m]);
    }
    const std::vector<double> weights =
        without_traces(stacking_weights(data_, rows_, errors, prior_of(members)));
    errors_of_[ensemble].assign(rows_.size(), 0);
    for (std::size_t i = 0; i < members.size(); ++i) {
      result_.candidates[members[i]].weight = weights[i];
      for (std::size_t row = 0; row < rows_.size(); ++row) {
        errors_of_[ensemble][row] += weights[i] * errors[i][row];
      }
    }
    score_method(ensemble);
    return ensemble;
  }

  // In equal parts the methods that keep what the source knows of shapes and correct it by
  // primitive; all, if none of these is asked for. A source of several platforms has learnt what
  // rankings have in common, so its own is as likely as one corrected by few samples.
  std::vector<double> prior_of(std::span<const std::size_t> members) const {
    std::vector<double> prior;
    double sum = 0;
    for (const std::size_t m : members) {
      const bool in =
          methods_[m] == TransferMethod::factor_per_primitive ||
          methods_[m] == TransferMethod::residual_gp ||
          (methods_[m] == TransferMethod::one_factor && adapter_.source_platforms() > 1);
      prior.push_back(in ? 1 : 0);
      sum += prior.back();
    }
    if (sum == 0) return std::vector<double>(members.size(), 1.0 / double(members.size()));
    for (double& share : prior) share /= sum;
    return prior;
  }

  const Adapter& adapter_;
  const Dataset& data_;
  Rows rows_;
  const TransferOptions& options_;
  const std::vector<TransferMethod>& methods_;
  std::size_t none_;  ///< index of no method
  std::set<std::size_t> groups_;
  std::vector<std::vector<double>> errors_of_;  ///< by method, then by row
  std::vector<Losses> losses_of_;
  Comparison result_;
};

}  // namespace

Result<Comparison> Adapter::compare(Rows rows, const TransferOptions& options) const {
  return MethodComparison(*this, rows, options).run();
}

}  // namespace convopt
