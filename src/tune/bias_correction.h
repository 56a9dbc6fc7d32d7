// Bias correction of predictions by the times of one network: a model that overestimates some 3x3
// convolutions of a new machine overestimates the others, too.
#pragma once

#include <map>
#include <span>
#include <string>
#include <vector>

#include "model/dataset.h"
#include "model/gaussian_process.h"
#include "src/select/costs.h"

namespace convopt {

/// Costs whose predictions are multiplied by a smooth function of the sizes
/// (model/gaussian_process.h), fitted to the pairs that were predicted first and timed later.
/// Measured costs, and all costs before anything was learnt, stay as they are.
class BiasCorrectedCosts final : public CostSource {
 public:
  explicit BiasCorrectedCosts(const CostSource& costs) : costs_(&costs) {}
  /// `costs`, measured or predicted, with predictions corrected by those of these pairs that
  /// `measured` knows. All sources outlive it.
  static Result<BiasCorrectedCosts> create(const CostSource& costs, const CostSource& predicted,
                                           const CostSource& measured,
                                           std::span<const Query> pairs);

  struct Expectation {
    std::vector<Cost> first, corrected;
  };
  /// Predictions for these pairs before they are timed.
  Result<Expectation> expect(std::span<const Query> queries) const;
  /// Learns from the times of `queries` in `costs`, which replaces the earlier source and outlives
  /// this. Returns how many of them were timed.
  Result<std::size_t> learn(const CostSource& costs, std::span<const Query> queries,
                            const Expectation& expected);

  Result<std::vector<Cost>> costs(std::span<const Query> queries) const override;
  const CostSource& uncorrected() const { return *costs_; }

 private:
  void correct(std::span<const Query> queries, std::vector<Cost>& costs) const;
  /// Adds a pair that was timed to what is seen.
  void see(const Query& query, const Cost& now, const Cost& first);
  void fit();
  void set_half_width();
  /// Errors on the workloads that a fit to the others did not see.
  std::vector<double> errors_left_out() const;

  const CostSource* costs_;
  Dataset seen_;
  std::map<std::string, std::size_t> workloads_, primitives_;  ///< indices into `seen_`
  std::vector<double> residuals_;   ///< log(measured / uncorrected prediction), one per sample
  std::vector<double> log_errors_;  ///< |log(measured / a corrected prediction without it)|
  GaussianProcess process_;
  double half_width_ = 0;  ///< half width of intervals of log(time); 0: the model's own
};

}  // namespace convopt
