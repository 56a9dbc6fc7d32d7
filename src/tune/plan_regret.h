// Regret of plans on a machine that is known from its profile: networks whose times the profile
// holds completely are planned by any costs, and the plans are priced by the measured times.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <unordered_set>
#include <vector>

#include "convopt/measurement.hpp"
#include "convopt/network.hpp"
#include "convopt/transfer.hpp"
#include "src/select/costs.h"
#include "src/tune/recorded_registry.h"

namespace convopt {

class PlanRegrets {
 public:
  /// Skips networks for which the profile lacks a time. Networks outlive this.
  PlanRegrets(const Profile& profile, const Platform& platform, TimingMode mode,
              std::span<const Network> networks);
  PlanRegrets(const PlanRegrets&) = delete;
  PlanRegrets& operator=(const PlanRegrets&) = delete;

  std::span<const Network* const> networks() const { return networks_; }
  const std::vector<std::string>& skipped() const { return skipped_; }  ///< each with the reason
  const Registry& registry() const { return registry_; }
  const CostSource& measured() const { return measured_; }
  /// Shapes (shape_group() in model/dataset.h) of all workloads in plans of these networks.
  const std::unordered_set<std::string>& shapes() const { return shapes_; }

  /// Plans network number `index` by `predicted`, restricted to primitives that were measured, and
  /// compares the plan's measured time with that of the measured optimum.
  Result<NetworkRegret> of_network(std::size_t index, const CostSource& predicted) const;

 private:
  struct Best {
    double ns = 0;
    bool optimal = true;
  };
  RecordedRegistry registry_;
  MeasuredCosts measured_;
  std::vector<const Network*> networks_;
  std::vector<Best> best_;  ///< one per network
  std::unordered_set<std::string> shapes_;
  std::vector<std::string> skipped_;
};

}  // namespace convopt
