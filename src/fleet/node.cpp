#include "src/fleet/node.h"

#include <unistd.h>

#include <array>
#include <cstdlib>
#include <utility>

#include "core/files.h"
#include "core/text.h"
#include "core/try.h"
#include "profiler/affinity.h"
#include "profiler/store.h"
#include "src/fleet/attempt.h"
#include "src/library/planning.h"
#include "src/library/transfer.h"
#include "src/session/guard.h"
#include "src/tune/model_paths.h"

namespace convopt::fleet {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kPlannedSchema = "convopt.fleet_planned/1";

Result<Node> checked_machine(const Fleet& fleet, const std::string& kind, const std::string& name) {
  CONVOPT_TRY(Node node, describe_this_machine(name, fleet.settings.threads,
                                               fleet.settings.slurm.has_value()));
  if (node.kind == kind) return node;
  return make_error(ErrorCode::environment,
                    "this machine is of the kind " + node.kind + ", and the task is for " + kind);
}

Result<ProfileSettings> profile_settings(const Fleet& fleet, const Platform& platform,
                                         std::size_t shard) {
  ProfileSettings settings;
  settings.isa = platform.isa;
  settings.threads = platform.threads;
  for (const FleetNetwork& network : fleet.settings.networks) {
    CONVOPT_TRY(Network loaded, load_network(network));
    settings.networks.push_back(std::move(loaded));
  }
  settings.configs = fleet.settings.configs;
  settings.budget = fleet.settings.budget;
  settings.precision = fleet.settings.precision;
  settings.seed = fleet.settings.seed;
  settings.shard = shard;
  settings.shards = fleet.settings.shards;
  return settings;
}

/// Distinct measurements of the profile.
std::size_t count_measurements(const fs::path& profile) {
  const auto loaded = load_profile(profile);
  return loaded ? loaded->profile.measurements.size() : 0;
}

Result<void> plan_network(const Fleet& fleet, const Node& node, const FleetNetwork& network,
                          const fs::path& model, const Messages& messages) {
  PlanningRequest request;
  request.context.isa = node.platform.isa;
  request.context.threads = node.platform.threads;
  request.model = model;
  request.profile = kind_profile(fleet, node.kind);
  request.rates = MachineRates::kept;
  request.select.limits.types = types_of(fleet.settings.precision);
  request.messages.warn = messages.warn;
  CONVOPT_TRY(const auto planning, Planning::load([&] { return load_network(network); }, request));
  CONVOPT_TRY(const auto selection, planning->select());
  return write_file_atomically(kind_plan(fleet, node.kind, network.name),
                               convopt::to_json(selection.plan));
}

Result<void> write_planned(const Fleet& fleet, const std::string& kind, const Planned& planned) {
  Json json;
  json["schema"] = kPlannedSchema;
  json["shards"] = planned.shards;
  json["networks"] = planned.networks;
  json["model_reason"] = planned.model_reason;
  return write_object(fleet.kind(kind) / "planned.json", json);
}

}  // namespace

std::string node_name() {
  if (const char* name = std::getenv("SLURMD_NODENAME"); name != nullptr && *name != '\0')
    return name;
  std::array<char, 256> name{};
  return gethostname(name.data(), name.size() - 1) == 0 ? name.data() : "unknown";
}

void keep_in(const Fleet& fleet, const std::string& kind) {
  setenv("XDG_DATA_HOME", fleet.kind(kind).c_str(), 1);
}

fs::path kind_profile(const Fleet& fleet, const std::string& kind) {
  return fleet.kind(kind) / "profile.jsonl";
}

fs::path kind_model(const Fleet& fleet, const std::string& kind) {
  return fleet.kind(kind) / "model.ubj";
}

fs::path kind_plan(const Fleet& fleet, const std::string& kind, const std::string& network) {
  return fleet.kind(kind) / (network + ".plan.json");
}

Result<void> measure_shard(const Fleet& fleet, const std::string& kind, std::size_t shard,
                           const std::string& node, const std::atomic<bool>* stop,
                           const Messages& messages) {
  const fs::path folder = fleet.task(kind, shard);
  if (done(folder)) return {};
  std::error_code error;
  fs::create_directories(folder, error);
  keep_in(fleet, kind);
  AttemptWriter attempt(folder, node);
  const auto measure = [&]() -> Result<ProfileSummary> {
    CONVOPT_TRY(const Node machine, checked_machine(fleet, kind, node));
    CONVOPT_TRY(ProfileSettings settings, profile_settings(fleet, machine.platform, shard));
    settings.output = attempt.profile();
    settings.watch.stop = stop;
    settings.watch.progress = [&](const ProfileProgress& state) { attempt.progress(state); };
    if (const auto earlier = attempt_profiles(folder); !earlier.empty()) {
      CONVOPT_TRY(const auto warnings, merge_profiles(earlier, attempt.profile()));
      messages.warn_of(warnings);
    }
    keep_to_processors(machine.platform.threads);
    return profile_machine(settings);
  };
  const auto summary = guarded(measure);
  if (!summary) {
    const bool interrupted = summary.error().code == ErrorCode::interrupted;
    attempt.end(interrupted ? "interrupted" : "failed", summary.error().message);
    return summary.error();
  }
  messages.warn_of(summary->warnings);
  const Done marker{attempt.name(),          node,
                    summary->workloads_done, count_measurements(attempt.profile()),
                    summary->seconds,        summary->budget_exhausted};
  if (auto written = write_done(folder, marker); !written) {
    attempt.end("failed", written.error().message);
    return written;
  }
  attempt.end("done", "");
  return {};
}

std::vector<std::size_t> finished_shards(const Fleet& fleet, const std::string& kind) {
  std::vector<std::size_t> shards;
  for (std::size_t shard = 1; shard <= fleet.settings.shards; ++shard) {
    if (done(fleet.task(kind, shard))) shards.push_back(shard);
  }
  return shards;
}

Result<std::size_t> merge_kind(const Fleet& fleet, const std::string& kind, const fs::path& output,
                               const Messages& messages) {
  std::vector<fs::path> profiles;
  for (std::size_t shard = 1; shard <= fleet.settings.shards; ++shard) {
    for (fs::path& profile : attempt_profiles(fleet.task(kind, shard)))
      profiles.push_back(std::move(profile));
  }
  if (profiles.empty()) return std::size_t{0};
  CONVOPT_TRY(const auto warnings, merge_profiles(profiles, output));
  messages.warn_of(warnings);
  return count_measurements(output);
}

Result<void> adapt_model(const Fleet& fleet, const fs::path& profile, const fs::path& output,
                         const Messages& messages) {
  TransferSettings settings;
  settings.from = fleet.settings.model;
  settings.profile = profile;
  settings.output = output;
  settings.seed = fleet.settings.seed;
  settings.messages.warn = messages.warn;
  const auto save = [](const TrainedModel& model, const fs::path& path) {
    return model.save(path);
  };
  CONVOPT_CHECK(transfer_and_save(settings, convopt::profile, save));
  return {};
}

std::optional<Planned> planned(const Fleet& fleet, const std::string& kind) {
  const auto json = read_object(fleet.kind(kind) / "planned.json", kPlannedSchema);
  if (!json) return std::nullopt;
  try {
    Planned result;
    result.shards = json->at("shards").get<std::vector<std::size_t>>();
    result.networks = json->at("networks").get<std::vector<std::pair<std::string, std::string>>>();
    result.model_reason = json->at("model_reason").get<std::string>();
    return result;
  } catch (const Json::exception&) {
    return std::nullopt;
  }
}

bool is_planned(const Fleet& fleet, const std::string& kind) {
  const auto made = planned(fleet, kind);
  return made && made->shards == finished_shards(fleet, kind) &&
         std::ranges::all_of(made->networks, [&](const auto& network) {
           const auto& [name, reason] = network;
           return reason.empty() && load_plan(kind_plan(fleet, kind, name)).ok();
         });
}

Result<void> make_plans(const Fleet& fleet, const std::string& kind, const Messages& messages) {
  return guarded([&]() -> Result<void> {
    keep_in(fleet, kind);
    CONVOPT_TRY(const Node node, checked_machine(fleet, kind, node_name()));
    std::error_code error;
    fs::create_directories(fleet.kind(kind), error);
    Planned result;
    result.shards = finished_shards(fleet, kind);
    const fs::path profile = kind_profile(fleet, kind);
    CONVOPT_TRY(const std::size_t measured, merge_kind(fleet, kind, profile, messages));
    if (measured == 0) {
      return make_error(ErrorCode::partial, "nothing has been measured on machines of the kind " +
                                                kind + ", so there is no plan for them");
    }
    // A model that cannot be adapted is no reason to have no plans: what was measured counts first.
    fs::path model = kind_model(fleet, kind);
    if (const auto adapted = adapt_model(fleet, profile, model, messages); !adapted) {
      result.model_reason = adapted.error().message;
      model = fleet.settings.model.empty() ? default_model_path() : fleet.settings.model;
      messages.warn_of(result.model_reason + "; plans are made with the model as it was");
    }
    std::size_t failed = 0;
    for (const FleetNetwork& network : fleet.settings.networks) {
      const auto made = plan_network(fleet, node, network, model, messages);
      if (!made) ++failed;
      result.networks.emplace_back(network.name, made ? "" : made.error().message);
    }
    CONVOPT_CHECK(write_planned(fleet, kind, result));
    if (failed == 0) return {};
    return make_error(ErrorCode::partial,
                      counted(failed, "network") + " could not be planned for " + kind);
  });
}

}  // namespace convopt::fleet
