#include "src/fleet/collect.h"

#include <algorithm>
#include <map>
#include <set>
#include <utility>

#include "convopt/bundle.hpp"
#include "convopt/model.hpp"
#include "convopt/plan.hpp"
#include "core/files.h"
#include "core/text.h"
#include "core/try.h"
#include "src/fleet/attempt.h"
#include "src/fleet/node.h"
#include "src/fleet/status.h"
#include "src/library/planning.h"
#include "src/runtime/plan_network.h"
#include "src/session/guard.h"

namespace convopt::fleet {
namespace {

namespace fs = std::filesystem;

class Collector {
 public:
  Collector(const Fleet& fleet, fs::path output, const Messages& messages)
      : fleet_(fleet), output_(std::move(output)), messages_(messages) {}

  Result<Collected> run() {
    FleetStatus status = status_of(fleet_, /*ask_queue=*/false);
    if (status.kinds.empty()) {
      return make_error(ErrorCode::partial, "no machine of the fleet has been described yet");
    }
    make_own_plans(status);
    std::error_code error;
    fs::create_directories(output_, error);
    if (error) {
      return make_error(ErrorCode::environment,
                        "cannot create " + output_.string() + ": " + error.message());
    }
    // The plans of the kind with the most nodes come first into a bundle.
    std::ranges::stable_sort(status.kinds, std::ranges::greater(),
                             [](const KindStatus& kind) { return kind.nodes.size(); });
    std::size_t times = 0;
    for (const KindStatus& kind : status.kinds) {
      CONVOPT_CHECK(add_kind(kind));
      times += collected_.kinds.back().times;
    }
    if (times == 0) {
      return make_error(ErrorCode::partial, "nothing of the fleet has been measured yet");
    }
    for (const FleetNetwork& network : fleet_.settings.networks) CONVOPT_CHECK(add_bundle(network));
    return std::move(collected_);
  }

 private:
  void miss(const std::string& sentence) { collected_.missing.push_back(sentence); }

  /// Where this machine is of a kind whose plans are missing, they need no job.
  void make_own_plans(FleetStatus& status) {
    const auto here = describe_this_machine(node_name(), fleet_.settings.threads,
                                            fleet_.settings.slurm.has_value());
    if (!here) return;
    for (KindStatus& kind : status.kinds) {
      if (kind.name != here->kind || kind.is_planned) continue;
      // Why there are none is told where they are looked for.
      static_cast<void>(make_plans(fleet_, kind.name, messages_));
      kind.plans = planned(fleet_, kind.name);
      kind.is_planned = is_planned(fleet_, kind.name);
    }
  }

  Result<void> add_kind(const KindStatus& kind) {
    Collected::Kind result;
    result.name = kind.name;
    result.nodes = kind.nodes.size();
    const fs::path profile = output_ / (kind.name + ".profile.jsonl.gz");
    CONVOPT_TRY(result.times, merge_kind(fleet_, kind.name, profile, messages_));
    if (const std::size_t open = kind.tasks.size() - kind.count(TaskState::done); open > 0)
      miss(std::to_string(open) + " of " + counted(kind.tasks.size(), "task") + " of " + kind.name +
           " not finished");
    std::size_t finished = 0;
    for (std::size_t shard = 1; shard <= fleet_.settings.shards; ++shard) {
      if (const auto marker = done(fleet_.task(kind.name, shard))) finished += marker->times;
    }
    if (result.times < finished) {
      miss(std::to_string(finished - result.times) + " of " + std::to_string(finished) +
           " measurements of " + kind.name + " are gone from " + fleet_.folder.string());
    }
    const auto cut = std::ranges::count_if(kind.tasks, &TaskStatus::budget_exhausted);
    if (cut > 0) {
      messages_.say(counted(static_cast<std::size_t>(cut), "task") + " of " + kind.name +
                    " ended by the budget: plans predict what was not measured");
    }
    if (result.times > 0) CONVOPT_CHECK(add_model(kind, profile, result));
    for (const FleetNetwork& network : fleet_.settings.networks) {
      const auto text = read_file(kind_plan(fleet_, kind.name, network.name));
      auto plan =
          text ? parse_plan(*text, network.name + " for " + kind.name) : Result<Plan>(text.error());
      if (!plan) {
        miss("no plan of " + network.name + " for " + kind.name +
             (text ? ": " + plan.error().message : reason_without(kind, network.name)));
        continue;
      }
      CONVOPT_CHECK(
          write_file_atomically(output_ / (network.name + "." + kind.name + ".plan.json"), *text));
      plans_[network.name].emplace_back(kind.name, *std::move(plan));
      ++result.plans;
    }
    if (kind.plans && kind.plans->shards != finished_shards(fleet_, kind.name))
      miss("the plans for " + kind.name + " are older than its last measurements");
    collected_.kinds.push_back(std::move(result));
    return {};
  }

  static std::string reason_without(const KindStatus& kind, const std::string& network) {
    if (!kind.plans) return ": its plans are made on a machine of that kind when its tasks ended";
    for (const auto& [name, reason] : kind.plans->networks)
      if (name == network && !reason.empty()) return ": " + reason;
    return "";
  }

  /// One model per kind: the shipped one adapted to the kind's own times. A kind has too few of
  /// them to train a model of its own, and one model for all would have to be right on average.
  Result<void> add_model(const KindStatus& kind, const fs::path& profile, Collected::Kind& result) {
    const fs::path path = output_ / (kind.name + ".model.ubj");
    if (kind.is_planned && kind.plans->model_reason.empty()) {
      // One that is damaged is made again.
      const bool is_sound = load_model(kind_model(fleet_, kind.name)).ok();
      if (const auto model = read_file(kind_model(fleet_, kind.name)); model && is_sound) {
        CONVOPT_CHECK(write_file_atomically(path, *model));
        result.has_model = true;
        return {};
      }
    }
    const auto adapted = adapt_model(fleet_, profile, path, messages_);
    result.has_model = adapted.ok();
    if (!adapted) messages_.warn_of("no model for " + kind.name + ": " + adapted.error().message);
    return {};
  }

  Result<void> add_bundle(const FleetNetwork& network) {
    const auto loaded = load_network(network);
    if (!loaded) {
      miss("no bundle of " + network.name + ": " + loaded.error().message);
      return {};
    }
    std::vector<Plan> plans;
    std::set<std::string> platforms;
    for (const auto& [kind, plan] : plans_[network.name]) {
      CONVOPT_CHECK(check_network(plan, *loaded));
      // A bundle finds its plan by the platform, which two kinds may share.
      if (!platforms.insert(plan.platform.id()).second) {
        messages_.say("the bundle of " + network.name + " has the plan for " + plan.platform.id() +
                      " of the kind with more nodes, not that of " + kind);
        continue;
      }
      plans.push_back(plan);
    }
    if (plans.empty()) return {};  // said before, kind by kind
    const auto bundled = write(network, *loaded, plans);
    if (bundled.ok()) return {};
    if (bundled.error().code == ErrorCode::environment) return bundled;
    miss("no bundle of " + network.name + ": " + bundled.error().message);
    return {};
  }

  Result<void> write(const FleetNetwork& network, const Network& loaded,
                     const std::vector<Plan>& plans) {
    CONVOPT_TRY(const Plan fallback, fallback_plan(loaded));
    const auto weights = network_weights(loaded, kWeightsSeed);
    const fs::path path = output_ / (network.name + ".convopt");
    CONVOPT_CHECK(write_bundle(path, {&loaded, weights.get(), plans, &fallback}));
    Collected::Bundle bundle{path, {}};
    for (const Plan& plan : plans) bundle.platforms.push_back(plan.platform.id());
    collected_.bundles.push_back(std::move(bundle));
    return {};
  }

  const Fleet& fleet_;
  fs::path output_;
  const Messages& messages_;
  Collected collected_;
  std::map<std::string, std::vector<std::pair<std::string, Plan>>> plans_;  ///< by network; kind
};

}  // namespace

Result<Collected> collect(const Fleet& fleet, const fs::path& output, const Messages& messages) {
  return guarded([&] { return Collector(fleet, output, messages).run(); });
}

}  // namespace convopt::fleet
