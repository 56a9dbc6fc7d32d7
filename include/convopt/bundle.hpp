// A bundle: one file with a network, its weights and plans for several platforms. The runtime opens
// it without any reader of models and chooses the plan by the processor that it finds. The format
// is docs/reference/bundle-format.md.
#pragma once

#include <cstddef>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "convopt/error.hpp"
#include "convopt/network.hpp"
#include "convopt/plan.hpp"
#include "convopt/platform.hpp"
#include "convopt/weights.hpp"

namespace convopt {

/// A plan of a bundle, to be run here.
struct PlanChoice {
  Plan plan;  ///< `platform.isa` and `platform.threads` are those to run with
  /// One sentence where the plan was made for another platform than this one; else empty.
  std::string note;
};

struct PlanRequest {
  /// Level to run at; nothing: default_isa(). Plans for lower levels are usable, too.
  std::optional<Isa> isa = {};
  /// OpenMP threads of a run, at most as many as there are processors. 0: as many as the chosen
  /// plan was made for, at most default_threads().
  int threads = 0;
};

/// An open bundle. The file is mapped into memory: weights are read when they are packed, and the
/// file must not change while the bundle, its network or a copy of that lives. Copies are cheap.
/// May be used in several threads at once.
class Bundle {
 public:
  /// Fails with ErrorCode::bad_input if the file cannot be read, is no bundle or one of a later
  /// version, is cut short or damaged (checksums of all bytes are compared), or contradicts itself.
  static Result<Bundle> open(const std::filesystem::path& path);
  /// The same of bytes in memory, aligned to 64 bytes, that live as long as `owner`.
  static Result<Bundle> read(std::span<const std::byte> bytes, std::shared_ptr<const void> owner,
                             const std::string& name);

  /// Whether the file is there and begins like a bundle.
  static bool is_bundle(const std::filesystem::path& path);

  /// With its weights.
  const Network& network() const;
  /// As they were given, without the fall-back.
  std::span<const Plan> plans() const;
  /// A plan of primitives that exist wherever convopt runs; null: the bundle has none.
  const Plan* fallback() const;

  /// All plans that may be usable here, the best first: those for this machine, level and number of
  /// threads; then the nearest, by level, by processor, by threads, by caches; last the fall-back.
  /// Whether a plan's primitives exist here turns out when a session is made.
  std::vector<PlanChoice> choices(const PlanRequest& request = {}) const;

 private:
  struct State;
  explicit Bundle(std::shared_ptr<const State> state);
  std::shared_ptr<const State> state_;
};

/// The choices as they are on another machine: `here` has its description, its best level, and as
/// `threads` the most that it can run.
std::vector<PlanChoice> choices_on(const Platform& here, const PlanRequest& request,
                                   std::span<const Plan> plans, const Plan* fallback);

struct BundleParts {
  const Network* network = nullptr;
  const WeightSource* weights = nullptr;  ///< of every operator with weights, and of constants
  std::span<const Plan> plans;
  const Plan* fallback = nullptr;  ///< null: the bundle works on the plans' platforms only
};

/// Replaces the file as a whole. Fails if a plan is of another network, if the network has
/// operators that convopt does not know or a rest (Network::rest), or if the file cannot be
/// written.
Result<void> write_bundle(const std::filesystem::path& path, const BundleParts& parts);

/// A plan that can run at every instruction-set level of this architecture, with any number of
/// threads: convolutions by convopt's own primitives. Part of convopt::convopt, not of
/// convopt::runtime.
Result<Plan> fallback_plan(const Network& network);

}  // namespace convopt
