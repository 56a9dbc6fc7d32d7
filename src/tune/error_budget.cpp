#include "src/tune/error_budget.h"

#include <algorithm>
#include <cmath>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "core/quantisation.h"
#include "core/text.h"
#include "core/try.h"
#include "src/runtime/executor.h"
#include "src/select/error_price.h"
#include "src/tune/prediction_bound.h"
#include "src/tune/sensitivity.h"

namespace convopt {
namespace {

/// Sensitivities are averages over many numbers; two samples say nearly as much as all.
constexpr std::size_t kSensitivitySamples = 2;
/// Most plans that are run, and how close the limit of the sum of shares is found.
constexpr int kMaxPlans = 10;
constexpr double kCloseEnough = 1.15;
/// By how much that limit moves until one is found that holds and one that does not.
constexpr double kSmallestStep = 4, kLargestStep = 64;

using Outputs = std::vector<std::vector<float>>;

/// Where some plan rounds to the type.
RoundedPlaces rounded_places(const Problem& problem, DataType type) {
  const auto is_of = [type](DataType other) {
    return other == type || (is_quantised(type) && is_quantised(other));
  };
  RoundedPlaces places{{}, {}, type, problem.scales};
  for (const std::vector<TensorState>& states : problem.tensors) {
    places.tensors.push_back(std::ranges::any_of(states, [&](const TensorState& state) {
      return state.pending == 0 && is_of(state.produced.type);
    }));
  }
  for (std::size_t op = 0; op < problem.operators.size(); ++op) {
    const bool typed = std::ranges::any_of(problem.operators[op], [&](const Option& option) {
      if (option.candidate < 0) return false;
      const Traits& traits = problem.candidates[option.candidate].primitive->info().traits;
      return is_of(option.input.type) || is_of(option.output.type) || is_of(traits.product_type);
    });
    places.operators.push_back(typed);
    // What it reads is rounded then, wherever that comes from.
    if (!typed) continue;
    for (const TensorId t : problem.network->operators[op].inputs) {
      if (!is_quantised(type) || is_quantised(problem.scales[t].type)) places.tensors[t] = 1;
    }
  }
  return places;
}

struct Measured {
  Difference worst, bound;
};

class Fitting {
 public:
  Fitting(Selection& selection, const Platform& platform, const WeightSource& weights,
          std::span<const Buffers> samples, const ErrorBudget& budget,
          std::chrono::duration<double> time_limit)
      : problem_(selection.problem),
        platform_(platform),
        weights_(weights),
        samples_(samples),
        budget_(budget),
        time_limit_(time_limit) {}

  /// Prepares the plan in the network's own types.
  Result<void> start() {
    CONVOPT_TRY(own_, solve_in_own_types(problem_, time_limit_));
    CONVOPT_TRY(executor_, prepare(own_));
    for (const Buffers& sample : samples_) {
      CONVOPT_TRY(Outputs outputs, outputs_of(*executor_, network(), sample));
      exact_.push_back(std::move(outputs));
    }
    return {};
  }

  /// The outputs' difference by the plan on the samples, and on others like them.
  Result<Measured> measure(const Solution& solution) {
    ++plans;
    CONVOPT_TRY(const auto executor, prepare(solution));
    std::vector<Difference> differences(samples_.size());
    Measured measured;
    for (std::size_t s = 0; s < samples_.size(); ++s) {
      CONVOPT_TRY(const Outputs outputs, outputs_of(*executor, network(), samples_[s]));
      for (std::size_t i = 0; i < outputs.size(); ++i)
        differences[s] = worse(differences[s], difference(outputs[i], exact_[s][i]));
      measured.worst = worse(measured.worst, differences[s]);
    }
    measured.bound = prediction_bound(differences);
    return measured;
  }

  Result<void> find_shares() {
    for (const DataType type : problem_.types) {
      // s8 stands for u8, too.
      if (type == DataType::f32 || type == DataType::u8) continue;
      const auto first = std::min(samples_.size(), kSensitivitySamples);
      CONVOPT_TRY(const Sensitivities measured,
                  measure_sensitivities(*executor_, network(), *problem_.registry, weights_,
                                        samples_.first(first), std::span(exact_).first(first),
                                        rounded_places(problem_, type)));
      ErrorShares::Places& shares = shares_.of_types[type];
      for (const Difference& d : measured.tensors) shares.tensors.push_back(budget_.share(d));
      for (const Difference& d : measured.operators) shares.operators.push_back(budget_.share(d));
    }
    return {};
  }

  /// The fastest plan found that keeps the budget, and its difference. The sum of shares is an
  /// estimate, so the limit on it is moved until the measured error is just admissible.
  Result<std::pair<Solution, Measured>> search(const Assignment& fastest) {
    std::pair<Solution, Measured> best{own_, {}};
    double limit = 1, held = 0, broken = std::numeric_limits<double>::infinity();
    std::vector<Assignment> seen = {fastest};  // known to break the budget
    for (int i = 0; i < kMaxPlans; ++i) {
      CONVOPT_TRY(Solution solution, solve_within_error(problem_, time_limit_, shares_, limit));
      const bool known = std::ranges::find(seen, solution.assignment) != seen.end();
      seen.push_back(solution.assignment);
      bool holds = solution.ns >= best.first.ns;
      double excess = kSmallestStep;  // of the error's square
      if (!known && !holds) {
        CONVOPT_TRY(const Measured measured, measure(solution));
        holds = budget_.holds(measured.bound);
        excess = std::clamp(budget_.share(measured.bound), kSmallestStep, kLargestStep);
        if (holds) best = {std::move(solution), measured};
      }
      (holds ? held : broken) = limit;
      if (held > 0 && broken / held < kCloseEnough) break;
      limit = held == 0            ? limit / excess
              : std::isinf(broken) ? limit * kSmallestStep
                                   : std::sqrt(held * broken);
    }
    return best;
  }

  int plans = 0;

 private:
  const Network& network() const { return *problem_.network; }

  Result<std::unique_ptr<Executor>> prepare(const Solution& solution) const {
    return Executor::create(network(), make_plan(problem_, solution, platform_), *problem_.registry,
                            weights_);
  }

  const Problem& problem_;
  const Platform& platform_;
  const WeightSource& weights_;
  std::span<const Buffers> samples_;
  const ErrorBudget& budget_;
  std::chrono::duration<double> time_limit_;
  Solution own_;
  std::unique_ptr<Executor> executor_;  ///< of that
  std::vector<Outputs> exact_;          ///< its outputs
  ErrorShares shares_;
};

}  // namespace

double ErrorBudget::share(const Difference& d) const {
  const double by_error = std::isinf(max_error) ? 0 : (d.error / max_error) * (d.error / max_error);
  const double by_cosine = min_cosine > -1 ? (1 - d.cosine) / (1 - min_cosine) : 0;
  // Results that are not finite would cost infinitely much, even at a price of zero.
  constexpr double kForbidding = 1e12;
  return std::min(std::max(by_error, by_cosine), kForbidding);
}

Result<ErrorReport> fit_error(Selection& selection, const Platform& platform,
                              const WeightSource& weights, std::span<const Buffers> samples,
                              const ErrorBudget& budget, std::chrono::duration<double> time_limit,
                              const std::function<void(const std::string&)>& note) {
  ErrorReport report;
  Fitting fitting(selection, platform, weights, samples, budget, time_limit);
  CONVOPT_CHECK(fitting.start());
  CONVOPT_TRY(Measured measured, fitting.measure(selection.solution));
  if (!budget.holds(measured.bound)) {
    if (note) {
      note("the fastest plan errs by " + significant(measured.worst.error, 2) +
           " of the outputs' range, cosine " + fixed(measured.worst.cosine, 6) +
           ", so the error of every layer is measured");
    }
    CONVOPT_CHECK(fitting.find_shares());
    CONVOPT_TRY(auto found, fitting.search(selection.solution.assignment));
    choose(selection, std::move(found.first), platform);
    measured = found.second;
    report.changed = true;
  }
  report.difference = measured.worst;
  report.bound = measured.bound;
  report.plans = fitting.plans;
  selection.plan.accuracy = PlanAccuracy{
      .error = report.difference.error,
      .cosine = report.difference.cosine,
      .error_bound = report.bound.error,
      .cosine_bound = report.bound.cosine,
      .allowed_error = budget.max_error,
      .allowed_cosine = budget.min_cosine,
      .samples = samples.size(),
  };
  return report;
}

}  // namespace convopt
