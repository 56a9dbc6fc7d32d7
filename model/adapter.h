// Adapts a model that learnt elsewhere to any part of a machine's samples.
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "model/train.h"
#include "model/transfer_method.h"

namespace convopt {

/// Prior standard deviation of a coefficient of a primitive's cost model, relative to the source's
/// times the factors common to all primitives.
inline constexpr double kCostDeviation = 0.5;

struct TransferOptions {
  std::uint64_t seed = 1;
  int threads = 1;  ///< folds computed at the same time; the result does not depend on it
  std::vector<TransferMethod> methods{kTransferMethods.begin(), kTransferMethods.end()};
};

struct TransferCandidate {
  TransferMethod method = TransferMethod::zero_shot;
  ModelScores scores{};  ///< on shapes left out of the adaptation; zeros if there were too few
  /// Mean over shapes of |log(measured / predicted)|, fast primitives weighing most, and of the
  /// logarithm of the regret. The choice is made by it.
  double loss = 0;
  bool chosen = false;
  double weight = 0;  ///< in the ensemble
};

/// A model as one method adapts it: an ensemble over the source's trees or others.
struct AdaptedFit {
  TransferMethod method = TransferMethod::zero_shot;
  Ensemble ensemble{};
  std::shared_ptr<Trees> more_trees{};  ///< the source's and more; null: the source's
  std::shared_ptr<Fit> own{};  ///< trees and prior features of these samples alone, or null
};

/// The outcome of comparing methods by cross-validation.
struct Comparison {
  std::vector<TransferCandidate> candidates;  ///< one per method, in the order asked for
  std::size_t chosen = 0;
  std::vector<int> fold_of_group;  ///< negative: not among the rows
  int folds = 0;                   ///< 0: too few shapes to compare
  std::vector<double> errors;      ///< of the chosen one, by row; empty if nothing was compared
};

class Adapter {
 public:
  /// Both must outlive it. The samples' categories are coded as the source's are.
  static Result<Adapter> create(const TypeModel& source, const Dataset& data, std::uint64_t seed);

  /// Any method but `ensemble`.
  Result<AdaptedFit> learn(TransferMethod method, std::span<const std::size_t> rows) const;
  /// Logarithms of times of these rows.
  Result<std::vector<double>> predict(const AdaptedFit& learnt,
                                      std::span<const std::size_t> rows) const;

  /// Cross-validated by shape inside these rows: takes the mean of the methods that are as good as
  /// the best within the noise of the comparison, or trees where they are better than that.
  Result<Comparison> compare(std::span<const std::size_t> rows,
                             const TransferOptions& options) const;
  /// The choice of a comparison, learnt from all of its rows.
  Result<AdaptedFit> learn(const Comparison& comparison, std::span<const std::size_t> rows) const;

  const Dataset& data() const { return *data_; }
  /// How many platforms the source has learnt from.
  std::size_t source_platforms() const { return source_->parts().platforms.size(); }

 private:
  Adapter(const TypeModel& source, const Dataset& data, std::uint64_t seed)
      : source_(&source), data_(&data), seed_(seed) {}
  const PrimitiveInfo& primitive_of(std::size_t row) const {
    return data_->primitives[data_->samples[row].primitive];
  }
  double log_ns(EnsembleReader& reader, double log_ratio, std::size_t row) const;
  std::vector<double> residuals(const Ensemble& ensemble, std::span<const std::size_t> rows) const;
  void add_factor(std::span<const std::size_t> rows, Ensemble& ensemble) const;
  void add_factors_per_primitive(std::span<const std::size_t> rows, Ensemble& ensemble) const;
  void add_slopes(std::span<const std::size_t> rows, Ensemble& ensemble) const;
  Ensemble costs_and_source(std::span<const std::size_t> rows) const;
  void add_process(std::span<const std::size_t> rows, Ensemble& ensemble) const;
  Result<Trees> more_trees(std::span<const std::size_t> rows, const Ensemble& ensemble) const;

  const TypeModel* source_;
  const Dataset* data_;
  std::uint64_t seed_;
  const LinearCosts* source_costs_ = nullptr;  ///< of this platform, or the nearest to it
  std::vector<double> source_ratio_;           ///< by row, intercept and trees of the source
  std::vector<double> source_log_;             ///< by row, prediction of the source
};

/// Parameters for trees of few samples: small ones, many of them weak.
BoosterParameters residual_parameters(std::uint64_t seed);
BoosterParameters scratch_parameters(std::uint64_t seed);

}  // namespace convopt
