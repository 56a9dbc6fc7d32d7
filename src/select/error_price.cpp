#include "src/select/error_price.h"

#include <array>
#include <cmath>
#include <utility>

#include "core/quantisation.h"
#include "core/try.h"

namespace convopt {
namespace {

/// Between a price that decides nothing and one that decides everything, in plans' times per share.
constexpr double kLowestErrorPrice = 1e-6, kHighestErrorPrice = 1e9;
/// Halvings of that range on a logarithmic scale: prices end up within 1 % of each other.
constexpr int kErrorHalvings = 12;

double share_of(const Problem& problem, const ErrorShares& shares, int op, const Option& option) {
  if (option.candidate < 0 || problem.in_own_types(option)) return 0;
  const DataType source = option.input.type;
  const Traits& traits = problem.candidates[option.candidate].primitive->info().traits;
  // Weights alone are rounded.
  if (traits.weight_type != DataType::f32) return shares.weights(op, traits.weight_type);
  DataType product = traits.product_type;
  if (product == DataType::f32) product = source;
  double share = shares.weights(op, product);
  // Not the weights but what they are transformed to is rounded, and the transformed image
  // likewise: two errors of that size, amplified.
  if (traits.product_type == DataType::bf16 && traits.transform_h > 0)
    share *= 2 * traits.error_amplification * traits.error_amplification;
  // Sources that are rounded on the way into the product.
  if (source == DataType::f32) {
    for (const TensorId t : problem.network->operators[op].inputs)
      share += shares.tensor(static_cast<std::size_t>(t), product);
  }
  return share;
}

double share_of(const ErrorShares& shares, std::size_t tensor, const TensorState& state) {
  if (state.pending > 0) return 0;                // never stored
  std::array<bool, kDataTypes.size()> counted{};  // in several layouts it is rounded once
  double share = 0;
  const auto count = [&](TensorFormat format) {
    if (!std::exchange(counted[static_cast<std::size_t>(format.type)], true))
      share += shares.tensor(tensor, format.type);
  };
  count(state.produced);
  state.converted.for_each(count);
  return share;
}

}  // namespace

double ErrorShares::tensor(std::size_t tensor, DataType type) const {
  const auto found = of_types.find(product_type(type));
  return found == of_types.end() ? 0 : found->second.tensors[tensor];
}

double ErrorShares::weights(int op, DataType type) const {
  const auto found = of_types.find(product_type(type));
  return found == of_types.end() ? 0 : found->second.operators[static_cast<std::size_t>(op)];
}

double error_share(const Problem& problem, const Assignment& assignment,
                   const ErrorShares& shares) {
  double sum = 0;
  for (std::size_t op = 0; op < problem.operators.size(); ++op) {
    sum += share_of(problem, shares, static_cast<int>(op),
                    problem.operators[op][assignment.operators[op]]);
  }
  for (std::size_t t = 0; t < problem.tensors.size(); ++t)
    sum += share_of(shares, t, problem.tensors[t][assignment.tensors[t]]);
  return sum;
}

Result<Solution> solve_within_error(const Problem& problem,
                                    std::chrono::duration<double> time_limit,
                                    const ErrorShares& shares, double limit) {
  const auto at_price = [&](double price) {
    return solve(problem, time_limit, {},
                 {[&shares, &problem, price](int op, const Option& option) {
                    return price * share_of(problem, shares, op, option);
                  },
                  [&shares, price](std::size_t tensor, const TensorState& state) {
                    return price * share_of(shares, tensor, state);
                  }});
  };
  CONVOPT_TRY(Solution best, at_price(0));
  if (error_share(problem, best.assignment, shares) <= limit) return best;
  const double bound_ns = best.lower_bound_ns;
  CONVOPT_TRY(best, solve_in_own_types(problem, time_limit));
  const double unit = best.ns;
  double low = std::log(kLowestErrorPrice), high = std::log(kHighestErrorPrice);
  for (int i = 0; i < kErrorHalvings; ++i) {
    const double middle = (low + high) / 2;
    CONVOPT_TRY(Solution solution, at_price(std::exp(middle) * unit));
    const bool fits = error_share(problem, solution.assignment, shares) <= limit;
    (fits ? high : low) = middle;
    solution.ns = time_ns(problem, solution.assignment);
    if (fits && solution.ns < best.ns) best = std::move(solution);
  }
  best.lower_bound_ns = bound_ns;
  best.optimal = best.ns <= bound_ns;
  best.gap = best.ns > 0 ? (best.ns - bound_ns) / best.ns : 0;
  return best;
}

}  // namespace convopt
