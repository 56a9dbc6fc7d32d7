#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "convopt/plan.hpp"
#include "core/clock.h"
#include "core/text.h"
#include "core/try.h"
#include "profiler/affinity.h"
#include "profiler/store.h"
#include "profiler/timer.h"
#include "src/cli/log.h"
#include "src/cli/memory.h"
#include "src/cli/outputs.h"
#include "src/cli/planning.h"
#include "src/cli/values.h"
#include "src/report/curves.h"
#include "src/report/gather.h"
#include "src/report/page.h"
#include "src/runtime/buffers.h"
#include "src/runtime/executor.h"
#include "src/runtime/plan_network.h"
#include "src/runtime/timing.h"
#include "src/runtime/weights.h"
#include "src/tune/confirm.h"

namespace convopt::cli {
namespace {

struct ReportArguments {
  PlanningOptions planning;
  std::string plan, output;
  std::filesystem::path transfer_curve;
  double time = 3;  ///< seconds
  bool measures = false;
  std::string command;  ///< as it was called
};

/// The word as a shell reads it back.
std::string in_shell(const std::string& word) {
  constexpr std::string_view kPlain =
      "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-./=,:+@%";
  if (!word.empty() && word.find_first_not_of(kPlain) == std::string::npos) return word;
  std::string quoted = "'";
  for (const char c : word) quoted += c == '\'' ? "'\\''" : std::string(1, c);
  return quoted + "'";
}

/// The options that were given to the verb, as words of a command, without those named.
std::string given_options(const CLI::App& verb, const std::vector<std::string>& without) {
  std::string words;
  for (const CLI::Option* option : verb.get_options()) {
    const std::string name = option->get_name();
    if (option->count() == 0 || std::ranges::find(without, name) != without.end()) continue;
    if (option->get_positional()) {
      for (const std::string& value : option->results()) words += " " + in_shell(value);
      continue;
    }
    // A flag has no value, others one or more.
    if (option->get_expected_max() == 0) {
      words += " " + name;
      continue;
    }
    for (const std::string& value : option->results()) words += " " + name + " " + in_shell(value);
  }
  return words;
}

std::vector<std::string> commands(const CLI::App& verb, const ReportArguments& request) {
  const std::string network = in_shell(request.planning.network.string());
  const std::vector<std::string> own = {"--plan",    "-o",     "--output",
                                        "--measure", "--time", "--transfer-curve"};
  const std::string options = given_options(verb, own);
  const std::string plan = request.plan.empty() ? "plan.json" : in_shell(request.plan);
  std::vector<std::string> lines;
  if (request.plan.empty()) lines.push_back("convopt select" + options + " -o plan.json");
  std::vector<std::string> of_run = own;
  // What a plan holds already.
  for (const char* name :
       {"--model", "--profile", "--precision", "--calibration", "--range", "--time-limit",
        "--allow", "--exclude", "--max-workspace", "--max-error"}) {
    of_run.emplace_back(name);
  }
  lines.push_back("convopt run" + given_options(verb, of_run) + " --plan " + plan + " --layers");
  lines.push_back("convopt explain" + options + " LAYER");
  lines.push_back("convopt report" + given_options(verb, {}));
  return lines;
}

/// Times of the plan, step by step, and of its baselines, taken in turns.
struct Measured {
  std::vector<double> steps_ns;
  std::vector<std::pair<std::string, double>>
      totals_ms;  ///< by names of baselines; the plan's is ""
};

Result<Measured> measure(const Planning& planning, const Selection& selection, const Plan& plan,
                         double seconds) {
  const Network& network = planning.network();
  bind_threads(planning.platform().threads);
  const NetworkWeights weights(network, kWeightsSeed);
  std::vector<std::unique_ptr<Executor>> executors;
  std::vector<Executor*> turns;
  Measured measured;
  const auto add = [&](const std::string& name, const Plan& of) -> Result<void> {
    CONVOPT_TRY(auto executor, Executor::create(network, of, planning.registry(), weights));
    executors.push_back(std::move(executor));
    turns.push_back(executors.back().get());
    measured.totals_ms.emplace_back(name, 0);
    return {};
  };
  CONVOPT_CHECK(add("", plan));
  for (const std::string_view name : {kDefaultName, kSingleName, kGreedyName}) {
    const Solution* const solution = baseline(selection, name);
    if (solution == nullptr) continue;
    CONVOPT_CHECK(
        add(std::string(name), make_plan(selection.problem, *solution, planning.platform())));
  }
  note("running the plan and " + counted(turns.size() - 1, "baseline") + " for " +
       duration_text(seconds));
  Buffers inputs(network, network.inputs), outputs(network, network.outputs);
  inputs.fill_random(kWeightsSeed);
  TimingOptions timing;
  timing.time = std::chrono::duration<double>(seconds);
  timing.steps = true;
  CONVOPT_TRY(const auto times, time_in_turns(turns, inputs.inputs(), outputs.outputs(), timing));
  measured.steps_ns = times.front().steps_ns;
  for (std::size_t i = 0; i < times.size(); ++i)
    measured.totals_ms[i].second = times[i].median_ns() / 1e6;
  return measured;
}

/// Refuses plans that cannot be run together in the memory that there is.
Result<void> check_memory(const Planning& planning, const Selection& selection, const Plan& plan) {
  std::size_t bytes = 0;
  std::vector<Plan> plans = {plan};
  for (const std::string_view name : {kDefaultName, kSingleName, kGreedyName}) {
    if (const Solution* const solution = baseline(selection, name); solution != nullptr)
      plans.push_back(make_plan(selection.problem, *solution, planning.platform()));
  }
  for (const Plan& of : plans) {
    CONVOPT_TRY(const Schedule schedule,
                make_schedule(planning.network(), of, planning.registry()));
    bytes += memory_of(schedule, planning.registry().context()).total();
  }
  return check_available("--measure: running the plan and its baselines takes", bytes);
}

/// The measured times of the plan and of the baselines beside their predictions.
void add_measured_totals(Report& report, const Measured& measured) {
  const auto total_of = [&](std::string_view beginning) -> ReportTotal* {
    const auto found = std::ranges::find_if(
        report.totals, [&](const ReportTotal& total) { return total.name.starts_with(beginning); });
    return found == report.totals.end() ? nullptr : &*found;
  };
  for (const auto& [name, ms] : measured.totals_ms) {
    ReportTotal* const total = name.empty()           ? &report.totals.front()
                               : name == kDefaultName ? total_of("default of the library")
                               : name == kSingleName  ? total_of("best single primitive")
                                                      : total_of("fastest per layer");
    if (total != nullptr) total->measured_ms = ms;
  }
}

Result<std::optional<Plan>> given_plan(ReportArguments& request) {
  std::optional<Plan> plan;
  if (request.plan.empty()) return plan;
  CONVOPT_TRY(plan, load_plan(request.plan));
  // The plan decides what the options leave open.
  ContextOptions& context = request.planning.context;
  if (context.isa.empty()) context.isa = to_string(plan->platform.isa);
  if (context.threads == 0) {
    if (const int processors = available_processors(); plan->platform.threads > processors) {
      return make_error(ErrorCode::environment,
                        request.plan + " was made for " + std::to_string(plan->platform.threads) +
                            " threads, this process may use " +
                            counted(static_cast<std::size_t>(processors), "processor"));
    }
    context.threads = plan->platform.threads;
  }
  return plan;
}

Result<void> report_action(const CLI::App& verb, ReportArguments request) {
  // Before the plan settles what was left open.
  const std::vector<std::string> lines = commands(verb, request);
  CONVOPT_TRY(const auto given, given_plan(request));
  std::optional<ReportCurves> curves;
  if (!request.transfer_curve.empty()) {
    CONVOPT_TRY(curves, load_curves(request.transfer_curve));
  }
  CONVOPT_TRY(const auto planning, load_planning(request.planning));
  if (given) {
    if (auto fits = check_network(*given, planning->network()); !fits)
      return make_error(fits.error().code, request.plan + ": " + fits.error().message);
  }
  CONVOPT_TRY(const auto selection, planning->select());
  const Plan& plan = given ? *given : selection.plan;
  std::optional<Measured> measured;
  if (request.measures) {
    CONVOPT_CHECK(check_memory(*planning, selection, plan));
    CONVOPT_TRY(measured, measure(*planning, selection, plan, request.time));
  }
  ReportSources sources{selection, plan, planning->platform(), planning->model()};
  if (measured) sources.steps_ns = measured->steps_ns;
  LoadedProfile profile;
  if (planning->model() != nullptr && !planning->profile().empty()) {
    // Planning has read what it has of this network, and told of its warnings.
    CONVOPT_TRY(profile, load_profile(planning->profile()));
    sources.profile = &profile.profile;
  }
  auto gathered = gather(sources);
  if (!gathered && given)
    return make_error(gathered.error().code, request.plan + ": " + gathered.error().message);
  CONVOPT_TRY(Report report, std::move(gathered));
  if (measured) add_measured_totals(report, *measured);
  constexpr double kMuch = 1.5;
  if (const ReportTotal& mine = report.totals.front();
      mine.measured_ms && *mine.measured_ms > kMuch * mine.predicted_ms) {
    report.notes.push_back(
        "The run took " + fixed(*mine.measured_ms / mine.predicted_ms, 1) +
        " times as long as predicted. Was the machine busy? convopt doctor tells what disturbs it; "
        "convopt transfer adapts the model to it.");
  }
  report.plan_file = request.plan;
  report.profile = planning->profile().string();
  // Pages of tests are the same on every day.
  if (!times_are_simulated()) report.made = utc_now("%Y-%m-%d %H:%M UTC");
  report.commands = lines;
  report.curves = std::move(curves);
  if (report.other_machine) {
    report.notes.push_back("The plan was made for another machine, " + plan.platform.id() +
                           ". Its times and the roofline are of that machine; other candidates "
                           "and the fastest families are predicted for this one, " +
                           planning->platform().id() + ".");
  }
  if (planning->network().rest != nullptr) {
    report.notes.push_back(
        "The part of the model behind these layers has data-dependent shapes: "
        "it is not planned and not in these times.");
  }
  return write_output(request.output, to_html(report));
}

}  // namespace

void add_report(CLI::App& app, Action& action) {
  auto request = std::make_shared<ReportArguments>();
  CLI::App* verb = app.add_subcommand("report",
                                      "Makes an HTML report about a plan: where time goes, and "
                                      "what the alternatives of each layer cost.");
  request->planning.add_to(*verb);
  verb->add_option("--plan", request->plan,
                   "Plan file, as `convopt select -o` writes it. Default: makes a plan as `convopt "
                   "select` does with these options.");
  add_text_output(*verb, "-o,--output", request->output,
                  "Writes the page, one HTML file, here; - for standard output.")
      ->required();
  verb->add_option("--transfer-curve", request->transfer_curve,
                   "Shows the curves of this file, as `convopt evaluate --transfer-curve --json` "
                   "prints them.");
  CLI::Option* measures =
      verb->add_flag("--measure", request->measures,
                     "Runs the plan and its baselines on this machine and shows their times.");
  add_duration(*verb, "--time", request->time, "Time for these runs, all together.")
      ->needs(measures);
  verb->callback([&action, request, verb] {
    action = [request, verb] { return report_action(*verb, *request); };
  });
}

}  // namespace convopt::cli
