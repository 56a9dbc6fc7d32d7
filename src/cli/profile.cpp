#include <algorithm>
#include <cmath>
#include <cstdio>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "convopt/network.hpp"
#include "core/text.h"
#include "core/try.h"
#include "profiler/profiler.h"
#include "src/cli/cli.h"
#include "src/cli/interrupt.h"
#include "src/cli/log.h"
#include "src/cli/outputs.h"
#include "src/cli/planning.h"
#include "src/cli/progress.h"
#include "src/cli/values.h"
#include "src/library/primitive_filter.h"
#include "src/library/profiling.h"

namespace convopt::cli {
namespace {

struct ProfileArguments {
  ContextOptions context;
  std::string output, shard;
  TimingMode timing_mode = TimingMode::cold_weights;
  double budget = 0;   ///< seconds; 0: none
  double timeout = 0;  ///< seconds; 0: the profiler's own
  std::vector<std::string> networks, ops;
  PrimitiveFilter filter;
  std::optional<std::size_t> configs;
  std::uint64_t seed = 1;
  int batch = 0;
  std::vector<std::string> shapes, bindings;
  Precision precision = Precision::f32;
  bool dry_run = false, again = false;
};

Error usage(std::string message) { return make_error(ErrorCode::usage, std::move(message)); }

/// The part of a shard "2/8": the second of every eight.
Result<void> read_shard(const std::string& text, ProfileSettings& settings) {
  if (text.empty()) return {};
  const auto parts = split(text, '/');
  const auto index = parse_number<std::size_t>(parts.front());
  const auto count = parse_number<std::size_t>(parts.back());
  if (parts.size() != 2 || !index || !count || *index < 1 || *index > *count) {
    return usage("--shard " + in_quotes(text) + " is not like 2/8");
  }
  settings.shard = *index;
  settings.shards = *count;
  return {};
}

/// Two networks may call different inputs by one name.
Result<void> check_network_options(const ProfileArguments& request) {
  for (const auto& [option, given] : {std::pair{"--shape", !request.shapes.empty()},
                                      std::pair{"--bind", !request.bindings.empty()}}) {
    if (!given || request.networks.size() == 1) continue;
    const std::string name = option;
    return usage(request.networks.empty()
                     ? name + " is for the inputs of a --network, and none is given"
                     : name + " is for the inputs of one --network, " +
                           std::to_string(request.networks.size()) +
                           " are given: profile them one after the other, into the same file");
  }
  return {};
}

Result<ProfileSettings> settings_of(const ProfileArguments& request) {
  ProfileSettings settings;
  CONVOPT_TRY(const Context context, request.context.context());
  settings.isa = context.isa;
  settings.threads = context.threads;
  CONVOPT_CHECK(check_network_options(request));
  CONVOPT_TRY(const auto shapes, parse_shapes(request.shapes));
  CONVOPT_TRY(const auto values, parse_bindings(request.bindings));
  for (const std::string& path : request.networks) {
    CONVOPT_TRY(auto network, load_network(path, request.batch, shapes, values));
    settings.networks.push_back(std::move(network));
  }
  CONVOPT_CHECK(read_shard(request.shard, settings));
  settings.output = request.output;
  settings.timing_mode = request.timing_mode;
  settings.budget = request.budget;
  settings.timeout = request.timeout;
  settings.configs = request.configs;
  settings.batch = std::max(1, request.batch);
  settings.ops = request.ops;
  settings.precision = request.precision;
  settings.allow = request.filter.allow;
  settings.exclude = request.filter.exclude;
  settings.seed = request.seed;
  settings.again = request.again;
  return settings;
}

void print_summary(const ProfileSummary& summary, const std::string& output) {
  std::fprintf(stderr, "%zu of %zu workloads in %s: %zu times", summary.workloads_done,
               summary.workloads_total, format_duration(summary.seconds).c_str(), summary.ok);
  const auto also = [](std::size_t count, const char* what) {
    if (count > 0) std::fprintf(stderr, ", %zu %s", count, what);
  };
  also(summary.censored, "cut short as too slow");
  also(summary.inapplicable, "not applicable");
  also(summary.failed, "failed");
  also(summary.timeout, "without end");
  also(summary.crashed, "crashed");
  also(summary.already_done, "known before");
  std::fprintf(stderr, "\nprofile: %s\n", output.c_str());
}

Result<void> profile_action(const ProfileArguments& request) {
  CONVOPT_TRY(ProfileSettings settings, settings_of(request));
  settings.watch.stop = &stop_on_signal();

  if (request.dry_run) {
    CONVOPT_TRY(const auto estimate, estimate_profile(settings));
    constexpr double kHour = 3600;
    std::printf("%zu workloads, %zu measurements, about %s %s", estimate.workloads,
                estimate.measurements, format_duration(estimate.seconds).c_str(),
                std::lround(estimate.seconds) < kHour ? "min" : "h");
    if (estimate.already_done > 0) std::printf(" (%zu known before)", estimate.already_done);
    std::printf("\n");
    return {};
  }

  Progress progress;
  settings.watch.progress = [&](const ProfileProgress& state) { progress.show(state); };
  const auto summary = profile_machine(settings);
  progress.finish();
  if (!summary) return summary.error();
  warn(summary->warnings);
  if (!is_quiet()) print_summary(*summary, profile_path(settings).string());
  if (summary->disturbed > 0) {
    warn(std::to_string(summary->disturbed) +
         " times were taken while something else slowed the machine down (field \"sentinel\"); a "
         "quiet machine gives better ones with --again");
  }
  if (summary->budget_exhausted && summary->ok + summary->censored == 0) {
    return make_error(ErrorCode::partial,
                      "the budget was used up before anything was timed; the same command with "
                      "a larger --budget continues");
  }
  if (summary->budget_exhausted) note("the budget is used up; the same command continues");
  return {};
}

}  // namespace

void add_profile(CLI::App& app, Action& action) {
  auto request = std::make_shared<ProfileArguments>();
  CLI::App* verb = app.add_subcommand(
      "profile",
      "Times primitives on this machine and stores the times; continues an earlier run.");
  add_output(*verb, "-o,--output", request->output,
             "Profile to append to (JSON Lines). Default: this machine's own profile.");
  add_count(*verb, "--configs", request->configs,
            "Sampled workloads, two thirds of them convolutions. Default: 300, or none with "
            "--network.",
            0, 1000000);
  verb->add_option("--network", request->networks,
                   "Times everything that a plan for this network may consist of. Repeatable.");
  verb->add_option("--ops", request->ops, "Times only these operations, e.g. conv,convert.")
      ->type_name(kOperationType)
      ->delimiter(',')
      ->allow_extra_args(false);
  add_duration(*verb, "--budget", request->budget,
               "Time limit for the whole profile, e.g. 60s, 5m or 1h. Default: none.");
  request->context.add_to(*verb);
  add_input_options(*verb, request->shapes, request->bindings);
  add_batch(*verb, request->batch,
            "Images per batch. Default: 1 for samples, the file's own for networks.");
  add_seed(*verb, request->seed, "Seed of the samples and of the order.");
  add_precision(
      *verb, [&precision = request->precision](Precision named) { precision = named; },
      "f32: single precision alone; bf16, int8, auto: also what plans of that precision "
      "may consist of.");
  verb->add_option(
          "--shard", request->shard,
          "Times part i of n of the workloads, e.g. 2/8; `convopt merge` joins the profiles.")
      ->type_name("I/N");
  add_timing_mode(*verb, request->timing_mode, std::string(kTimingModeHelp) + "cold_weights.");
  verb->add_option("--allow", request->filter.allow, "Times only these primitives or families.")
      ->type_name(kFamilyType)
      ->delimiter(',')
      ->allow_extra_args(false);
  verb->add_option("--exclude", request->filter.exclude,
                   "Times none of these primitives or families.")
      ->type_name(kFamilyType)
      ->delimiter(',')
      ->allow_extra_args(false);
  add_duration(*verb, "--timeout", request->timeout,
               "Time after which a primitive counts as hung and is ended. Default: 20s.");
  verb->add_flag("--again", request->again, "Times again what the profile already holds.");
  verb->add_flag(
      "--dry-run", request->dry_run,
      "Prints the number of measurements and an estimate of their time, and measures nothing.");
  verb->callback([&action, request] { action = [request] { return profile_action(*request); }; });

  CLI::App* worker = app.add_subcommand(kWorkerVerb, "")->group("");
  worker->callback([&action] { action = [] { return run_worker(); }; });
}

}  // namespace convopt::cli
