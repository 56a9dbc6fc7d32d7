#include "model/intervals.h"

#include <algorithm>
#include <cmath>
#include <set>
#include <vector>

#include "model/statistics.h"

namespace convopt {
namespace {

// Below this the 95 % quantile of the group is its maximum at best; the pooled one is better.
constexpr std::size_t kGroupsForOwnRange = 20;

// So many rows say as much of a primitive as all of its operation does.
constexpr double kRowsOfPrior = 10;

// Mean absolute errors where they count: fast primitives weigh most, bounds only if they were
// missed.
std::map<std::string, double, std::less<>> widths(const Dataset& data,
                                                  std::span<const std::size_t> rows,
                                                  std::span<const double> errors) {
  struct Sum {
    Op op{};
    double error = 0, weight = 0;
  };
  std::map<Op, Sum> ops;
  std::map<std::string, Sum, std::less<>> primitives;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const Sample& sample = data.samples[rows[i]];
    if (sample.censored && errors[i] < 0) continue;
    const PrimitiveInfo& primitive = data.primitives[sample.primitive];
    for (Sum* sum : {&ops[primitive.op], &primitives[primitive.name]}) {
      sum->op = primitive.op;
      sum->error += sample.relevance * std::abs(errors[i]);
      sum->weight += sample.relevance;
    }
  }
  std::map<std::string, double, std::less<>> result;
  for (const auto& [name, own] : primitives) {
    const Sum& all = ops.at(own.op);
    if (!(all.error > 0)) continue;
    const double usual = all.error / all.weight;
    const double width = (own.error + kRowsOfPrior * usual) / ((own.weight + kRowsOfPrior) * usual);
    result[name] = std::round(1000 * width) / 1000;  // more digits only make a model's file longer
  }
  return result;
}

struct Errors {
  std::vector<statistics::Weighted> values;
  std::set<std::size_t> groups;
};

Intervals::Range range_of(const Errors& errors) {
  // Split conformal prediction: with n exchangeable groups the quantile is taken at (n + 1) / n.
  const double n = static_cast<double>(errors.groups.size());
  const double tail = std::max(0.0, 1 - (1 + kCoverage) / 2 * (n + 1) / n);
  Intervals::Range range{statistics::weighted_quantile(errors.values, tail),
                         statistics::weighted_quantile(errors.values, 1 - tail)};
  // The prediction itself always lies inside.
  range.low = std::min(range.low, 0.0);
  range.high = std::max(range.high, 0.0);
  return range;
}

}  // namespace

Intervals Intervals::fit(const Dataset& data, std::span<const std::size_t> rows,
                         std::span<const double> errors) {
  std::vector<double> rows_in_group(data.groups.size(), 0);
  for (const std::size_t row : rows) {
    if (!data.samples[row].censored) rows_in_group[data.samples[row].group] += 1;
  }
  Intervals intervals;
  intervals.width = widths(data, rows, errors);
  Errors all;
  std::map<std::string, Errors> ops;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const Sample& sample = data.samples[rows[i]];
    if (sample.censored) continue;
    const double width = intervals.width_of(data.primitives[sample.primitive]);
    const statistics::Weighted value{errors[i] / width, 1 / rows_in_group[sample.group]};
    const std::string op(to_string(data.workloads[sample.workload].op));
    for (Errors* target : {&all, &ops[op]}) {
      target->values.push_back(value);
      target->groups.insert(sample.group);
    }
  }
  // Without held-out errors: a factor of two either way.
  intervals.pooled = all.values.empty() ? Range{-std::log(2.0), std::log(2.0)} : range_of(all);
  for (const auto& [op, of_op] : ops) {
    if (of_op.groups.size() >= kGroupsForOwnRange) intervals.by_op[op] = range_of(of_op);
  }
  return intervals;
}

double Intervals::coverage(const Dataset& data, std::span<const std::size_t> rows,
                           std::span<const double> errors, std::span<const int> fold_of_group,
                           int folds) {
  double inside = 0, count = 0;
  for (int fold = 0; fold < folds; ++fold) {
    std::vector<std::size_t> other_rows;
    std::vector<double> other_errors;
    for (std::size_t i = 0; i < rows.size(); ++i) {
      if (fold_of_group[data.samples[rows[i]].group] == fold) continue;
      other_rows.push_back(rows[i]);
      other_errors.push_back(errors[i]);
    }
    const Intervals intervals = fit(data, other_rows, other_errors);
    for (std::size_t i = 0; i < rows.size(); ++i) {
      const Sample& sample = data.samples[rows[i]];
      if (sample.censored || fold_of_group[sample.group] != fold) continue;
      const Range range = intervals.of(data.primitives[sample.primitive]);
      inside += errors[i] >= range.low && errors[i] <= range.high ? 1 : 0;
      count += 1;
    }
  }
  return count > 0 ? inside / count : 0;
}

double Intervals::width_of(const PrimitiveInfo& primitive) const {
  const auto at = width.find(primitive.name);
  return at == width.end() ? 1.0 : at->second;
}

Intervals::Range Intervals::of(const PrimitiveInfo& primitive) const {
  const auto at = by_op.find(std::string(to_string(primitive.op)));
  const Range& range = at == by_op.end() ? pooled : at->second;
  const double factor = width_of(primitive);
  return {factor * range.low, factor * range.high};
}

}  // namespace convopt
