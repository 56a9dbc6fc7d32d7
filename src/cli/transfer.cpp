#include "src/tune/transfer.h"

#include <algorithm>
#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include "core/text.h"
#include "core/try.h"
#include "src/cli/cli.h"
#include "src/cli/interrupt.h"
#include "src/cli/log.h"
#include "src/cli/models.h"
#include "src/cli/outputs.h"
#include "src/cli/progress.h"
#include "src/cli/values.h"
#include "src/library/transfer.h"

namespace convopt::cli {
namespace {

struct TransferArguments {
  ContextOptions context;
  std::filesystem::path from, profile, output;
  std::vector<std::filesystem::path> networks;
  double budget = 30;  ///< seconds
  std::uint64_t seed = 1;
  bool json = false, forget = false;
};

/// One line per method, for --help.
std::string methods_text() {
  std::string text = "Methods that are compared by cross-validation on the new times:\n";
  for (const TransferMethod method : kTransferMethods) {
    std::string name(to_string(method));
    name.resize(std::max<std::size_t>(name.size(), 22), ' ');
    text.append("  ").append(name).append("  ").append(description(method)).append("\n");
  }
  return text;
}

Json to_json(const TransferOutcome& outcome, const std::string& source,
             const std::filesystem::path& output) {
  Json json;
  json["schema"] = "convopt.transfer/1";
  json["source"] = source;
  json["profile"] = outcome.profile.string();
  json["profile_seconds"] = outcome.profile_seconds;
  json["shapes"] = outcome.transfer.shapes;
  json["samples"] = outcome.transfer.samples;
  json["candidates"] = Json::array();
  for (const TransferCandidate& candidate : outcome.transfer.candidates) {
    Json entry = {{"method", to_string(candidate.method)}, {"chosen", candidate.chosen}};
    entry["compared"] = candidate.loss > 0;
    entry["weight"] = candidate.weight;
    if (candidate.loss > 0) {
      entry.update(cli::to_json(candidate.scores));
      entry["loss"] = candidate.loss;
    }
    json["candidates"].push_back(std::move(entry));
  }
  json["model"] = cli::to_json(*outcome.transfer.model, output);
  json["written"] = !output.empty();
  return json;
}

bool is_compared(const Transfer& transfer) {
  return transfer.candidates.size() > 1 && transfer.candidates.front().loss > 0;
}

/// Of a transfer after which times are predicted as before.
Error nothing_written(const TransferOutcome& outcome) {
  return make_error(ErrorCode::partial, std::string("no model is written: ") +
                                            (is_compared(outcome.transfer)
                                                 ? "none is better than the one it started from"
                                                 : "too few shapes were timed to tell whether one "
                                                   "is better; a larger --budget times more") +
                                            "; the times are kept in '" + outcome.profile.string() +
                                            "', and --output writes the model anyhow");
}

void print(const TransferOutcome& outcome, const std::filesystem::path& output) {
  const Transfer& transfer = outcome.transfer;
  std::printf("%s: %zu times of %zu shapes\n", outcome.platform.id().c_str(), transfer.samples,
              transfer.shapes);
  if (!is_compared(transfer)) {
    std::printf("too few shapes to compare methods of adaptation\n");
  } else {
    // The first column decides: a mean error weighted towards each shape's fastest primitives.
    std::printf("on shapes held out:\n  %-22s %14s %14s %12s %10s\n", "", "weighted error",
                "median error", "within 10 %", "regret");
    for (const TransferCandidate& candidate : transfer.candidates) {
      if (candidate.loss <= 0) {
        std::printf("  %-22s %14s\n", std::string(to_string(candidate.method)).c_str(),
                    "not compared");
        continue;
      }
      const std::string weight =
          candidate.weight > 0 ? "  " + fixed(100 * candidate.weight, 0) + " % of the ensemble"
                               : "";
      std::printf("  %-22s %12.1f %% %12.1f %% %10.1f %% %10.4f%s\n",
                  std::string(to_string(candidate.method)).c_str(), 100 * candidate.loss,
                  100 * candidate.scores.mdrae, 100 * candidate.scores.within_10_percent,
                  candidate.scores.regret, candidate.chosen ? "  <- chosen" : weight.c_str());
    }
  }
  if (output.empty()) return;
  if (!transfer.better_choices()) {
    std::printf("on these shapes its choices are no better than the source's\n");
  }
  std::printf("model %s (%s)\nwritten to %s\n", transfer.model->info().id.c_str(),
              transfer.model->base().parts().method.c_str(), output.string().c_str());
}

Result<void> forget(const Context& context) {
  CONVOPT_TRY(const auto model, forget_transfer(context.isa, context.threads));
  if (model.empty()) {
    note("there is no model of this machine's own to forget");
  } else {
    note("removed '" + model.string() +
         "': times are predicted by the shipped model again; times that were measured stay");
  }
  return {};
}

Result<void> transfer_action(const TransferArguments& request) {
  CONVOPT_TRY(const auto context, request.context.context());
  if (request.forget) return forget(context);
  TransferSettings settings;
  settings.isa = context.isa;
  settings.threads = context.threads;
  settings.from = request.from;
  settings.profile = request.profile;
  settings.output = request.output;
  settings.networks = request.networks;
  settings.budget = request.budget;
  settings.seed = request.seed;
  settings.messages = messages();
  Progress progress;
  settings.watch.progress = [&](const ProfileProgress& state) { progress.show(state); };
  const auto transferred =
      transfer_and_save(settings, profile_first, [&](const TrainedModel& model, const auto& path) {
        progress.finish();
        return save(model, path);
      });
  progress.finish();
  if (!transferred) return transferred.error();
  const auto& [outcome, output, source] = *transferred;
  if (request.json) {
    CONVOPT_CHECK(write_output("", to_json(outcome, source, output).dump(2) + "\n"));
  } else {
    print(outcome, output);
  }
  if (output.empty()) return nothing_written(outcome);
  return {};
}

}  // namespace

void add_transfer(CLI::App& app, Action& action) {
  auto request = std::make_shared<TransferArguments>();
  CLI::App* verb = app.add_subcommand(
      "transfer",
      "Adapts a model to this machine by a short profile, and reports its accuracy. Exit code "
      "5 if no model is written because none is better.");
  verb->footer(methods_text());
  verb->add_option("--from", request->from, "Model to start from. Default: the shipped one.");
  CLI::Option* profile = verb->add_option("--profile", request->profile,
                                          "Uses the times of this profile and measures nothing.");
  add_duration(*verb, "--budget", request->budget, "Time to profile here, e.g. 30s or 5m.")
      ->excludes(profile);
  verb->add_option("--network", request->networks,
                   "Spends half of the time on primitives that could change the plan of this "
                   "network. Repeatable.")
      ->allow_extra_args(false)
      ->excludes(profile);
  add_output(*verb, "-o,--output", request->output,
             "The model to write (.ubj). Default: this machine's own model.");
  verb->add_flag("--forget", request->forget,
                 "Removes this machine's own model, and does nothing else.");
  request->context.add_to(*verb);
  add_seed(*verb, request->seed, "Seed of samples, folds and trees.");
  verb->add_flag("--json", request->json, "Prints one JSON document instead of the table.");
  verb->callback([&action, request] { action = [request] { return transfer_action(*request); }; });
}

}  // namespace convopt::cli
