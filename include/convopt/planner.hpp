// Chooses primitives, for a single workload or a whole network.
#pragma once

#include <filesystem>
#include <memory>
#include <vector>

#include "convopt/error.hpp"
#include "convopt/model.hpp"
#include "convopt/network.hpp"
#include "convopt/plan.hpp"
#include "convopt/platform.hpp"
#include "convopt/primitive.hpp"
#include "convopt/workload.hpp"

namespace convopt {

struct PlannerOptions {
  Isa isa = default_isa();
  int threads = default_threads();
  /// A performance model, as `convopt train` and `convopt transfer` write it. Empty: none.
  std::filesystem::path model;
  /// Times measured on this machine, as `convopt profile` writes them; they count before
  /// predictions. Empty: none.
  std::filesystem::path profile;
};

/// A primitive that applies, and what it is expected to take.
struct Choice {
  const Primitive* primitive = nullptr;
  Estimate time;
  bool measured = false;  ///< here, not predicted
};

/// Knows the primitives of this machine and their times, from a model, a profile, or both. Its
/// const functions may be called from several threads.
class Planner {
 public:
  /// Fails if there is neither a model nor a profile, or if one cannot be read.
  static Result<Planner> create(const PlannerOptions& options);
  Planner(Planner&&) noexcept;
  Planner& operator=(Planner&&) noexcept;
  ~Planner();

  const Registry& registry() const;
  const Platform& platform() const;

  /// Every primitive that computes the workload and whose time is known, fastest first. They live
  /// as long as the planner. Fails if there is none.
  Result<std::vector<Choice>> rank(const Workload& workload) const;
  /// The fastest plan for the whole network, conversions included.
  Result<Plan> plan(const Network& network) const;

 private:
  struct State;
  explicit Planner(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace convopt
