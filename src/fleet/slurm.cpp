#include "src/fleet/slurm.h"

#include <sys/stat.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "core/files.h"
#include "core/text.h"
#include "core/try.h"
#include "src/fleet/attempt.h"
#include "src/fleet/node.h"
#include "src/fleet/process.h"

namespace convopt::fleet {
namespace {

namespace fs = std::filesystem;

/// One of Slurm's programs; what it complains of is the error.
Result<std::string> ask_slurm(const std::vector<std::string>& arguments) {
  auto result = run_process(arguments);
  if (!result) {
    return make_error(
        ErrorCode::environment,
        result.error().message + "; without Slurm, --hosts FILE or --hosts local runs the tasks");
  }
  if (result->code == 0) return std::move(result->out);
  return make_error(ErrorCode::environment,
                    arguments.front() + " refused: " + result->error_text());
}

std::string describing_name(const Fleet& fleet) { return "convopt-" + fleet.id + "-nodes"; }
std::string working_name(const Fleet& fleet) { return "convopt-" + fleet.id; }

std::string whole_minutes(double seconds) {
  return std::to_string(static_cast<int>(std::ceil(seconds / 60)));
}

struct Job {
  std::string name, comment, file;   ///< of the job, what squeue says of it, of its script
  std::vector<std::string> options;  ///< of sbatch
  std::vector<std::string> words;    ///< behind `convopt fleet task FOLDER`
};

/// Submits a script that becomes convopt itself, which so gets the signals of the job. Returns the
/// job's id.
Result<std::string> submit(const Fleet& fleet, const Job& job) {
  std::string script = "#!/bin/sh\nexec " + shell_word(fleet.settings.program.string()) +
                       " fleet task " + shell_word(fleet.folder.string());
  // The number of an array's task is the shell's to know.
  for (const std::string& word : job.words)
    script += " " + (word == "$SLURM_ARRAY_TASK_ID" ? "\"" + word + "\"" : shell_word(word));
  const fs::path file = fleet.folder / "jobs" / (job.file + ".sh");
  std::error_code error;
  fs::create_directories(file.parent_path(), error);
  fs::create_directories(fleet.folder / "logs", error);
  script += "\n";
  // The same for a thousand nodes.
  if (const auto known = read_file(file); !known || *known != script)
    CONVOPT_CHECK(write_file_atomically(file, script));
  const Slurm& slurm = *fleet.settings.slurm;
  std::vector<std::string> arguments = {"sbatch",
                                        "--parsable",
                                        "--job-name=" + job.name,
                                        "--comment=" + job.comment,
                                        "--chdir=" + fleet.folder.string(),
                                        "--open-mode=append",
                                        "--nodes=1",
                                        "--ntasks=1"};
  if (!slurm.partition.empty()) arguments.push_back("--partition=" + slurm.partition);
  arguments.insert(arguments.end(), job.options.begin(), job.options.end());
  // The user's own count most.
  arguments.insert(arguments.end(), slurm.options.begin(), slurm.options.end());
  arguments.push_back(file.string());
  CONVOPT_TRY(const std::string answer, ask_slurm(arguments));
  // "123" or "123;cluster".
  return answer.substr(0, answer.find_first_of(";\n"));
}

/// Confines jobs to nodes of the kind: all others of the partition are excluded. sbatch reads a
/// list that has a slash as a file.
Result<std::vector<std::string>> confinement(const Fleet& fleet, const std::string& kind,
                                             const std::vector<Node>& nodes,
                                             const Partition& partition) {
  std::set<std::string> of_kind;
  for (const Node& node : nodes) of_kind.insert(node.name);
  std::string others;
  for (const std::string& name : partition.all) {
    if (!of_kind.contains(name)) others += name + "\n";
  }
  if (others.empty()) return std::vector<std::string>();
  const fs::path file = fleet.folder / "jobs" / (kind + ".exclude");
  CONVOPT_CHECK(write_file_atomically(file, others));
  return std::vector<std::string>{"--exclude=" + file.string()};
}

/// "1,3-4" is not shorter by enough to be worth it.
std::string array_of(const std::vector<std::size_t>& shards) {
  std::string text;
  for (const std::size_t shard : shards) text += (text.empty() ? "" : ",") + std::to_string(shard);
  return text;
}

/// What every task of a kind asks for.
std::vector<std::string> task_options(const Fleet& fleet) {
  // A node for itself, with its memory; started again where it was preempted or its node failed,
  // after a notice in which the last measurement ends.
  std::vector<std::string> options = {"--exclusive", "--mem=0", "--requeue", "--signal=B:TERM@30"};
  constexpr double kMargin = 600;
  if (fleet.settings.budget > 0)
    options.push_back("--time=" + whole_minutes(1.5 * fleet.settings.budget + kMargin));
  return options;
}

/// Ids behind which the kind's plans are to be made.
std::string after(const std::vector<std::string>& ids) {
  std::string text = "--dependency=afterany";
  for (const std::string& id : ids) text += ":" + id;
  return text;
}

Result<std::size_t> submit_kind(const Fleet& fleet, const std::string& kind,
                                const std::vector<Node>& nodes, const Partition& partition,
                                const Queue& queue, int round) {
  const std::vector<std::size_t> finished = finished_shards(fleet, kind);
  std::vector<std::size_t> missing;
  for (std::size_t shard = 1; shard <= fleet.settings.shards; ++shard) {
    if (!std::ranges::binary_search(finished, shard) && !queue.tasks.contains({kind, shard}))
      missing.push_back(shard);
  }
  CONVOPT_TRY(const auto confined, confinement(fleet, kind, nodes, partition));
  std::vector<std::string> before;
  if (const auto known = queue.arrays.find(kind); known != queue.arrays.end())
    before = known->second;
  if (!missing.empty()) {
    Job job{working_name(fleet), "task " + kind, "task-" + kind, confined, {}};
    job.words = {"measure", kind, "$SLURM_ARRAY_TASK_ID"};
    job.options.push_back("--array=" + array_of(missing));
    job.options.push_back("--output=logs/" + kind + "-%a.log");
    for (std::string& option : task_options(fleet)) job.options.push_back(std::move(option));
    CONVOPT_TRY(std::string id, submit(fleet, job));
    before.push_back(std::move(id));
  }
  const bool has_plans = before.empty() && is_planned(fleet, kind);
  // A job that waits in the queue would plan too early, or not behind these tasks.
  if (has_plans || (queue.plans.contains(kind) && missing.empty())) return missing.size();
  Job job{working_name(fleet), "plan " + kind, "plan-" + kind, confined, {}};
  job.words = {"plan", kind, "--round", std::to_string(round)};
  job.options.push_back("--output=logs/" + kind + "-plan.log");
  job.options.push_back("--requeue");
  if (!before.empty()) job.options.push_back(after(before));
  CONVOPT_CHECK(submit(fleet, job));
  return missing.size();
}

}  // namespace

Result<Partition> partition_of(const Slurm& slurm) {
  CONVOPT_TRY(const std::string text,
              ask_slurm({"sinfo", "--noheader", "--Node", "--format=%N|%P|%T"}));
  const std::string& name = slurm.partition;
  Partition partition = parse_partition(text, name);
  if (!partition.all.empty()) return partition;
  return make_error(ErrorCode::usage, name.empty()
                                          ? "Slurm has no default partition: give --partition"
                                          : "Slurm has no partition " + in_quotes(name));
}

Queue parse_queue(const std::string& text) {
  Queue queue;
  for (const std::string_view line : split(text, '\n')) {
    const auto fields = split(line, '|');
    if (fields.size() != 4) continue;
    const std::string id(fields[0]), state(fields[2]);
    const auto words = split(fields[3], ' ');
    const std::string what(words.front()), whom(words.size() > 1 ? words[1] : "");
    if (what == "task") {
      const auto shard = parse_number<std::size_t>(fields[1]);
      if (!shard) continue;
      queue.tasks[{whom, *shard}] = state;
      auto& ids = queue.arrays[whom];
      if (std::ranges::find(ids, id) == ids.end()) ids.push_back(id);
    } else if (what == "plan") {
      queue.plans[whom] = state;
    } else if (what == "describe") {
      queue.describes[whom] = state;
    } else if (what == "submit") {
      queue.submitting = true;
    }
  }
  return queue;
}

Result<Queue> queue_of(const Fleet& fleet) {
  CONVOPT_TRY(const std::string text,
              ask_slurm({"squeue", "--noheader", "--array",
                         "--name=" + working_name(fleet) + "," + describing_name(fleet),
                         std::string("--format=") + kQueueFormat}));
  return parse_queue(text);
}

Partition parse_partition(const std::string& text, const std::string& name) {
  Partition partition;
  for (const std::string_view line : split(text, '\n')) {
    const auto fields = split(line, '|');
    if (fields.size() != 3) continue;
    const bool is_default = fields[1].ends_with('*');
    const std::string_view of = fields[1].substr(0, fields[1].size() - (is_default ? 1 : 0));
    if (name.empty() ? !is_default : of != name) continue;
    partition.all.emplace_back(fields[0]);
    const bool responds = fields[2].find('*') == std::string_view::npos;
    const bool takes_jobs = std::ranges::any_of(
        std::vector<std::string_view>{"idle", "mixed", "allocated", "completing"},
        [&](std::string_view state) { return fields[2].starts_with(state); });
    if (responds && takes_jobs) partition.usable.emplace_back(fields[0]);
  }
  return partition;
}

Result<Submission> submit_descriptions(const Fleet& fleet) {
  CONVOPT_TRY(const Partition partition, partition_of(*fleet.settings.slurm));
  CONVOPT_TRY(const Queue queue, queue_of(fleet));
  Submission submission;
  std::set<std::string> known;
  for (const auto& [kind, nodes] : nodes_by_kind(fleet, nullptr)) {
    for (const Node& node : nodes) known.insert(node.name);
  }
  for (const std::string& name : partition.all) {
    if (known.contains(name) || queue.describes.contains(name)) continue;
    if (std::ranges::find(partition.usable, name) == partition.usable.end()) {
      submission.left_out.push_back(name);
      continue;
    }
    Job job{describing_name(fleet), "describe " + name, "describe", {}, {"describe"}};
    job.options = {"--nodelist=" + name, "--output=logs/describe-%N.log", "--time=2",
                   "--deadline=now+" + whole_minutes(fleet.settings.slurm->describe_seconds + 120) +
                       "minutes"};
    CONVOPT_CHECK(submit(fleet, job));
    ++submission.described;
  }
  if (queue.submitting || (submission.described == 0 && queue.describes.empty())) return submission;
  // It waits until all jobs of its name have ended: nodes that have no time are given up by then.
  Job job{describing_name(fleet), "submit", "submit", {}, {"submit"}};
  job.options = {"--dependency=singleton", "--output=logs/submit.log"};
  CONVOPT_CHECK(submit(fleet, job));
  return submission;
}

Result<Submission> submit_tasks(const Fleet& fleet, const Messages& messages) {
  Submission submission;
  std::vector<std::string> warnings;
  const auto kinds = nodes_by_kind(fleet, &warnings);
  messages.warn_of(warnings);
  if (kinds.empty()) return submission;
  CONVOPT_TRY(const Partition partition, partition_of(*fleet.settings.slurm));
  CONVOPT_TRY(const Queue queue, queue_of(fleet));
  for (const auto& [kind, nodes] : kinds) {
    CONVOPT_TRY(const std::size_t tasks, submit_kind(fleet, kind, nodes, partition, queue, 1));
    submission.tasks += tasks;
  }
  return submission;
}

Result<std::size_t> submit_again(const Fleet& fleet, const std::string& kind, int round) {
  const auto kinds = nodes_by_kind(fleet, nullptr);
  const auto known = kinds.find(kind);
  if (known == kinds.end()) {
    return make_error(ErrorCode::environment, "no node of the kind " + kind + " is known");
  }
  CONVOPT_TRY(const Partition partition, partition_of(*fleet.settings.slurm));
  CONVOPT_TRY(const Queue queue, queue_of(fleet));
  return submit_kind(fleet, kind, known->second, partition, queue, round);
}

}  // namespace convopt::fleet
