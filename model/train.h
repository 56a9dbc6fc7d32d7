// Profiles in, performance model out.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <span>

#include "model/trained_model.h"

namespace convopt {

struct TrainOptions {
  BoosterParameters booster;
  int folds = 5;
  std::uint64_t seed = 1;
  int threads = 1;  ///< folds trained at the same time; the result does not depend on it
  std::optional<TimingMode> timing_mode;
  /// A model whose base is kept, with what it has learnt of types that the data does not hold:
  /// samples of its base type are not learnt from.
  const TrainedModel* former = nullptr;
};

Result<std::unique_ptr<TrainedModel>> train(std::span<const Profile> profiles,
                                            const TrainOptions& options = {});
/// The base learns from the samples of f32, then a model for every other type in the data from its
/// own samples, what the base leaves unexplained of them. Without samples of f32, the first type is
/// the base.
Result<std::unique_ptr<TrainedModel>> train(const Dataset& data, const TrainOptions& options = {});
/// A model of all these samples, whatever their type.
Result<TypeModel> train_type(const Dataset& data, const TrainOptions& options);

/// The model without intervals: intercepts, then trees on their residuals.
struct Fit {
  PriorFeatures priors;
  Trees trees;

  static Result<Fit> train(const Dataset& data, std::span<const std::size_t> rows,
                           const BoosterParameters& parameters);
  /// log(time / expected time), one per row.
  Result<std::vector<double>> predict(const Dataset& data, std::span<const std::size_t> rows) const;
};

/// A prediction for every row of the data that was made without the row's group of shapes:
/// `fit_and_predict` gets the rows to learn from and those to predict, once per fold, `threads`
/// folds at a time. Rows of groups whose fold is negative are left alone.
using FitAndPredict = std::function<Result<std::vector<double>>(
    std::span<const std::size_t> training, std::span<const std::size_t> held_out)>;
Result<std::vector<double>> cross_validate(const Dataset& data, std::span<const int> fold_of_group,
                                           int folds, int threads,
                                           const FitAndPredict& fit_and_predict);

/// `errors[i]` = log(measured / predicted) of row `rows[i]`.
ModelScores score(const Dataset& data, std::span<const std::size_t> rows,
                  std::span<const double> errors);

}  // namespace convopt
