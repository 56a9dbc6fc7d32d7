// Confirmation of a plan: runs it and its baselines, and keeps the fastest.
#pragma once

#include <string>
#include <vector>

#include "convopt/weights.hpp"
#include "src/runtime/timing.h"
#include "src/select/select.h"

namespace convopt {

/// Names of the baselines on the command line.
inline constexpr std::string_view kDefaultName = "library_default";
inline constexpr std::string_view kSingleName = "best_single_primitive";
inline constexpr std::string_view kGreedyName = "greedy";
/// The fastest plan in the network's own types, where the plan may use others.
inline constexpr std::string_view kOwnTypesName = "own_types";

/// The name as this version writes it: `onednn_default` was that of the library's default.
std::string_view baseline_name(std::string_view name);
/// The solution of the baseline of that name; null if it is impossible, or there is no such name.
const Solution* baseline(const Selection& selection, std::string_view name);

struct Confirmation {
  struct Contestant {
    std::string name;  ///< `plan`, or a baseline's
    RunTimes times;
  };
  std::vector<Contestant> contestants;  ///< the plan first
  std::size_t winner = 0;
};

/// Executes the plan, the library's default, the best single primitive and, where other types are
/// admitted, the plan in the network's own types in turns, on random inputs. A baseline wins only
/// if both its median and its minimum are lower than the plan's: a difference within the noise is
/// no reason to give up the plan. Plans that need more memory than `max_bytes` do not take part.
/// The selection becomes that of the winner.
Result<Confirmation> confirm(Selection& selection, const Platform& platform,
                             const WeightSource& weights, const TimingOptions& options,
                             std::size_t max_bytes = SIZE_MAX);

}  // namespace convopt
