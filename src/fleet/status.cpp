#include "src/fleet/status.h"

#include <signal.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <utility>

#include "core/text.h"
#include "src/fleet/slurm.h"

namespace convopt::fleet {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kRunnerSchema = "convopt.fleet_runner/1";

fs::path runner_file(const Fleet& fleet) { return fleet.folder / "runner" / "runner.json"; }

/// What is known of the tasks from elsewhere than their folders.
struct Outside {
  std::optional<Queue> queue;
  bool runner = false;     ///< somebody runs tasks without a queue
  bool submitted = false;  ///< the tasks of this kind were given to a queue once
};

TaskStatus task_status(const Fleet& fleet, const std::string& kind, std::size_t shard,
                       const Outside& outside) {
  TaskStatus task;
  task.shard = shard;
  const fs::path folder = fleet.task(kind, shard);
  const std::vector<AttemptState> all = attempts(folder);
  task.attempts = all.size();
  for (const AttemptState& attempt : all) task.times += attempt.times;
  if (!all.empty()) {
    task.node = all.back().node;
    task.seconds = all.back().seconds;
    task.reason = all.back().reason;
  }
  if (const auto marker = done(folder)) {
    task.state = TaskState::done;
    task.times = marker->times;
    task.seconds = marker->seconds;
    task.node = marker->node;
    task.budget_exhausted = marker->budget_exhausted;
    task.reason = marker->budget_exhausted ? "its budget was used up" : "";
    task.left = 0;
    return task;
  }
  const bool says_running = !all.empty() && all.back().state == "running";
  const bool is_fresh = says_running && all.back().age < kHeartbeatTimeout;
  if (outside.queue) {
    const auto queued = outside.queue->tasks.find({kind, shard});
    const bool in_queue = queued != outside.queue->tasks.end();
    const bool waits = in_queue && queued->second == "PENDING";
    task.state = waits                                          ? TaskState::waiting
                 : in_queue                                     ? TaskState::running
                 : !all.empty() && all.back().state == "failed" ? TaskState::failed
                 : !all.empty() || outside.submitted            ? TaskState::lost
                                                                : TaskState::waiting;
  } else {
    task.state = is_fresh                                       ? TaskState::running
                 : outside.runner && !says_running              ? TaskState::waiting
                 : !all.empty() && all.back().state == "failed" ? TaskState::failed
                 : !all.empty()                                 ? TaskState::lost
                                                                : TaskState::waiting;
  }
  if (task.state == TaskState::running && is_fresh && all.back().workloads_done > 0)
    task.left = all.back().left;
  if (task.state == TaskState::lost && task.reason.empty())
    task.reason =
        task.attempts > 0 ? "it ended without a report" : "it left the queue without beginning";
  return task;
}

/// From what finished tasks took, else from those that run, shared among the nodes.
std::optional<double> time_left(const KindStatus& kind) {
  double typical = 0, sum = 0, longest = 0;
  std::size_t known = 0, open = 0;
  for (const TaskStatus& task : kind.tasks) {
    if (task.state == TaskState::done) {
      typical += task.seconds;
      ++known;
    } else if (task.left) {
      typical += task.seconds + *task.left;
      ++known;
    }
  }
  if (known > 0) typical /= static_cast<double>(known);
  for (const TaskStatus& task : kind.tasks) {
    if (task.state == TaskState::done) continue;
    ++open;
    const double left = task.left.value_or(typical);
    sum += left;
    longest = std::max(longest, left);
  }
  if (open == 0) return 0.0;
  if (known == 0) return std::nullopt;
  const auto nodes = static_cast<double>(std::max<std::size_t>(1, kind.nodes.size()));
  return std::max(longest, sum / nodes);
}

}  // namespace

std::string_view to_string(TaskState state) {
  constexpr std::array<std::string_view, kTaskStates> kNames = {"waiting", "running", "done",
                                                                "failed", "lost"};
  return kNames[static_cast<std::size_t>(state)];
}

std::size_t KindStatus::count(TaskState state) const {
  return static_cast<std::size_t>(std::ranges::count(tasks, state, &TaskStatus::state));
}

std::size_t KindStatus::times() const {
  std::size_t sum = 0;
  for (const TaskStatus& task : tasks) sum += task.times;
  return sum;
}

bool FleetStatus::complete() const {
  return !kinds.empty() && describing.empty() &&
         std::ranges::all_of(kinds, [](const KindStatus& kind) {
           return kind.is_planned && kind.count(TaskState::done) == kind.tasks.size();
         });
}

std::optional<RunnerState> runner_state(const Fleet& fleet) {
  const auto json = read_object(runner_file(fleet), kRunnerSchema);
  if (!json) return std::nullopt;
  RunnerState state;
  state.host = text_in(*json, "host");
  state.pid = static_cast<int>(number_in(*json, "pid"));
  // One that was killed on this machine need not be waited for.
  const bool is_dead = state.host == node_name() && kill(state.pid, 0) != 0 && errno == ESRCH;
  state.running = text_in(*json, "state") == "running" && !is_dead &&
                  age_of(runner_file(fleet)) < kHeartbeatTimeout;
  for (const Json& note : json->value("notes", Json::array()))
    if (note.is_string()) state.notes.push_back(note.get<std::string>());
  return state;
}

Result<void> write_runner_state(const Fleet& fleet, const RunnerState& state) {
  Json json;
  json["schema"] = kRunnerSchema;
  json["state"] = state.running ? "running" : "ended";
  json["host"] = state.host;
  json["pid"] = state.pid;
  json["notes"] = state.notes;
  return write_object(runner_file(fleet), json);
}

FleetStatus status_of(const Fleet& fleet, bool ask_queue) {
  FleetStatus status;
  Outside outside;
  if (fleet.settings.slurm && ask_queue) {
    if (auto queue = queue_of(fleet)) {
      outside.queue = *std::move(queue);
      for (const auto& [node, state] : outside.queue->describes) status.describing.push_back(node);
    } else {
      status.notes.push_back(queue.error().message +
                             "; what runs is told by the folder alone, a minute late");
    }
  } else if (const auto runner = runner_state(fleet)) {
    outside.runner = runner->running;
    status.notes.insert(status.notes.end(), runner->notes.begin(), runner->notes.end());
  }
  for (auto& [name, nodes] : nodes_by_kind(fleet, &status.notes)) {
    KindStatus kind;
    kind.name = name;
    kind.nodes = nodes;
    std::error_code error;
    outside.submitted = fs::exists(fleet.folder / "jobs" / ("task-" + name + ".sh"), error);
    for (std::size_t shard = 1; shard <= fleet.settings.shards; ++shard)
      kind.tasks.push_back(task_status(fleet, name, shard, outside));
    kind.plans = planned(fleet, name);
    kind.is_planned = is_planned(fleet, name);
    kind.left = time_left(kind);
    status.kinds.push_back(std::move(kind));
  }
  return status;
}

}  // namespace convopt::fleet
