// What runs on a machine of the fleet.
#pragma once

#include <atomic>
#include <filesystem>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "convopt/profiling.hpp"
#include "src/fleet/fleet.h"

namespace convopt::fleet {

/// The machine under which this process runs: what Slurm calls it, or else its host name.
std::string node_name();

/// From now on everything that is kept of a machine lies in the fleet's folder, where all machines
/// of the kind share it.
void keep_in(const Fleet& fleet, const std::string& kind);

/// Times a part of the kind's workloads, from 1, and writes the finished marker; does nothing where
/// that is there. Refuses a machine of another kind.
Result<void> measure_shard(const Fleet& fleet, const std::string& kind, std::size_t shard,
                           const std::string& node, const std::atomic<bool>* stop,
                           const Messages& messages);

/// Parts of the kind that are finished, in order.
std::vector<std::size_t> finished_shards(const Fleet& fleet, const std::string& kind);

/// All that was measured of the kind as one profile; the number of its measurements. Writes nothing
/// where no attempt has begun to measure.
Result<std::size_t> merge_kind(const Fleet& fleet, const std::string& kind,
                               const std::filesystem::path& output, const Messages& messages);

/// Adapts the model to the profile, on any machine.
Result<void> adapt_model(const Fleet& fleet, const std::filesystem::path& profile,
                         const std::filesystem::path& output, const Messages& messages);

/// What planned.json says.
struct Planned {
  std::vector<std::size_t> shards;  ///< that were finished when the plans were made
  std::vector<std::pair<std::string, std::string>> networks;  ///< and why one has no plan, or ""
  std::string model_reason;  ///< why the kind has no model of its own, or ""
};
std::optional<Planned> planned(const Fleet& fleet, const std::string& kind);
/// Whether every network has a plan, in a file that can be read, made of all parts that are
/// finished.
bool is_planned(const Fleet& fleet, const std::string& kind);

/// Profile, model and plans of the kind, on a machine of it: what a primitive applies to is asked
/// of the processor and the libraries that are there.
Result<void> make_plans(const Fleet& fleet, const std::string& kind, const Messages& messages);

std::filesystem::path kind_profile(const Fleet& fleet, const std::string& kind);
std::filesystem::path kind_model(const Fleet& fleet, const std::string& kind);
std::filesystem::path kind_plan(const Fleet& fleet, const std::string& kind,
                                const std::string& network);

}  // namespace convopt::fleet
