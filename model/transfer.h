// A model that learnt elsewhere, and a few times of this machine: one model for this machine.
#pragma once

#include <array>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "model/trained_model.h"

namespace convopt {

/// Ways to adapt, the simplest first. Each contains the ones before it as special cases, except
/// `scratch`, which forgets the source.
enum class TransferMethod : std::uint8_t {
  zero_shot,             ///< the source as it is, with this machine's description
  factor,                ///< one factor for everything
  factor_per_primitive,  ///< one for each, shrunk to the common one by what the samples tell apart
  affine,                ///< and a power of the predicted ratio and of the size
  residual,              ///< and more trees for what remains
  scratch,               ///< trained on these samples alone
};
inline constexpr std::array kTransferMethods = {
    TransferMethod::zero_shot, TransferMethod::factor,   TransferMethod::factor_per_primitive,
    TransferMethod::affine,    TransferMethod::residual, TransferMethod::scratch};
std::string_view to_string(TransferMethod method);

struct TransferOptions {
  std::uint64_t seed = 1;
  int threads = 1;  ///< folds computed at the same time; the result does not depend on it
  std::vector<TransferMethod> methods{kTransferMethods.begin(), kTransferMethods.end()};
};

struct TransferCandidate {
  TransferMethod method = TransferMethod::zero_shot;
  HoldoutScores scores;  ///< on shapes left out of the adaptation; zeros if there were too few
  /// Mean over shapes of |log(measured / predicted)|, fast primitives weighing most: what the
  /// choice is made by.
  double loss = 0;
  bool chosen = false;
};

struct Transfer {
  std::unique_ptr<TrainedModel> model;
  std::vector<TransferCandidate> candidates;  ///< one per method asked for, in that order
  std::size_t shapes = 0, samples = 0;
};

/// Tries the methods, the simplest first, by cross-validation over the shapes of `target` and keeps
/// the simplest of those that are as good as the best within the noise of the comparison.
Result<Transfer> adapt(const TrainedModel& source, const Profile& target,
                       const TransferOptions& options = {});

}  // namespace convopt
