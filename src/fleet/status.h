// How a fleet stands, read from its folder. A task is done by its finished marker, whatever the
// queue says.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "convopt/profiling.hpp"
#include "src/fleet/attempt.h"
#include "src/fleet/fleet.h"
#include "src/fleet/node.h"

namespace convopt::fleet {

enum class TaskState : unsigned char {
  waiting,  ///< queued, or not begun
  running,
  done,
  failed,  ///< its last attempt ended with an error
  lost,    ///< begun or queued once, but no longer running
};
inline constexpr int kTaskStates = 5;
std::string_view to_string(TaskState state);

struct TaskStatus {
  std::size_t shard = 0;
  TaskState state = TaskState::waiting;
  std::size_t attempts = 0;
  std::size_t times = 0;
  double seconds = 0;             ///< spent by the last attempt
  std::optional<double> left;     ///< seconds; nothing: not known
  bool budget_exhausted = false;  ///< done, without everything measured
  std::string node, reason;
};

struct KindStatus {
  std::string name;
  std::vector<Node> nodes;
  std::vector<TaskStatus> tasks;
  std::optional<Planned> plans;
  bool is_planned = false;     ///< all networks have plans, made of all that is finished
  std::optional<double> left;  ///< seconds until the last task ends

  std::size_t count(TaskState state) const;
  std::size_t times() const;
};

struct FleetStatus {
  std::vector<KindStatus> kinds;
  /// Nodes that are being described.
  std::vector<std::string> describing;
  std::vector<std::string> notes;
  bool complete() const;
};

/// Asks the queue where the fleet is on Slurm and `ask_queue` says so.
FleetStatus status_of(const Fleet& fleet, bool ask_queue = true);

/// What the process that runs the tasks of a list of hosts has to say.
struct RunnerState {
  bool running = false;
  std::string host;
  int pid = 0;
  std::vector<std::string> notes;  ///< hosts that it gave up, and why
};
std::optional<RunnerState> runner_state(const Fleet& fleet);
Result<void> write_runner_state(const Fleet& fleet, const RunnerState& state);

/// Seconds without an update after which a task or runner counts as dead.
inline constexpr double kHeartbeatTimeout = 60;

}  // namespace convopt::fleet
