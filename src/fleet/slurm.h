// A fleet on Slurm. Nodes are described by a job each; when these have ended, a job submits for
// every kind an array of its tasks, confined to the nodes of the kind, and behind it the job that
// makes the kind's plans. So the shell that planned the fleet may go away.
#pragma once

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "convopt/profiling.hpp"
#include "src/fleet/fleet.h"

namespace convopt::fleet {

/// What the queue holds of the fleet.
struct Queue {
  std::map<std::pair<std::string, std::size_t>, std::string> tasks;  ///< kind and shard; state
  std::map<std::string, std::string> plans;                          ///< kind; state
  std::map<std::string, std::string> describes;                      ///< node; state
  bool submitting = false;                                 ///< the job that submits arrays is there
  std::map<std::string, std::vector<std::string>> arrays;  ///< kind; ids of its array jobs
};
Result<Queue> queue_of(const Fleet& fleet);
/// The same of the output of squeue in the format kQueueFormat.
Queue parse_queue(const std::string& text);
inline constexpr const char* kQueueFormat = "%F|%K|%T|%k";

/// Nodes of the partition that take jobs, and of all of them.
struct Partition {
  std::vector<std::string> usable, all;
};
/// As Slurm says. A partition that is not there, and Slurm itself, are errors.
Result<Partition> partition_of(const Slurm& slurm);
/// Of the output of `sinfo --Node --format=%N|%P|%T`. No name: the default partition.
Partition parse_partition(const std::string& text, const std::string& name);

struct Submission {
  std::size_t described = 0;          ///< nodes that a job was submitted for
  std::size_t tasks = 0;              ///< tasks that were submitted
  std::vector<std::string> left_out;  ///< nodes that take no jobs
};

/// Submits jobs for all nodes that are not described yet, and the one that submits the tasks.
Result<Submission> submit_descriptions(const Fleet& fleet);
/// For every kind that is known, the tasks that are neither finished nor queued, and then the plans
/// where those are not made of all that is finished.
Result<Submission> submit_tasks(const Fleet& fleet, const Messages& messages);
/// The same for one kind, as its plan job does by itself; `round` counts these times.
Result<std::size_t> submit_again(const Fleet& fleet, const std::string& kind, int round);

/// How often tasks that ended without being finished are submitted by themselves.
inline constexpr int kRounds = 3;

}  // namespace convopt::fleet
