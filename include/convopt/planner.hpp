// Choice of primitives, for a single workload or a whole network.
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
#include "convopt/profiling.hpp"
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
  /// Predictions need this machine's peak and bandwidths, which `convopt select` stores in
  /// $XDG_DATA_HOME/convopt (by default ~/.local/share/convopt). If they are not stored there: true
  /// measures them on all threads for about a second and stores them; false fails instead. A
  /// planner without a model needs none.
  bool measure_machine = false;
  /// Told where what was measured cannot be stored.
  Messages messages;
};

/// A primitive that applies, and its expected time.
struct Choice {
  const Primitive* primitive = nullptr;
  Estimate time;
  bool measured = false;  ///< measured on this platform, not predicted
};

/// Knows the primitives of this machine and their times, from a model, a profile, or both. Its
/// const functions may be called from several threads.
class Planner {
 public:
  /// Reads files; measures and writes only if `options.measure_machine` says so. Errors: `usage`
  /// without model and profile, `bad_input` for a file that cannot be used, `environment` for a
  /// profile of another platform and for a model on a machine whose rates are not known.
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
