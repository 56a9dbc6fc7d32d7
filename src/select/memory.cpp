#include "src/select/memory.h"

#include <algorithm>
#include <cmath>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "core/text.h"

namespace convopt {
namespace {

/// Most limits of the workspace that are tried.
constexpr std::size_t kMaxLimits = 12;
/// Between a price that decides nothing and one that decides everything, in nanoseconds per byte:
/// streaming a byte takes 0.02 to 0.1.
constexpr double kLowestPrice = 1e-7, kHighestPrice = 1e4;
/// Halvings of that range on a logarithmic scale: prices end up within 1 % of each other.
constexpr int kHalvings = 12;

class Search {
 public:
  Search(const Problem& problem, std::chrono::duration<double> time_limit, std::size_t max_bytes,
         const MemoryOf& memory)
      : problem_(problem), time_limit_(time_limit), max_bytes_(max_bytes), memory_(memory) {
    for (const Candidate& c : problem.candidates) {
      const bool counts = c.present() && !c.baseline_only;
      const Workload& workload = problem.workloads[c.workload];
      packed_.push_back(counts ? c.primitive->packed_bytes(workload, problem.context) : 0);
      workspace_.push_back(counts ? c.primitive->workspace_bytes(workload, problem.context) : 0);
    }
  }

  Result<Solution> run() {
    const auto free = attempt(0, SIZE_MAX);
    if (!free) return free.error();
    const double bound_ns = free->lower_bound_ns;
    for (const std::size_t limit : limits()) {
      // More room for the workspace makes nothing slower, so smaller limits need not be tried
      // once even their unpriced optimum loses.
      const auto unpriced = attempt(0, limit);
      if (!unpriced || (best_ && best_->ns <= unpriced->ns)) break;
      if (const auto cheapest = attempt(kHighestPrice, limit); !cheapest || !fits_) continue;
      double low = std::log(kLowestPrice), high = std::log(kHighestPrice);
      for (int i = 0; i < kHalvings; ++i) {
        const double middle = (low + high) / 2;
        const auto solution = attempt(std::exp(middle), limit);
        if (!solution) return solution.error();
        (fits_ ? high : low) = middle;
      }
    }
    if (failed_) return *failed_;
    if (!best_) {
      return make_error(ErrorCode::environment,
                        "no plan fits into " + format_bytes(static_cast<double>(max_bytes_)) +
                            ": the smallest needs " + format_bytes(static_cast<double>(least_)));
    }
    best_->lower_bound_ns = bound_ns;
    best_->optimal = best_->ns <= bound_ns;
    best_->gap = best_->ns > 0 ? (best_->ns - bound_ns) / best_->ns : 0;
    return *std::move(best_);
  }

 private:
  /// Limits of the workspace: sizes that some operator asks for, the largest first. The
  /// smallest is what the hungriest operator needs at least.
  std::vector<std::size_t> limits() const {
    std::set<std::size_t, std::greater<>> sizes;
    std::size_t least = 0;
    for (const std::vector<Option>& options : problem_.operators) {
      std::size_t least_here = SIZE_MAX;
      for (const Option& option : options) {
        const std::size_t bytes = option.candidate < 0 ? 0 : workspace_[option.candidate];
        least_here = std::min(least_here, bytes);
        sizes.insert(bytes);
      }
      least = std::max(least, least_here);
    }
    sizes.insert(least);
    std::vector<std::size_t> result;
    for (const std::size_t size : sizes) {
      // Steps below a tenth change nothing that matters.
      const bool far = result.empty() || size < result.back() / 10 * 9;
      if (size <= max_bytes_ && size >= least && (far || size == least)) result.push_back(size);
    }
    if (result.size() <= kMaxLimits) return result;
    std::vector<std::size_t> thinned;
    for (std::size_t i = 0; i < kMaxLimits; ++i)
      thinned.push_back(result[i * (result.size() - 1) / (kMaxLimits - 1)]);
    return thinned;
  }

  /// The best assignment at that price per packed byte; kept if it fits and is the fastest so far.
  Result<Solution> attempt(double price, std::size_t max_workspace) {
    fits_ = false;
    const auto permitted = [&](int, const Option& option) {
      return option.candidate < 0 || (!problem_.candidates[option.candidate].baseline_only &&
                                      workspace_[option.candidate] <= max_workspace);
    };
    const auto packing = [&](int candidate) {
      return candidate < 0 ? 0.0 : price * static_cast<double>(packed_[candidate]);
    };
    const Surcharge surcharge = {
        [&](int, const Option& option) { return packing(option.candidate); },
        [&](std::size_t tensor, const TensorState& state) {
          double sum = 0;
          problem_.for_each_conversion(tensor, state,
                                       [&](int id, TensorFormat) { sum += packing(id); });
          return sum;
        }};
    auto solution = solve(problem_, time_limit_, permitted, surcharge);
    if (!solution) return solution;
    solution->ns = time_ns(problem_, solution->assignment);
    const auto bytes = memory_(*solution);
    if (!bytes) {
      failed_ = bytes.error();
      return bytes.error();
    }
    least_ = std::min(least_, *bytes);
    fits_ = *bytes <= max_bytes_;
    if (fits_ && (!best_ || solution->ns < best_->ns)) best_ = *solution;
    return solution;
  }

  const Problem& problem_;
  std::chrono::duration<double> time_limit_;
  std::size_t max_bytes_;
  const MemoryOf& memory_;
  std::vector<std::size_t> packed_, workspace_;  ///< per candidate
  bool fits_ = false;                            ///< the last attempt
  std::size_t least_ = SIZE_MAX;                 ///< memory of any attempt
  std::optional<Solution> best_;
  std::optional<Error> failed_;
};

}  // namespace

Result<Solution> solve_within(const Problem& problem, std::chrono::duration<double> time_limit,
                              std::size_t max_bytes, const MemoryOf& memory) {
  return Search(problem, time_limit, max_bytes, memory).run();
}

}  // namespace convopt
