// Sources of times: a performance model, a profile of this machine, or both.
#pragma once

#include <filesystem>
#include <memory>
#include <set>
#include <string>
#include <unordered_set>
#include <vector>

#include "convopt/model.hpp"
#include "convopt/network.hpp"
#include "convopt/platform.hpp"
#include "convopt/primitive.hpp"
#include "src/select/costs.h"

namespace convopt {

struct TimesFiles {
  std::filesystem::path model, profile;  ///< either may be empty
  /// The only workloads (canonical text) that will be asked for; null: any.
  const std::unordered_set<std::string>* workloads = nullptr;
  bool keep_index = false;  ///< of the profile, see LoadOptions (profiler/store.h)
};

class Times {
 public:
  /// The platform must outlive the times. A profile of another platform is an error.
  static Result<std::unique_ptr<Times>> load(const TimesFiles& files, const Platform& platform,
                                             const Libraries& libraries);

  /// Measured before predicted times, or either alone.
  const CostSource& costs() const { return *costs_; }
  const PerformanceModel* model() const { return model_.get(); }  ///< null: there is none
  /// The same with predictions corrected by the times of this network; null where there is nothing
  /// to correct or to learn from.
  Result<std::shared_ptr<const CostSource>> corrected_costs(const Network& network,
                                                            const Registry& registry,
                                                            const std::set<DataType>& types) const;
  /// The model's timing mode, else the profile's.
  TimingMode timing_mode() const { return timing_mode_; }
  std::size_t measured() const { return measured_ ? measured_->size() : 0; }
  const std::vector<std::string>& warnings() const { return warnings_; }

 private:
  Times() = default;

  std::unique_ptr<PerformanceModel> model_;
  std::unique_ptr<MeasuredCosts> measured_;
  std::unique_ptr<CostSource> predicted_, combined_;
  const CostSource* costs_ = nullptr;
  TimingMode timing_mode_ = TimingMode::cold_weights;
  std::vector<std::string> warnings_;
};

}  // namespace convopt
