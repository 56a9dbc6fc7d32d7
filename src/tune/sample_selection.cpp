#include "src/tune/sample_selection.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <limits>
#include <map>

#include "core/ops/descriptor.h"

namespace convopt {
namespace {

// Number of workloads per operation that are selected; the others follow in the pool's order.
// Larger profiles do not depend on the order.
constexpr std::size_t kSelected = 150;

/// Coordinates of a workload. A difference of one is a factor of four in a size, or another stride,
/// and about halves the similarity.
using Point = std::array<double, 7>;

Point point_of(const Workload& workload) {
  const ConvShape s = geometry(workload);
  const TensorShape output = workload.output();
  const auto log4 = [](double value) { return std::log2(std::max(1.0, value)) / 2; };
  if (!workload.has_weights() && workload.op != Op::max_pool) {
    return {log4(output.c()), log4(double(output.h()) * output.w())};
  }
  const bool depthwise = s.groups > 1 && s.groups == s.ic;
  return {log4(double(s.ic) / s.groups), log4(double(s.oc) / s.groups),
          log4(double(output.h()) * output.w()),
          // Kernels of 1x1, 3x3 and 5x5 pixels are far from each other.
          2 * log4(double(s.kh) * s.kw) + (s.kh == s.kw ? 0.0 : 1.0),
          double(std::max(s.stride_h, s.stride_w) - 1),
          depthwise      ? 3.0
          : s.groups > 1 ? 1.5
                         : 0.0,
          double(std::max(s.dilation_h, s.dilation_w) > 1)};
}

double distance(const Point& a, const Point& b) {
  double sum = 0;
  for (std::size_t i = 0; i < a.size(); ++i) sum += (a[i] - b[i]) * (a[i] - b[i]);
  return std::sqrt(sum);
}

/// Relative time that measuring takes: a constant part for preparing and checking, and one that
/// grows with the work.
double price_of(const Workload& workload) {
  constexpr double kFlopsLikePreparing = 0.2e9;
  return 1 + (workload.has_weights() ? geometry(workload).flops() / kFlopsLikePreparing : 0.0);
}

/// Importance of a workload. Large layers take most of a network's time; without weights, the first
/// ten workloads are so small that they measure calls rather than kernels.
double weight_of(const Workload& workload) {
  return std::sqrt(workload.has_weights() ? geometry(workload).flops()
                                          : double(workload.output().elements()));
}

std::vector<std::size_t> order(const std::vector<const Workload*>& pool) {
  std::vector<Point> points;
  for (const Workload* workload : pool) points.push_back(point_of(*workload));
  std::vector<double> weights;
  for (const Workload* workload : pool) weights.push_back(weight_of(*workload));
  // Larger than any distance, so that the first workload is measured against the whole pool.
  constexpr double kFar = 10;
  std::vector<double> nearest(pool.size(), kFar);
  // Gain of each workload when it was last computed. Gains only fall (submodularity), so a workload
  // that is still the largest after an update is the best (lazy greedy).
  std::vector<double> gain(pool.size(), std::numeric_limits<double>::infinity());
  std::vector<bool> taken(pool.size(), false);
  std::vector<std::size_t> result;
  while (result.size() < std::min(kSelected, pool.size())) {
    std::size_t best = pool.size();
    double best_gain = -1;
    for (;;) {
      std::size_t top = pool.size();
      for (std::size_t i = 0; i < pool.size(); ++i) {
        if (!taken[i] && (top == pool.size() || gain[i] > gain[top])) top = i;
      }
      if (top == best || gain[top] <= best_gain) break;
      double sum = 0;
      for (std::size_t i = 0; i < pool.size(); ++i) {
        sum += weights[i] * std::max(0.0, nearest[i] - distance(points[top], points[i]));
      }
      gain[top] = sum / price_of(*pool[top]);
      if (gain[top] > best_gain) {
        best = top;
        best_gain = gain[top];
      }
    }
    taken[best] = true;
    result.push_back(best);
    for (std::size_t i = 0; i < pool.size(); ++i) {
      nearest[i] = std::min(nearest[i], distance(points[best], points[i]));
    }
  }
  for (std::size_t i = 0; i < pool.size(); ++i) {
    if (!taken[i]) result.push_back(i);
  }
  return result;
}

}  // namespace

std::vector<Workload> order_by_representativeness(const std::vector<Workload>& pool) {
  std::map<Op, std::vector<const Workload*>> by_op;
  for (const Workload& workload : pool) by_op[workload.op].push_back(&workload);
  std::map<Op, std::vector<Workload>> ordered;
  for (const auto& [op, workloads] : by_op) {
    for (const std::size_t i : order(workloads)) ordered[op].push_back(*workloads[i]);
  }
  // Operations keep the places that the pool gave them.
  std::map<Op, std::size_t> next;
  std::vector<Workload> result;
  for (const Workload& workload : pool) {
    result.push_back(ordered[workload.op][next[workload.op]++]);
  }
  return result;
}

}  // namespace convopt
