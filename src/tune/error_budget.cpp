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

/// Most plans that are run, and how close the limit of the sum of shares is found.
constexpr int kMaxPlans = 10;
constexpr double kCloseEnough = 1.15;
/// By how much that limit moves until one is found that holds and one that does not.
constexpr double kSmallestStep = 4, kLargestStep = 64;

using Outputs = std::vector<std::vector<float>>;

struct Measured {
  Difference worst, bound;
};

class Fitting {
 public:
  Fitting(Selection& selection, const Platform& platform, const WeightSource& weights,
          std::span<const Buffers> samples, const ErrorBudget& budget,
          std::chrono::duration<double> time_limit, const Calibration* recorded)
      : problem_(selection.problem),
        platform_(platform),
        weights_(weights),
        samples_(samples),
        budget_(budget),
        time_limit_(time_limit),
        recorded_(recorded) {}

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

  /// By what is recorded, or else measured. `fastest` is of the plan that breaks the budget. `note`
  /// is called with how, before that takes long.
  Result<void> find_shares(const Measured& fastest,
                           const std::function<void(const std::string&)>& note) {
    const double excess = budget_.share(fastest.worst);
    std::vector<RoundedPlaces> unknown;
    std::string measured_types;
    for (const DataType type : problem_.types) {
      // s8 stands for u8, too.
      if (type == DataType::f32 || type == DataType::u8) continue;
      RoundedPlaces places = rounded_places(problem_, type);
      std::optional<Sensitivities> known;
      if (recorded_ != nullptr) known = recorded_sensitivities(*recorded_, network(), places);
      if (known) {
        set_shares(places, *known, excess);
      } else {
        measured_types += (measured_types.empty() ? "" : " and ") + name_of_rounding(type);
        unknown.push_back(std::move(places));
      }
    }
    note(unknown.empty() ? "layers are chosen by the calibration's sensitivities"
         : shares_.of_types.empty()
             ? "the error of every layer is measured"
             : "the error of every layer in " + measured_types +
                   " is measured, which the calibration lacks in part or for this --range");
    const auto first = std::min(samples_.size(), kSensitivitySamples);
    for (const RoundedPlaces& places : unknown) {
      CONVOPT_TRY(
          const Sensitivities measured,
          measure_sensitivities(*executor_, network(), *problem_.registry, weights_,
                                samples_.first(first), std::span(exact_).first(first), places));
      set_shares(places, measured, excess);
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

  bool is_own(const Solution& solution) const { return solution.assignment == own_.assignment; }

  int plans = 0;

 private:
  const Network& network() const { return *problem_.network; }

  /// `excess` is the measured share of the fastest plan. Places that show no effect of their own,
  /// as all do where the network rounds there already, still have a price: no plan between that one
  /// and the network's own types would be found else.
  void set_shares(const RoundedPlaces& places, const Sensitivities& sensitivities, double excess) {
    constexpr double kUnexplained = 0.01;
    const auto count =
        std::ranges::count(places.tensors, 1) + std::ranges::count(places.operators, 1);
    const double least = kUnexplained * std::min(excess, kLargestStep) / std::max<double>(count, 1);
    const auto shares_of = [&](const std::vector<Difference>& differences,
                               const std::vector<char>& marked) {
      std::vector<double> shares;
      for (std::size_t i = 0; i < differences.size(); ++i) {
        const double share = budget_.share(differences[i]);
        shares.push_back(marked[i] != 0 ? std::max(share, least) : share);
      }
      return shares;
    };
    shares_.of_types[places.type] = {shares_of(sensitivities.tensors, places.tensors),
                                     shares_of(sensitivities.operators, places.operators)};
  }

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
  const Calibration* recorded_;
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
                              const std::function<void(const std::string&)>& note,
                              const Calibration* recorded) {
  ErrorReport report;
  Fitting fitting(selection, platform, weights, samples, budget, time_limit, recorded);
  CONVOPT_CHECK(fitting.start());
  CONVOPT_TRY(Measured measured, fitting.measure(selection.solution));
  if (!budget.holds(measured.bound)) {
    CONVOPT_CHECK(fitting.find_shares(measured, [&](const std::string& how) {
      if (!note) return;
      const Difference& d = measured.bound;
      note("the fastest plan errs by up to " + significant(d.error, 2) +
           " of the outputs' range, cosine " + fixed(d.cosine, 6) + ", so " + how);
    }));
    CONVOPT_TRY(auto found, fitting.search(selection.solution.assignment));
    report.in_own_types = fitting.is_own(found.first);
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
