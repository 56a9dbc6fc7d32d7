#include "src/library/profiling.h"

#include <algorithm>
#include <string>
#include <unordered_set>
#include <utility>

#include "core/ops/descriptor.h"
#include "core/try.h"
#include "profiler/machine.h"
#include "profiler/profiler.h"
#include "profiler/sampler.h"
#include "profiler/store.h"
#include "src/library/context.h"
#include "src/library/planning.h"
#include "src/library/primitive_filter.h"
#include "src/select/workloads.h"
#include "src/session/guard.h"

namespace convopt {
namespace {

constexpr std::size_t kDefaultConfigs = 300;

Result<std::vector<Op>> parse_ops(const std::vector<std::string>& names) {
  std::vector<Op> ops;
  for (const std::string& name : names) {
    const auto op = parse_op(name);
    if (!op) return make_error(ErrorCode::usage, "--ops: no operation is called '" + name + "'");
    ops.push_back(*op);
  }
  return ops;
}

Result<std::vector<Workload>> workloads_of(const ProfileSettings& settings) {
  CONVOPT_TRY(const auto ops, parse_ops(settings.ops));
  const std::set<DataType> types = types_of(settings.precision);
  std::vector<Workload> workloads;
  for (const Network& network : settings.networks) {
    for (Workload& workload : network_workloads(network, types)) {
      if (ops.empty() || std::ranges::find(ops, workload.op) != ops.end()) {
        workloads.push_back(std::move(workload));
      }
    }
  }
  SampleLimits limits;
  limits.ops = ops;
  limits.batch = settings.batch;
  const std::size_t configs =
      settings.configs.value_or(settings.networks.empty() ? kDefaultConfigs : 0);
  for (const Workload& workload : sample_workloads(configs, settings.seed, limits)) {
    // Combinations that nothing computes are never timed.
    for (Workload& typed : in_types(workload, types)) workloads.push_back(std::move(typed));
  }
  if (settings.shards == 1) return workloads;
  // What two networks have in common belongs to one part.
  std::unordered_set<std::string> seen;
  std::erase_if(workloads, [&](const Workload& w) { return !seen.insert(w.text()).second; });
  std::vector<Workload> shard;
  for (std::size_t i = settings.shard - 1; i < workloads.size(); i += settings.shards)
    shard.push_back(workloads[i]);
  return shard;
}

struct Work {
  std::vector<Workload> workloads;
  ProfileOptions options;
};

Result<Work> work_of(const ProfileSettings& settings) {
  Work work;
  ProfileOptions& options = work.options;
  CONVOPT_CHECK(check_seconds("--budget", settings.budget));
  CONVOPT_CHECK(check_seconds("--timeout", settings.timeout));
  CONVOPT_TRY(options.context, checked_context(settings.isa, settings.threads));
  CONVOPT_TRY(work.workloads, workloads_of(settings));
  const PrimitiveFilter filter{settings.allow, settings.exclude};
  if (!filter.empty()) {
    CONVOPT_TRY(const auto registry, Registry::create(options.context));
    CONVOPT_CHECK(filter.check(*registry));
  }
  // Shorter weights belong to other types, whatever the workload's are.
  options.filter = [filter, types = types_of(settings.precision)](const Workload&,
                                                                  const PrimitiveInfo& info) {
    return filter(info) && types.contains(info.traits.weight_type);
  };
  options.timing_mode = settings.timing_mode;
  options.seed = settings.seed;
  options.again = settings.again;
  options.budget_seconds = settings.budget;
  options.timeout_seconds = settings.timeout;
  options.output = profile_path(settings);
  options.progress = settings.watch.progress;
  options.stop = settings.watch.stop;
  options.worker_command = settings.watch.worker_command;
  return work;
}

}  // namespace

std::filesystem::path profile_path(const ProfileSettings& settings) {
  if (!settings.output.empty()) return settings.output;
  return local_profile_path({machine_facts(), settings.isa, settings.threads});
}

Result<ProfileSummary> profile_machine(const ProfileSettings& settings) {
  return guarded([&]() -> Result<ProfileSummary> {
    CONVOPT_TRY(const Work work, work_of(settings));
    CONVOPT_TRY(ProfileSummary summary, profile(work.workloads, work.options));
    if (auto busy = busy_warning(summary)) summary.warnings.push_back(*std::move(busy));
    return summary;
  });
}

Result<ProfileEstimate> estimate_profile(const ProfileSettings& settings) {
  return guarded([&]() -> Result<ProfileEstimate> {
    CONVOPT_TRY(const Work work, work_of(settings));
    return estimate_profile(work.workloads, work.options);
  });
}

Result<void> merge_profiles(const MergeSettings& settings) {
  return guarded([&]() -> Result<void> {
    if (settings.profiles.empty())
      return make_error(ErrorCode::usage, "no profile is named that could be merged");
    CONVOPT_TRY(const auto warnings,
                merge_profiles(settings.profiles, settings.output, settings.fastest));
    settings.messages.warn_of(warnings);
    return {};
  });
}

}  // namespace convopt
