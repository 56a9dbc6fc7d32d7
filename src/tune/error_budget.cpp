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
#include "src/tune/sensitivity.h"

namespace convopt {
namespace {

/// Sensitivities are averages over many numbers; two samples say nearly as much as all.
constexpr std::size_t kSensitivitySamples = 2;
/// Most plans that are run, and how close the limit of the sum of shares is found.
constexpr int kMaxPlans = 8;
constexpr double kCloseEnough = 1.15;

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
    bool typed = false, rounds_weights = false;
    for (const Option& option : problem.operators[op]) {
      if (option.candidate < 0) continue;
      const Traits& traits = problem.candidates[option.candidate].primitive->info().traits;
      typed |= is_of(option.input.type) || is_of(option.output.type) || is_of(traits.product_type);
      rounds_weights |= is_of(traits.weight_type);
    }
    places.operators.push_back(typed || rounds_weights);
    // What it reads is rounded then, wherever that comes from, unless weights alone are.
    if (!typed) continue;
    for (const TensorId t : problem.network->operators[op].inputs) {
      if (!is_quantised(type) || is_quantised(problem.scales[t].type)) places.tensors[t] = 1;
    }
  }
  return places;
}

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

  /// The outputs' difference by the plan.
  Result<Difference> measure(const Solution& solution) {
    ++plans;
    CONVOPT_TRY(const auto executor, prepare(solution));
    Difference worst;
    for (std::size_t s = 0; s < samples_.size(); ++s) {
      CONVOPT_TRY(const Outputs outputs, outputs_of(*executor, network(), samples_[s]));
      for (std::size_t i = 0; i < outputs.size(); ++i) {
        worst = worse(worst, difference(outputs[i], exact_[s][i]));
      }
    }
    return worst;
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
  Result<std::pair<Solution, Difference>> search(const Assignment& fastest) {
    std::pair<Solution, Difference> best{own_, {}};
    double limit = 1, held = 0, broken = std::numeric_limits<double>::infinity();
    std::vector<Assignment> seen = {fastest};  // known to break the budget
    for (int i = 0; i < kMaxPlans; ++i) {
      CONVOPT_TRY(Solution solution, solve_within_error(problem_, time_limit_, shares_, limit));
      const bool known = std::ranges::find(seen, solution.assignment) != seen.end();
      seen.push_back(solution.assignment);
      bool holds = solution.ns >= best.first.ns;
      if (!known && !holds) {
        CONVOPT_TRY(const Difference difference, measure(solution));
        holds = budget_.holds(difference);
        if (holds) best = {std::move(solution), difference};
      }
      (holds ? held : broken) = limit;
      if (held > 0 && broken / held < kCloseEnough) break;
      limit = held == 0 ? limit / 4 : std::isinf(broken) ? limit * 4 : std::sqrt(held * broken);
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
  CONVOPT_TRY(report.difference, fitting.measure(selection.solution));
  if (!budget.holds(report.difference)) {
    if (note) {
      note("the fastest plan errs by " + significant(report.difference.error, 2) +
           " of the outputs' range, cosine " + fixed(report.difference.cosine, 6) +
           ", so the error of every layer is measured");
    }
    CONVOPT_CHECK(fitting.find_shares());
    CONVOPT_TRY(auto found, fitting.search(selection.solution.assignment));
    choose(selection, std::move(found.first), platform);
    report.difference = found.second;
    report.changed = true;
  }
  report.plans = fitting.plans;
  selection.plan.accuracy = PlanAccuracy{report.difference.error, report.difference.cosine,
                                         budget.max_error, budget.min_cosine, samples.size()};
  return report;
}

}  // namespace convopt
