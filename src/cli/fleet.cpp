#include "src/fleet/fleet.h"

#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <memory>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "convopt/model.hpp"
#include "core/text.h"
#include "core/try.h"
#include "src/cli/cli.h"
#include "src/cli/interrupt.h"
#include "src/cli/log.h"
#include "src/cli/planning.h"
#include "src/cli/progress.h"
#include "src/cli/table.h"
#include "src/cli/values.h"
#include "src/fleet/collect.h"
#include "src/fleet/hosts.h"
#include "src/fleet/node.h"
#include "src/fleet/process.h"
#include "src/fleet/slurm.h"
#include "src/fleet/status.h"
#include "src/library/profiling.h"
#include "src/select/calibration.h"

namespace convopt::cli {
namespace {

struct FleetPlanArguments {
  std::vector<std::filesystem::path> networks;
  std::filesystem::path folder, program;
  std::string partition, hosts;
  fleet::Settings settings;
  fleet::Slurm slurm;
  int batch = 0;
  std::vector<std::string> shapes, bindings;
  const CLI::App* verb = nullptr;

  bool has(const char* option) const { return verb->get_option(option)->count() > 0; }
  bool dry_run = false, wait = false;
};

Result<void> add_networks(const FleetPlanArguments& request, fleet::Settings& settings) {
  CONVOPT_TRY(const auto shapes, parse_shapes(request.shapes));
  CONVOPT_TRY(const auto values, parse_bindings(request.bindings));
  if (request.networks.size() > 1 && (!shapes.empty() || !values.empty())) {
    return make_error(ErrorCode::usage, "--shape and --bind are for the inputs of one network, " +
                                            std::to_string(request.networks.size()) + " are given");
  }
  const auto types = types_of(settings.precision);
  for (const auto& path : request.networks) {
    CONVOPT_TRY(auto network, fleet::describe_network(path, request.batch, shapes, values));
    for (const fleet::FleetNetwork& other : settings.networks) {
      if (other.name != network.name) continue;
      return make_error(ErrorCode::usage, "two networks are called " + network.name +
                                              ": the results are files of these names");
    }
    if (settings.precision == Precision::int8) {
      CONVOPT_TRY(const Network loaded, fleet::load_network(network));
      const auto scales = model_scales(loaded);
      if (std::ranges::none_of(scales, [](const auto& s) { return s.type != DataType::f32; })) {
        return make_error(ErrorCode::usage,
                          network.name +
                              " has no ranges of its own, which int8 needs: quantise the model, or "
                              "give --precision auto or bf16");
      }
    }
    settings.networks.push_back(std::move(network));
  }
  return {};
}

/// The model is opened on other machines, after hours of measuring.
Result<void> add_model(fleet::Settings& settings) {
  if (settings.model.empty()) return {};
  settings.model = std::filesystem::absolute(settings.model);
  CONVOPT_CHECK(load_model(settings.model));
  return {};
}

/// Where the tasks are to run; asked before anything is written.
Result<void> add_machines(const FleetPlanArguments& request, fleet::Settings& settings) {
  settings.program = request.program.empty() ? fleet::own_program() : request.program;
  if (request.hosts.empty()) {
    settings.slurm = request.slurm;
    settings.slurm->partition = request.partition;
    CONVOPT_CHECK(fleet::partition_of(*settings.slurm));
    return {};
  }
  if (request.hosts == "local") return {};
  CONVOPT_TRY(settings.hosts, fleet::read_hosts(request.hosts));
  return {};
}

Result<void> dry_run(const FleetPlanArguments& request) {
  if (request.networks.empty()) {
    return make_error(ErrorCode::usage, "--dry-run estimates a new fleet: name its networks");
  }
  fleet::Settings settings = request.settings;
  CONVOPT_CHECK(add_networks(request, settings));
  CONVOPT_CHECK(add_model(settings));
  CONVOPT_CHECK(add_machines(request, settings));
  ProfileSettings profile;
  if (settings.threads > 0) profile.threads = settings.threads;
  for (const auto& network : settings.networks) {
    CONVOPT_TRY(auto loaded, fleet::load_network(network));
    profile.networks.push_back(std::move(loaded));
  }
  profile.configs = settings.configs;
  profile.precision = settings.precision;
  profile.seed = settings.seed;
  profile.output = "/dev/null";
  CONVOPT_TRY(const auto estimate, estimate_profile(profile));
  std::printf("for each kind of machine %zu workloads, %zu measurements: about %s on one like this",
              estimate.workloads, estimate.measurements, format_duration(estimate.seconds).c_str());
  const double each = estimate.seconds / static_cast<double>(settings.shards);
  std::printf(
      ", %s in %s of %s", settings.shards > 1 ? "or shared" : "",
      counted(settings.shards, "task").c_str(),
      format_duration(settings.budget > 0 ? std::min(settings.budget, each) : each).c_str());
  std::printf("\n");
  return {};
}

/// Until the queue has nothing of the fleet any more.
Result<void> wait_for_queue(const fleet::Fleet& fleet) {
  exit_on_signal("the jobs go on, and convopt fleet status shows them");
  // A controller that is busy for a moment is no reason to give up.
  constexpr int kMostFailures = 30;
  int failures = 0;
  for (;;) {
    const auto asked = fleet::queue_of(fleet);
    if (!asked && ++failures >= kMostFailures) return asked.error();
    if (!asked) {
      std::this_thread::sleep_for(std::chrono::seconds(2));
      continue;
    }
    failures = 0;
    const fleet::Queue& queue = *asked;
    if (queue.tasks.empty() && queue.plans.empty() && queue.describes.empty() && !queue.submitting)
      break;
    std::this_thread::sleep_for(std::chrono::seconds(2));
  }
  if (fleet::status_of(fleet).complete()) return {};
  return make_error(ErrorCode::partial,
                    "the queue has ended and the fleet is not complete; "
                    "convopt fleet status says what is missing");
}

Result<void> start_on_slurm(const fleet::Fleet& fleet, bool wait) {
  CONVOPT_TRY(const auto again, fleet::submit_tasks(fleet, messages()));
  CONVOPT_TRY(const auto submission, fleet::submit_descriptions(fleet));
  if (!submission.left_out.empty()) {
    note(counted(submission.left_out.size(), "node") + " left out, since no jobs run there now: " +
         listed(submission.left_out) + "; the same command takes them in later");
  }
  std::printf("%s: jobs for %s to be described and %s are submitted\n", fleet.folder.c_str(),
              counted(submission.described, "node").c_str(), counted(again.tasks, "task").c_str());
  std::printf(
      "convopt fleet status %s shows how they go; scancel --name=convopt-%s,convopt-%s-nodes "
      "ends them\n",
      fleet::shell_word(fleet.folder.string()).c_str(), fleet.id.c_str(), fleet.id.c_str());
  return wait ? wait_for_queue(fleet) : Result<void>();
}

Result<void> start_on_hosts(const fleet::Fleet& fleet, bool wait) {
  if (wait) {
    return fleet::run_on_hosts(fleet, &stop_on_signal(), messages());
  }
  CONVOPT_CHECK(fleet::start_runner(fleet));
  std::printf(
      "%s: a process in the background runs the tasks; convopt fleet status %s shows how "
      "they go\n",
      fleet.folder.c_str(), fleet::shell_word(fleet.folder.string()).c_str());
  return {};
}

/// Options that a fleet keeps from when it was planned are refused, not ignored.
Result<void> check_continued(const FleetPlanArguments& request) {
  std::set<std::string> admitted = {"--help", "--quiet",     "--dir",
                                    "--wait", "--partition", "--hosts"};
  if (request.has("--partition") || request.has("--hosts"))
    admitted.insert({"--program", "--sbatch", "--describe-wait"});
  for (const CLI::Option* option : request.verb->get_options()) {
    if (option->count() == 0 || admitted.contains(option->get_name())) continue;
    return make_error(ErrorCode::usage,
                      option->get_name() +
                          " is settled when a fleet is planned, and cannot be changed when it is "
                          "continued; without networks, " +
                          request.folder.string() + " is continued");
  }
  return {};
}

Result<void> plan_fleet(const FleetPlanArguments& request) {
  if (request.dry_run) return dry_run(request);
  if (request.folder.empty()) return make_error(ErrorCode::usage, "--dir is needed: -d FOLDER");
  fleet::Settings settings = request.settings;
  if (request.networks.empty()) {
    CONVOPT_TRY(const auto known, fleet::load(request.folder));
    settings = known.settings;
    // Other machines may go on with it.
    CONVOPT_CHECK(check_continued(request));
    if (request.has("--partition") || request.has("--hosts")) {
      settings.slurm.reset();
      settings.hosts.clear();
      CONVOPT_CHECK(add_machines(request, settings));
    }
  } else {
    CONVOPT_CHECK(add_networks(request, settings));
    CONVOPT_CHECK(add_model(settings));
    CONVOPT_CHECK(add_machines(request, settings));
  }
  CONVOPT_TRY(const auto fleet, fleet::create(request.folder, settings));
  return fleet.settings.slurm ? start_on_slurm(fleet, request.wait)
                              : start_on_hosts(fleet, request.wait);
}

std::string left_text(const std::optional<double>& seconds) {
  return seconds ? format_duration(*seconds) : "?";
}

std::string plans_text(const fleet::KindStatus& kind) {
  if (!kind.plans) return "-";
  const auto made = std::ranges::count_if(
      kind.plans->networks, [](const auto& network) { return network.second.empty(); });
  return std::to_string(made) + (kind.is_planned ? "" : " (old)");
}

std::string status_text(const fleet::FleetStatus& status) {
  using fleet::TaskState;
  const auto right = Table::Align::right;
  Table table({{"kind"},
               {"nodes", right},
               {"done", right},
               {"running", right},
               {"waiting", right},
               {"failed", right},
               {"lost", right},
               {"times", right},
               {"left", right},
               {"plans", right}});
  std::string troubles;
  for (const auto& kind : status.kinds) {
    const auto of = [&](TaskState state) { return std::to_string(kind.count(state)); };
    table.add_row({kind.name, std::to_string(kind.nodes.size()), of(TaskState::done),
                   of(TaskState::running), of(TaskState::waiting), of(TaskState::failed),
                   of(TaskState::lost), std::to_string(kind.times()), left_text(kind.left),
                   plans_text(kind)});
    for (const auto& task : kind.tasks) {
      if (task.state != TaskState::failed && task.state != TaskState::lost) continue;
      troubles += "task " + std::to_string(task.shard) + " of " + kind.name + " " +
                  std::string(to_string(task.state)) +
                  (task.node.empty() ? "" : " on " + task.node) + ": " + task.reason + "\n";
    }
  }
  std::string text = status.kinds.empty() ? "no machine has been described yet\n" : table.text();
  if (!status.describing.empty())
    text += counted(status.describing.size(), "node") + " being described\n";
  return text + troubles;
}

Json status_json(const fleet::Fleet& fleet, const fleet::FleetStatus& status) {
  Json json;
  json["schema"] = "convopt.fleet_status/1";
  json["folder"] = fleet.folder.string();
  json["complete"] = status.complete();
  json["describing"] = status.describing;
  json["kinds"] = Json::array();
  const auto seconds = [](const std::optional<double>& left) {
    return left ? Json(*left) : Json();
  };
  for (const auto& kind : status.kinds) {
    Json entry;
    entry["kind"] = kind.name;
    entry["platform"] = kind.nodes.front().platform.id();
    entry["nodes"] = Json::array();
    for (const auto& node : kind.nodes) entry["nodes"].push_back(node.name);
    for (int state = 0; state < fleet::kTaskStates; ++state) {
      const auto named = static_cast<fleet::TaskState>(state);
      entry[std::string(to_string(named))] = kind.count(named);
    }
    entry["times"] = kind.times();
    entry["left_seconds"] = seconds(kind.left);
    entry["planned"] = kind.is_planned;
    entry["plans"] = Json::object();
    if (kind.plans) {
      for (const auto& [network, reason] : kind.plans->networks)
        entry["plans"][network] = reason.empty() ? "made" : reason;
    }
    entry["tasks"] = Json::array();
    for (const auto& task : kind.tasks) {
      entry["tasks"].push_back({{"shard", task.shard},
                                {"state", to_string(task.state)},
                                {"attempts", task.attempts},
                                {"times", task.times},
                                {"seconds", task.seconds},
                                {"left_seconds", seconds(task.left)},
                                {"node", task.node},
                                {"reason", task.reason}});
    }
    json["kinds"].push_back(std::move(entry));
  }
  json["notes"] = status.notes;
  return json;
}

Result<void> show_status(const std::filesystem::path& folder, bool as_json) {
  CONVOPT_TRY(const auto fleet, fleet::load(folder));
  const auto status = fleet::status_of(fleet);
  if (as_json) return write_output("", status_json(fleet, status).dump(2) + "\n");
  for (const std::string& sentence : status.notes) note(sentence);
  return write_output("", status_text(status));
}

Result<void> collect_fleet(const std::filesystem::path& folder,
                           const std::filesystem::path& output) {
  CONVOPT_TRY(const auto fleet, fleet::load(folder));
  const auto collected = [&] {
    const FinishWriting finish;
    return fleet::collect(fleet, output, messages());
  }();
  if (!collected) return collected.error();
  for (const auto& kind : collected->kinds) {
    std::printf("%s: %s, %zu times, %s, %s\n", kind.name.c_str(),
                counted(kind.nodes, "node").c_str(), kind.times,
                kind.has_model ? "a model" : "no model", counted(kind.plans, "plan").c_str());
  }
  for (const auto& bundle : collected->bundles) {
    std::printf("%s: plans for %s\n", bundle.path.c_str(), listed(bundle.platforms).c_str());
  }
  if (collected->missing.empty()) return {};
  constexpr std::size_t kShown = 5;
  std::string text;
  for (std::size_t i = 0; i < std::min(kShown, collected->missing.size()); ++i)
    text += (i > 0 ? "; " : "") + collected->missing[i];
  if (collected->missing.size() > kShown)
    text += "; and " + std::to_string(collected->missing.size() - kShown) + " more";
  return make_error(ErrorCode::partial, "what there is was collected, but " + text);
}

struct FleetTaskArguments {
  std::filesystem::path folder;
  std::vector<std::string> words;
  std::string node;
  int round = 1;
  bool while_stdin = false;
};

/// Ends this process like a signal when standard input ends: the one that started it is gone.
void end_with_stdin() {
  std::thread([] {
    std::array<char, 64> ignored;
    while (read(STDIN_FILENO, ignored.data(), ignored.size()) > 0) {
    }
    kill(getpid(), SIGTERM);
  }).detach();
}

Result<void> plan_kind(const fleet::Fleet& fleet, const std::string& kind, int round) {
  if (fleet.settings.slurm && round < fleet::kRounds &&
      fleet::finished_shards(fleet, kind).size() < fleet.settings.shards) {
    // Killed, or its node went away: once more, and the plans behind it.
    const auto again = fleet::submit_again(fleet, kind, round + 1);
    if (again && *again > 0) {
      note(counted(*again, "task") + " that ended without being finished submitted again");
      return {};
    }
    if (!again) warn(again.error().message);
  }
  return fleet::make_plans(fleet, kind, messages());
}

Result<void> run_task(const FleetTaskArguments& request) {
  if (request.while_stdin) end_with_stdin();
  CONVOPT_TRY(const auto fleet, fleet::load(request.folder));
  const std::string node = request.node.empty() ? fleet::node_name() : request.node;
  const auto& words = request.words;
  const std::string& what = words.front();
  if (what == "describe" && words.size() == 1) {
    CONVOPT_TRY(const auto described,
                fleet::describe_this_machine(node, fleet.settings.threads,
                                             fleet.settings.slurm.has_value()));
    return fleet::write_node(fleet, described);
  }
  if (what == "measure" && words.size() == 3) {
    const auto shard = parse_number<std::size_t>(words[2]);
    if (shard && *shard >= 1 && *shard <= fleet.settings.shards) {
      return fleet::measure_shard(fleet, words[1], *shard, node, &stop_on_signal(), messages());
    }
  }
  if (what == "plan" && words.size() == 2) return plan_kind(fleet, words[1], request.round);
  if (what == "submit" && words.size() == 1) {
    CONVOPT_CHECK(fleet::submit_tasks(fleet, messages()));
    return {};
  }
  if (what == "run" && words.size() == 1)
    return fleet::run_on_hosts(fleet, &stop_on_signal(), messages());
  return make_error(ErrorCode::usage, "there is no task " + in_quotes(what) + " like this");
}

void add_plan(CLI::App& verb, Action& action) {
  auto request = std::make_shared<FleetPlanArguments>();
  request->settings.configs = 30;
  CLI::App* plan = verb.add_subcommand(
      "plan",
      "Measures networks on every kind of machine of a cluster or a list of hosts; continues a "
      "fleet whose folder is there.");
  plan->add_option("networks", request->networks,
                   "The networks, ONNX models or JSON files. None: those of the folder.");
  plan->add_option("-d,--dir", request->folder,
                   "Folder of the fleet, which all machines see. Made where it is missing.");
  request->verb = plan;
  CLI::Option* partition = plan->add_option("--partition", request->partition,
                                            "Slurm's partition. Default: Slurm's default one.")
                               ->type_name(kWordType);
  plan->add_option("--hosts", request->hosts,
                   "Without Slurm: a file with one host per line, reached by ssh, or the word "
                   "local for this "
                   "machine alone.")
      ->excludes(partition);
  add_count(*plan, "--shards", request->settings.shards,
            "Tasks per kind of machine: as many machines of a kind can work at once.", 1, 10000)
      ->default_str("4");
  add_count(*plan, "--configs", request->settings.configs,
            "Sampled workloads besides those of the networks, for the model of a kind.", 0, 1000000)
      ->default_str("30");
  add_duration(
      *plan, "--budget", request->settings.budget,
      "Time limit for a task, e.g. 10m; what is not measured by then is predicted. Default: "
      "none.");
  add_precision(
      *plan, [request](Precision named) { request->settings.precision = named; },
      "Types that plans may use, as for select.");
  add_count(*plan, "--threads", request->settings.threads,
            "Threads per primitive. Default: the physical cores of a machine.", 1, 4096);
  add_batch(*plan, request->batch, "Images per batch. Default: the networks' own.");
  add_input_options(*plan, request->shapes, request->bindings);
  plan->add_option("--model", request->settings.model,
                   "Model that is adapted to each kind. Default: the shipped one.");
  add_seed(*plan, request->settings.seed, "Seed of samples, folds and trees.");
  plan->add_option("--program", request->program,
                   "This program as the machines find it. Default: its own path here.");
  plan->add_option("--sbatch", request->slurm.options,
                   "An option for every job, e.g. --sbatch=--account=vision. Repeatable.")
      ->type_name(kWordType)
      ->allow_extra_args(false);
  add_duration(*plan, "--describe-wait", request->slurm.describe_seconds,
               "How long to wait for busy nodes before the tasks are submitted.");
  plan->add_flag("--dry-run", request->dry_run,
                 "Prints an estimate for each kind and writes nothing.");
  plan->add_flag("--wait", request->wait, "Ends when the tasks have ended.");
  plan->callback([&action, request] { action = [request] { return plan_fleet(*request); }; });
}

void add_task(CLI::App& verb, Action& action) {
  auto request = std::make_shared<FleetTaskArguments>();
  CLI::App* task = verb.add_subcommand("task", "")->group("");
  task->add_option("folder", request->folder)->required();
  task->add_option("words", request->words)->required();
  task->add_option("--node", request->node);
  add_count(*task, "--round", request->round, "", 1, 1000);
  task->add_flag("--while-stdin", request->while_stdin);
  task->callback([&action, request] { action = [request] { return run_task(*request); }; });
}

}  // namespace

void add_fleet(CLI::App& app, Action& action) {
  CLI::App* verb = app.add_subcommand(
      "fleet", "Plans networks for every kind of machine of a cluster, with Slurm or over ssh.");
  verb->require_subcommand(1);
  add_plan(*verb, action);
  {
    auto folder = std::make_shared<std::filesystem::path>();
    auto as_json = std::make_shared<bool>(false);
    CLI::App* status = verb->add_subcommand("status", "Shows how a fleet stands.");
    status->add_option("folder", *folder, "Folder of the fleet.")->required();
    status->add_flag("--json", *as_json, "Prints one JSON document instead of the table.");
    status->callback([&action, folder, as_json] {
      action = [folder, as_json] { return show_status(*folder, *as_json); };
    });
  }
  {
    auto folder = std::make_shared<std::filesystem::path>();
    auto output = std::make_shared<std::filesystem::path>();
    CLI::App* collect = verb->add_subcommand(
        "collect",
        "Writes what a fleet has measured: a profile, a model and plans for every kind, and a "
        "bundle per network.");
    collect->add_option("folder", *folder, "Folder of the fleet.")->required();
    collect->add_option("-o,--output", *output, "Folder to write, made where it is missing.")
        ->required();
    collect->callback([&action, folder, output] {
      action = [folder, output] { return collect_fleet(*folder, *output); };
    });
  }
  add_task(*verb, action);
}

}  // namespace convopt::cli
