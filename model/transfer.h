// A model that learnt elsewhere, and a few times of this machine: one model for this machine.
#pragma once

#include <array>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "model/train.h"

namespace convopt {

/// Ways to adapt. Up to `affine` each contains the ones before it as special cases.
enum class TransferMethod : std::uint8_t {
  zero_shot,             ///< the source as it is, with this machine's description
  factor,                ///< one factor for everything
  factor_per_primitive,  ///< one for each, shrunk to the common one by what the samples tell apart
  affine,                ///< and a power of the predicted ratio and of the size
  source_field,          ///< the source, and what is smooth in what it misses
  law,                   ///< a law per primitive, drawn to the source's laws
  law_scratch,           ///< laws from these samples alone
  law_and_source,        ///< laws, and a share of what the source knows beyond its own laws
  field,                 ///< and a smooth function of the sizes for what remains
  residual,              ///< affine, and more trees for what remains
  scratch,               ///< trees trained on these samples alone
  stack,                 ///< the mean of all of these, without trees, that are as good as the best
};
inline constexpr std::array kTransferMethods = {TransferMethod::zero_shot,
                                                TransferMethod::factor,
                                                TransferMethod::factor_per_primitive,
                                                TransferMethod::affine,
                                                TransferMethod::source_field,
                                                TransferMethod::law,
                                                TransferMethod::law_scratch,
                                                TransferMethod::law_and_source,
                                                TransferMethod::field,
                                                TransferMethod::residual,
                                                TransferMethod::scratch,
                                                TransferMethod::stack};
std::string_view to_string(TransferMethod method);

struct TransferOptions {
  std::uint64_t seed = 1;
  int threads = 1;  ///< folds computed at the same time; the result does not depend on it
  std::vector<TransferMethod> methods{kTransferMethods.begin(), kTransferMethods.end()};
};

struct TransferCandidate {
  TransferMethod method = TransferMethod::zero_shot;
  HoldoutScores scores{};  ///< on shapes left out of the adaptation; zeros if there were too few
  /// Mean over shapes of |log(measured / predicted)|, fast primitives weighing most, and of the
  /// logarithm of the regret: what the choice is made by.
  double loss = 0;
  bool chosen = false;
  bool in_stack = false;
};

/// What was learnt from some samples: a blend of the source and of laws, over the source's trees or
/// others.
struct Learnt {
  TransferMethod method = TransferMethod::zero_shot;
  Blend blend{};
  std::shared_ptr<Booster> more_trees{};  ///< the source's and more; null: the source's
  std::shared_ptr<Fit> own{};             ///< trees and effects of these samples alone, or null
};

/// The ways to adapt, on any part of a machine's samples.
class Adapter {
 public:
  /// Both must outlive it.
  static Result<Adapter> create(const TrainedModel& source, const Dataset& data,
                                std::uint64_t seed);

  /// Any method but `stack`.
  Result<Learnt> learn(TransferMethod method, std::span<const std::size_t> rows) const;
  /// Logarithms of times of these rows.
  Result<std::vector<double>> predict(const Learnt& learnt,
                                      std::span<const std::size_t> rows) const;

  struct Comparison {
    std::vector<TransferCandidate> candidates;  ///< one per method, in the order asked for
    std::size_t chosen = 0;
    std::vector<int> fold_of_group;  ///< negative: not among the rows
    int folds = 0;                   ///< 0: too few shapes to compare
    std::vector<double> errors;      ///< of the chosen one, by row; empty if nothing was compared
  };
  /// Cross-validated by shape inside these rows: takes the mean of what is as good as the best
  /// within the noise of the comparison, or trees where they are better than that.
  Result<Comparison> compare(std::span<const std::size_t> rows,
                             const TransferOptions& options) const;
  /// What a comparison chose, learnt from all of its rows.
  Result<Learnt> learn(const Comparison& comparison, std::span<const std::size_t> rows) const;

  const Dataset& data() const { return *data_; }

 private:
  Adapter(const TrainedModel& source, const Dataset& data, std::uint64_t seed)
      : source_(&source), data_(&data), seed_(seed) {}
  const Laws& source_laws() const { return source_->parts().laws_of(data_->platforms.front()); }
  double log_ns(BlendReader& reader, double log_ratio, std::size_t row) const;
  std::vector<double> residuals(const Blend& blend, std::span<const std::size_t> rows) const;
  void add_factor(std::span<const std::size_t> rows, Blend& blend) const;
  void add_factors_per_primitive(std::span<const std::size_t> rows, Blend& blend) const;
  void add_slopes(std::span<const std::size_t> rows, Blend& blend) const;
  Blend law_and_source(std::span<const std::size_t> rows) const;
  Result<Booster> more_trees(std::span<const std::size_t> rows, const Blend& blend) const;

  const TrainedModel* source_;
  const Dataset* data_;
  std::uint64_t seed_;
  std::vector<double> source_ratio_;  ///< by row, what the source's effects and trees say
  std::vector<double> source_log_;    ///< by row, what the source predicts
};

struct Transfer {
  std::unique_ptr<TrainedModel> model{};
  std::vector<TransferCandidate> candidates{};  ///< one per method asked for, in that order
  std::size_t shapes = 0, samples = 0;
};

/// Compares the methods on the samples of `target` and adapts the source by what is best supported.
Result<Transfer> adapt(const TrainedModel& source, const Profile& target,
                       const TransferOptions& options = {});

}  // namespace convopt
