// A fleet without a queue: the tasks are run on a list of hosts over ssh, or on this machine.
#pragma once

#include <atomic>
#include <filesystem>
#include <string>
#include <vector>

#include "convopt/profiling.hpp"
#include "src/fleet/fleet.h"

namespace convopt::fleet {

/// One host per line; empty lines and what follows # are left out.
Result<std::vector<std::string>> read_hosts(const std::filesystem::path& path);

/// How a task is started there: this program itself, or by ssh.
std::vector<std::string> command_on(const Fleet& fleet, const std::string& host,
                                    const std::vector<std::string>& words);

/// Describes the hosts and runs all tasks that are not finished, one at a time on each host, and
/// then the plans of each kind. Hosts that cannot be reached, and tasks that fail again and again,
/// are told and left out. Fails with `partial` where something is left to do, with `interrupted`
/// where `stop` became true.
Result<void> run_on_hosts(const Fleet& fleet, const std::atomic<bool>* stop,
                          const Messages& messages);

/// Starts that in a process that outlives this terminal, where none is at work.
Result<void> start_runner(const Fleet& fleet);

}  // namespace convopt::fleet
