// A profile in the place of a model: what was timed once is the prediction for the next time. No
// model can be better than that, so judging it by a repeat of the profile tells how good a model
// could be at all on a machine with this much noise.
#pragma once

#include <memory>
#include <string>
#include <unordered_map>

#include "convopt/measurement.hpp"
#include "convopt/model.hpp"

namespace convopt {

class RecordedModel final : public PerformanceModel {
 public:
  /// Answers for the timing mode of the profile's last run. Fails if it holds no times.
  static Result<std::unique_ptr<RecordedModel>> create(const Profile& profile);

  const ModelInfo& info() const override { return info_; }
  /// Fails if one of the queries was not timed on that platform.
  Result<std::vector<Estimate>> predict(std::span<const Query> queries,
                                        const Platform& platform) const override;
  /// There is nothing to be saved that the profile does not hold.
  Result<void> save(const std::filesystem::path& path) const override;

  /// The measurements of another profile that this one can predict.
  Profile known_part(const Profile& profile) const;

 private:
  RecordedModel() = default;

  ModelInfo info_;
  std::unordered_map<std::string, Estimate> estimates_;
};

}  // namespace convopt
