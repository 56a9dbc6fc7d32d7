// What do plans cost on a machine that is known from its profile? Networks of which it holds all
// times are planned by any costs and priced by those.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <unordered_set>
#include <vector>

#include "convopt/measurement.hpp"
#include "convopt/network.hpp"
#include "src/select/costs.h"
#include "src/tune/recorded_registry.h"

namespace convopt {

struct NetworkRegret {
  std::string name;
  double regret = 1;  ///< chosen over optimum, conversions and all other operators included
  double optimum_ms = 0, chosen_ms = 0;
  bool optimal = true;  ///< all problems were solved to proven optimality
  /// After `select --refine`, rehearsed with the profile's times.
  struct Refined {
    double regret = 1, ms = 0;
    double seconds = 0;     ///< that measuring would have taken
    std::size_t timed = 0;  ///< primitives on workloads
    bool settled = false;   ///< it ended before its time was over
  };
  std::optional<Refined> refined;
};

class NetworkJudge {
 public:
  /// A network of which the profile lacks a needed time is skipped. Networks outlive this.
  NetworkJudge(const Profile& profile, const Platform& platform, TimingMode mode,
               std::span<const Network> networks);
  NetworkJudge(const NetworkJudge&) = delete;
  NetworkJudge& operator=(const NetworkJudge&) = delete;

  std::span<const Network* const> networks() const { return networks_; }
  const std::vector<std::string>& skipped() const { return skipped_; }  ///< each with the reason
  const Registry& registry() const { return registry_; }
  const CostSource& measured() const { return measured_; }
  /// The shapes (shape_group() in model/dataset.h) that plans of these networks may consist of.
  const std::unordered_set<std::string>& shapes() const { return shapes_; }

  /// The optimum by `predicted` of network number `index`, over what was measured and in measured
  /// times, beside the optimum by measurements.
  Result<NetworkRegret> regret(std::size_t index, const CostSource& predicted) const;

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
