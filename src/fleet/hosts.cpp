#include "src/fleet/hosts.h"

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <map>
#include <mutex>
#include <set>
#include <thread>

#include "core/files.h"
#include "core/text.h"
#include "core/try.h"
#include "src/fleet/attempt.h"
#include "src/fleet/node.h"
#include "src/fleet/process.h"
#include "src/fleet/status.h"

namespace convopt::fleet {
namespace {

namespace fs = std::filesystem;

// What ssh itself ends with where it does not reach the host.
constexpr int kUnreachable = 255;
constexpr int kMostFailures = 3;

/// The tasks of one kind, as its hosts share them.
struct Work {
  std::set<std::size_t> open, running;
  std::map<std::size_t, int> failures;
  bool planned = false;  ///< or being planned
};

Error at_work(const RunnerState& state) {
  return make_error(ErrorCode::environment, "process " + std::to_string(state.pid) + " on " +
                                                state.host + " is at work on this fleet already");
}

Result<void> check_no_runner(const Fleet& fleet) {
  const auto state = runner_state(fleet);
  if (state && state->running) return at_work(*state);
  return {};
}

class Runner {
 public:
  Runner(const Fleet& fleet, const std::atomic<bool>* stop, const Messages& messages)
      : fleet_(fleet), stop_(stop), messages_(messages) {}

  Result<void> run() {
    state_.running = true;
    state_.host = node_name();
    state_.pid = getpid();
    CONVOPT_CHECK(claim());
    std::vector<std::string> hosts = fleet_.settings.hosts;
    if (hosts.empty()) hosts.push_back("");
    std::size_t serving = hosts.size();
    std::vector<std::thread> threads;
    for (const std::string& host : hosts) {
      threads.emplace_back([this, host, &serving] {
        serve(host);
        const std::scoped_lock lock(mutex_);
        --serving;
        changed_.notify_all();
      });
    }
    {
      std::unique_lock lock(mutex_);
      while (serving > 0) {
        // The runner's sign of life.
        constexpr std::chrono::seconds kPause{5};
        changed_.wait_for(lock, kPause, [&] { return serving == 0; });
        static_cast<void>(write_runner_state(fleet_, state_));
      }
    }
    for (std::thread& thread : threads) thread.join();
    state_.running = false;
    CONVOPT_CHECK(write_runner_state(fleet_, state_));
    if (is_stopped()) {
      return make_error(ErrorCode::interrupted,
                        "interrupted; what was measured is kept, the same command resumes");
    }
    return outcome();
  }

 private:
  /// Two at once would do the same tasks at the same time. Of two that begin in the same moment the
  /// later one to write stays.
  Result<void> claim() {
    CONVOPT_CHECK(check_no_runner(fleet_));
    CONVOPT_CHECK(write_runner_state(fleet_, state_));
    constexpr std::chrono::milliseconds kSettled{200};
    std::this_thread::sleep_for(kSettled);
    const auto stays = runner_state(fleet_);
    if (stays && (stays->pid != state_.pid || stays->host != state_.host)) return at_work(*stays);
    return {};
  }

  bool is_stopped() const { return stop_ != nullptr && stop_->load(); }

  /// What is left to do.
  Result<void> outcome() const {
    std::size_t open = 0, unplanned = 0;
    const FleetStatus status = status_of(fleet_);
    for (const KindStatus& kind : status.kinds) {
      open += kind.tasks.size() - kind.count(TaskState::done);
      unplanned += kind.is_planned ? 0 : 1;
    }
    if (!status.kinds.empty() && open == 0 && unplanned == 0 && lost_hosts_ == 0) return {};
    if (status.kinds.empty())
      return make_error(ErrorCode::environment,
                        "none of the hosts could be described: " +
                            (state_.notes.empty() ? "no host is given" : state_.notes.front()));
    return make_error(ErrorCode::partial,
                      counted(open, "task") + " not finished, " + counted(unplanned, "kind") +
                          " without plans of all of them, " + counted(lost_hosts_, "host") +
                          " given up; `convopt fleet status` says why, and `convopt fleet plan` on "
                          "the same folder continues");
  }

  void tell(const std::string& sentence) {
    {
      const std::scoped_lock lock(mutex_);
      state_.notes.push_back(sentence);
    }
    messages_.warn_of(sentence);
  }

  Result<ProcessResult> run_there(const std::string& host, const std::vector<std::string>& words) {
    return run_process(command_on(fleet_, host, words), stop_);
  }

  /// Why a program that was started there did not do its work; empty: it did.
  static std::string problem_of(const Result<ProcessResult>& result) {
    if (!result) return result.error().message;
    return result->code == 0 ? "" : result->error_text();
  }

  /// All that is done on one host.
  void serve(const std::string& host) {
    const std::string kind = described_kind(host);
    if (kind.empty()) return;
    bool reachable = true;
    while (reachable && !is_stopped()) {
      const std::size_t shard = next_shard(kind);
      if (shard == 0) break;
      reachable = measure(host, kind, shard);
    }
    std::unique_lock lock(mutex_);
    Work& work = work_[kind];
    if (!reachable || is_stopped() || work.planned) return;
    work.planned = true;
    lock.unlock();
    make_plans_there(host, kind);
  }

  /// The kind of the host, which takes its part in it; empty where it cannot be found out.
  std::string described_kind(const std::string& host) {
    const std::string name = host.empty() ? node_name() : host;
    const auto result = run_there(host, {"describe", "--node", name});
    std::string problem = problem_of(result), kind;
    for (const auto& [known, nodes] : nodes_by_kind(fleet_, nullptr)) {
      for (const Node& node : nodes) {
        if (node.name == name) kind = known;
      }
    }
    if (problem.empty() && kind.empty())
      problem = "it did not write into " + fleet_.folder.string() + ", which must be shared";
    if (is_stopped()) return "";
    if (!problem.empty()) {
      tell(name + " is left out: " + problem);
      const std::scoped_lock lock(mutex_);
      ++lost_hosts_;
      return "";
    }
    const std::scoped_lock lock(mutex_);
    const auto [place, is_new] = work_.try_emplace(kind);
    Work& work = place->second;
    if (is_new) {
      const std::vector<std::size_t> finished = finished_shards(fleet_, kind);
      for (std::size_t shard = 1; shard <= fleet_.settings.shards; ++shard)
        if (!std::ranges::binary_search(finished, shard)) work.open.insert(shard);
      work.planned = work.open.empty() && is_planned(fleet_, kind);
    }
    return kind;
  }

  /// Waits where others of the kind are at work on the last tasks, which may come back. 0: nothing
  /// is left.
  std::size_t next_shard(const std::string& kind) {
    std::unique_lock lock(mutex_);
    Work& work = work_[kind];
    for (;;) {
      if (is_stopped()) return 0;
      if (!work.open.empty()) {
        const std::size_t shard = *work.open.begin();
        work.open.erase(work.open.begin());
        work.running.insert(shard);
        return shard;
      }
      if (work.running.empty()) return 0;
      constexpr std::chrono::milliseconds kTick{100};
      changed_.wait_for(lock, kTick);
    }
  }

  /// Whether the host can still be reached.
  bool measure(const std::string& host, const std::string& kind, std::size_t shard) {
    const std::string name = host.empty() ? node_name() : host;
    const auto result = run_there(host, {"measure", kind, std::to_string(shard), "--node", name});
    const bool is_done = done(fleet_.task(kind, shard)).has_value();
    const bool unreachable = !is_done && !host.empty() && result && result->code == kUnreachable;
    std::string sentence;
    {
      const std::scoped_lock lock(mutex_);
      Work& work = work_[kind];
      work.running.erase(shard);
      // A host that is gone is not the task's fault.
      const bool again = !is_done && (unreachable || ++work.failures[shard] < kMostFailures);
      if (again) work.open.insert(shard);
      if (unreachable) ++lost_hosts_;
      changed_.notify_all();
    }
    if (is_done || is_stopped()) return true;
    const std::string problem = problem_of(result);
    if (unreachable) {
      tell(name + " is given up: " + problem);
    } else {
      messages_.warn_of("task " + std::to_string(shard) + " of " + kind + " ended on " + name +
                        ": " + (problem.empty() ? "it was not finished" : problem));
    }
    return !unreachable;
  }

  void make_plans_there(const std::string& host, const std::string& kind) {
    const auto result = run_there(host, {"plan", kind});
    if (const std::string problem = problem_of(result); !problem.empty() && !is_stopped())
      tell("plans of " + kind + ": " + problem);
  }

  const Fleet& fleet_;
  const std::atomic<bool>* stop_;
  const Messages& messages_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::map<std::string, Work> work_;
  std::size_t lost_hosts_ = 0;
  RunnerState state_;
};

}  // namespace

Result<std::vector<std::string>> read_hosts(const fs::path& path) {
  CONVOPT_TRY(const std::string text, read_file(path));
  std::vector<std::string> hosts;
  for (std::string_view line : split(text, '\n')) {
    line = line.substr(0, line.find('#'));
    const auto begin = line.find_first_not_of(" \t\r");
    if (begin == std::string_view::npos) continue;
    line = line.substr(begin, line.find_last_not_of(" \t\r") - begin + 1);
    // ssh would take the one for an option; two words are no host.
    if (line.front() == '-' || line.find_first_of(" \t") != std::string_view::npos) {
      return make_error(ErrorCode::bad_input,
                        path.string() + ": " + in_quotes(line) + " is no name of a host");
    }
    if (std::ranges::find(hosts, line) == hosts.end()) hosts.emplace_back(line);
  }
  if (hosts.empty()) return make_error(ErrorCode::bad_input, path.string() + " names no host");
  return hosts;
}

std::vector<std::string> command_on(const Fleet& fleet, const std::string& host,
                                    const std::vector<std::string>& words) {
  std::vector<std::string> command = {fleet.settings.program.string(), "fleet", "task",
                                      fleet.folder.string()};
  command.insert(command.end(), words.begin(), words.end());
  // What is started there ends with the one that started it, whose end closes its standard input.
  command.emplace_back("--while-stdin");
  if (host.empty()) return command;
  std::string line;
  for (const std::string& word : command) line += (line.empty() ? "" : " ") + shell_word(word);
  return {"ssh",
          "-o",
          "BatchMode=yes",
          "-o",
          "ConnectTimeout=15",
          "-o",
          "ServerAliveInterval=30",
          host,
          "exec " + line};
}

Result<void> run_on_hosts(const Fleet& fleet, const std::atomic<bool>* stop,
                          const Messages& messages) {
  return Runner(fleet, stop, messages).run();
}

Result<void> start_runner(const Fleet& fleet) {
  CONVOPT_CHECK(check_no_runner(fleet));
  return start_detached({own_program().string(), "fleet", "task", fleet.folder.string(), "run"},
                        fleet.folder / "logs" / "runner.log");
}

}  // namespace convopt::fleet
