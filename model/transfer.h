// Transfer of a model to another machine by a few of its times.
#pragma once

#include <memory>
#include <vector>

#include "model/adapter.h"

namespace convopt {

struct Transfer {
  std::unique_ptr<TrainedModel> model{};
  std::vector<TransferCandidate> candidates{};  ///< one per method asked for, in that order
  std::size_t shapes = 0, samples = 0;

  /// Whether what was chosen has a lower regret on held-out shapes than the source as it is; also
  /// if these were not compared.
  bool better_choices() const;
  /// Whether it predicts held-out shapes better than the source does; false if these were not
  /// compared.
  bool beats_source() const;
};

/// Compares the methods on the samples of `target` and adapts the source by the chosen one.
Result<Transfer> adapt(const TrainedModel& source, const Profile& target,
                       const TransferOptions& options = {});

}  // namespace convopt
