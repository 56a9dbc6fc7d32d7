// What times of a network say about its other predictions: a model that took the new machine's 3x3
// convolutions for slower than they are has taken all of them so.
#pragma once

#include <map>
#include <span>
#include <string>
#include <vector>

#include "model/dataset.h"
#include "model/field.h"
#include "src/select/costs.h"

namespace convopt {

/// Predictions, corrected by a smooth function of the sizes (model/field.h) that follows from the
/// pairs that were predicted first and timed then. Before anything was learnt, and for what was
/// timed, the costs as they are.
class CorrectedCosts final : public CostSource {
 public:
  explicit CorrectedCosts(const CostSource& costs) : costs_(&costs) {}

  struct Expectation {
    std::vector<Cost> first, corrected;
  };
  /// What is expected of these before they are timed.
  Result<Expectation> expect(std::span<const Query> queries) const;
  /// `costs` are the same with these `queries` timed, as far as time sufficed; they outlive this.
  /// Returns how many were.
  Result<std::size_t> learn(const CostSource& costs, std::span<const Query> queries,
                            const Expectation& expected);

  Result<std::vector<Cost>> costs(std::span<const Query> queries) const override;
  const CostSource& uncorrected() const { return *costs_; }

 private:
  void correct(std::span<const Query> queries, std::vector<Cost>& costs) const;

  const CostSource* costs_;
  Dataset seen_;
  std::map<std::string, std::size_t> workloads_, primitives_;  ///< indices into `seen_`
  std::vector<double> residuals_;  ///< log(measured / first predicted), one per sample
  std::vector<double> surprises_;  ///< |log(measured / predicted when asked for)|
  Field field_;
  double half_width_ = 0;  ///< of the logarithm's interval; 0: the model's own
};

}  // namespace convopt
