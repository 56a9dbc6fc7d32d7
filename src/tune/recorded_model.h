// A profile in place of a model: an earlier time is the prediction of the next one. No model can be
// better, so evaluating it on a repeat of the profile shows the noise floor of a machine.
#pragma once

#include <memory>
#include <string>
#include <unordered_map>

#include "convopt/measurement.hpp"
#include "convopt/model.hpp"
#include "core/timing_key.h"

namespace convopt {

class RecordedModel final : public PerformanceModel {
 public:
  /// Answers for the timing mode of the profile's last run. Fails if it holds no times.
  static Result<std::unique_ptr<RecordedModel>> create(const Profile& profile);

  const ModelInfo& info() const override { return info_; }
  /// Fails if one of the queries was not timed on that platform.
  Result<std::vector<Estimate>> predict(std::span<const Query> queries,
                                        const Platform& platform) const override;
  /// Fails: the profile holds all of it.
  Result<void> save(const std::filesystem::path& path) const override;

  /// The measurements of another profile that this one can predict.
  Profile known_part(const Profile& profile) const;

 private:
  RecordedModel() = default;

  ModelInfo info_;
  /// By platform.
  std::unordered_map<std::string, std::unordered_map<TimingKey, Estimate>> estimates_;

  const Estimate* find(const std::string& platform, const TimingKey& key) const;
};

}  // namespace convopt
