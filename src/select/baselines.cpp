#include "src/select/baselines.h"

#include <algorithm>
#include <set>
#include <tuple>
#include <unordered_map>
#include <utility>
#include <vector>

#include "core/parallel.h"

namespace convopt {
namespace {

class BaselineSolver {
 public:
  BaselineSolver(const Problem& problem, std::chrono::duration<double> time_limit)
      : problem_(problem), time_limit_(time_limit) {
    for (std::size_t op = 0; op < problem.operators.size(); ++op) {
      const std::vector<Problem::Variant>& variants = problem.variants[op];
      is_conv_.push_back(!variants.empty() &&
                         problem.workloads[variants[0].workload].op == Op::conv);
    }
  }

  std::set<std::string> libraries() const {
    std::set<std::string> families;
    for (const Primitive* p : problem_.library_default) {
      if (p != nullptr) families.insert(p->info().family);
    }
    return families;
  }

  std::optional<Solution> library_default() const {
    const std::set<std::string> families = libraries();
    const auto by_library = [&](const Option& option) {
      return option.candidate >= 0 && families.contains(primitive_of(option)->info().family);
    };
    std::vector<char> offered;
    for (const std::vector<Option>& options : problem_.operators) {
      offered.push_back(std::ranges::any_of(options, by_library));
    }
    return with(problem_.library_default, [&](int op, const Option& option) {
      if (!problem_.in_own_types(option)) return false;
      return offered[op] == 0 || by_library(option) || (option.candidate < 0 && !option.in_place);
    });
  }

  /// The fastest for the convolution by itself, so that times of the same work are compared.
  std::optional<Solution> greedy() const {
    std::vector<const Primitive*> chosen(is_conv_.size(), nullptr);
    for (std::size_t op = 0; op < chosen.size(); ++op) {
      if (!is_conv_[op]) continue;
      double least = pbqp::kImpossible;
      for (const Option& option : problem_.operators[op]) {
        if (option.candidate < 0 || option.pending_out > 0 || baseline_only(option)) continue;
        if (problem_.option_ns(option) < least) {
          least = problem_.option_ns(option);
          chosen[op] = primitive_of(option);
        }
      }
    }
    return with(chosen);
  }

  std::pair<std::optional<Solution>, std::string> best_single() const {
    // Solving for every primitive would take longer than the plan itself. Without conversions, a
    // single-primitive plan costs at least the sum of its cheapest options: in this order, most
    // need no solving.
    struct Single {
      double bound = 0;
      const Primitive* primitive = nullptr;
      std::vector<const Primitive*> chosen;
    };
    std::vector<CheapestBy> cheapest(is_conv_.size());
    for (std::size_t op = 0; op < is_conv_.size(); ++op)
      if (is_conv_[op]) cheapest[op] = cheapest_by_primitive(op);
    const double others = others_bound();
    std::vector<Single> singles;
    for (const Primitive* primitive : problem_.registry->primitives()) {
      Single single{others, primitive, problem_.library_default};
      bool applies = false;
      for (std::size_t op = 0; op < is_conv_.size(); ++op) {
        if (!is_conv_[op]) continue;
        const auto own = cheapest[op].find(primitive);
        if (own != cheapest[op].end() && own->second.permitted_ns < pbqp::kImpossible) {
          applies = true;
          single.chosen[op] = primitive;
          single.bound += own->second.permitted_ns;
        } else {
          const auto found = cheapest[op].find(single.chosen[op]);
          single.bound += found != cheapest[op].end() ? found->second.any_ns : pbqp::kImpossible;
        }
      }
      if (applies && single.bound < pbqp::kImpossible) singles.push_back(std::move(single));
    }
    std::ranges::stable_sort(singles, {}, &Single::bound);
    std::pair<std::optional<Solution>, std::string> best;
    for (const Single& single : singles) {
      if (best.first && single.bound >= best.first->ns) break;
      std::optional<Solution> solution = with(single.chosen);
      if (!solution || (best.first && best.first->ns <= solution->ns)) continue;
      best = {std::move(solution), single.primitive->info().name};
    }
    return best;
  }

 private:
  /// The best plan with the given primitive on each convolution.
  template <class Others>
  std::optional<Solution> with(const std::vector<const Primitive*>& chosen, Others others) const {
    Result<Solution> solved = solve(problem_, time_limit_, [&](int op, const Option& option) {
      if (!is_conv_[op]) return others(op, option);
      return option.candidate >= 0 && primitive_of(option) == chosen[op];
    });
    if (!solved) return std::nullopt;
    return std::move(solved).value();
  }
  std::optional<Solution> with(const std::vector<const Primitive*>& chosen) const {
    return with(chosen, [](int, const Option&) { return true; });
  }

  const Primitive* primitive_of(const Option& option) const {
    return problem_.candidates[option.candidate].primitive;
  }
  bool baseline_only(const Option& option) const {
    return problem_.candidates[option.candidate].baseline_only;
  }

  /// Times of an operator's cheapest options by one primitive.
  struct Cheapest {
    double permitted_ns = pbqp::kImpossible;
    double any_ns = pbqp::kImpossible;  ///< options for baselines only are among them
  };
  using CheapestBy = std::unordered_map<const Primitive*, Cheapest>;

  CheapestBy cheapest_by_primitive(std::size_t op) const {
    CheapestBy result;
    for (const Option& option : problem_.operators[op]) {
      if (option.candidate < 0) continue;  // absorbed by a product
      Cheapest& cheapest = result[primitive_of(option)];
      const double ns = problem_.option_ns(option);
      cheapest.any_ns = std::min(cheapest.any_ns, ns);
      if (!baseline_only(option)) cheapest.permitted_ns = std::min(cheapest.permitted_ns, ns);
    }
    return result;
  }

  double others_bound() const {
    double sum = 0;
    for (std::size_t op = 0; op < is_conv_.size(); ++op) {
      if (is_conv_[op]) continue;
      double least = pbqp::kImpossible;
      for (const Option& option : problem_.operators[op]) {
        least = std::min(least, problem_.option_ns(option));
      }
      sum += least;
    }
    return sum;
  }

  const Problem& problem_;
  std::chrono::duration<double> time_limit_;
  std::vector<char> is_conv_;
};

}  // namespace

Baselines solve_baselines(const Problem& problem, std::chrono::duration<double> time_limit) {
  const BaselineSolver solver(problem, time_limit);
  Baselines result;
  for (const std::string& library : solver.libraries()) {
    result.library += (result.library.empty() ? "" : ",") + library;
  }
  in_parallel(3, [&](std::size_t part) {
    if (part == 0) {
      std::tie(result.best_single, result.best_single_primitive) = solver.best_single();
    } else if (part == 1) {
      result.library_default = solver.library_default();
    } else {
      result.greedy = solver.greedy();
    }
  });
  return result;
}

}  // namespace convopt
