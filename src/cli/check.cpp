#include <cstdio>
#include <memory>
#include <string>

#include "convopt/profiling.hpp"
#include "core/json.h"
#include "core/text.h"
#include "core/try.h"
#include "src/cli/cli.h"
#include "src/cli/interrupt.h"
#include "src/cli/progress.h"
#include "src/cli/values.h"

namespace convopt::cli {
namespace {

struct CheckArguments {
  ContextOptions context;
  CheckSettings check;
  bool json = false;
};

Json to_json(const Check& check) {
  Json json;
  json["schema"] = "convopt.check/1";
  json["verdict"] = to_string(check.verdict);
  json["median_ratio"] = check.median_ratio;
  json["spread"] = check.spread;
  json["model_mdrae"] = check.model_mdrae;
  json["updated_libraries"] = check.updated_libraries;
  json["missing"] = check.missing;
  json["points"] = Json::array();
  for (const CheckPoint& point : check.points) {
    json["points"].push_back({{"workload", point.workload},
                              {"primitive", point.primitive},
                              {"before_ns", point.before_ns},
                              {"now_ns", point.now_ns},
                              {"predicted_ns", point.predicted_ns}});
  }
  return json;
}

void print(const Check& check) {
  std::printf("%-62s %10s %10s %7s\n", "workload", "before", "now", "ratio");
  for (const CheckPoint& point : check.points) {
    std::printf("%-62s %10s %10s %7.3f\n", point.workload.c_str(),
                format_time(point.before_ns).c_str(), format_time(point.now_ns).c_str(),
                point.ratio());
  }
  std::printf("now over before: median %.3f, spread %.1f %%\n", check.median_ratio,
              100 * check.spread);
  if (check.model_mdrae > 0) {
    std::printf("the model's median error on these points: %.1f %%\n", 100 * check.model_mdrae);
  }
  if (!check.missing.empty()) {
    std::printf("compared are %s, because %s\n", counted(check.points.size(), "point").c_str(),
                check.missing.c_str());
  }
  for (const std::string& update : check.updated_libraries) {
    std::printf("updated since: %s\n", update.c_str());
  }
  if (check.verdict == Verdict::holds) std::printf("profile, model and plans still hold\n");
}

Result<void> check_action(const CheckArguments& request) {
  CONVOPT_TRY(const auto context, request.context.context());
  CheckSettings settings = request.check;
  settings.isa = context.isa;
  settings.threads = context.threads;
  settings.messages = messages();
  settings.watch.stop = &stop_on_signal();
  Progress progress;
  settings.watch.progress = [&](const ProfileProgress& state) { progress.show(state); };
  const auto result = check_profile(settings);
  progress.finish();
  // What it measured was for the moment.
  if (!result && result.error().code == ErrorCode::interrupted)
    return make_error(ErrorCode::interrupted, "interrupted; nothing is kept");
  if (!result) return result.error();
  if (request.json) {
    auto written = write_output("", to_json(*result).dump(2) + "\n");
    if (!written) return written;
  } else {
    print(*result);
  }
  switch (result->verdict) {
    case Verdict::holds:
      return {};
    case Verdict::shifted:
      return make_error(ErrorCode::verification_failed,
                        "times have changed by one factor: choices hold, predicted times do not; "
                        "if it stays so, run convopt transfer");
    case Verdict::changed:
      return make_error(ErrorCode::verification_failed,
                        "primitives have changed against each other: run convopt profile --again "
                        "and convopt transfer");
    case Verdict::unknown:
      return make_error(ErrorCode::partial, "too few points to tell whether times still hold: " +
                                                result->missing + "; convopt profile adds some");
  }
  return {};
}

}  // namespace

void add_check(CLI::App& app, Action& action) {
  auto request = std::make_shared<CheckArguments>();
  CLI::App* verb = app.add_subcommand("check",
                                      "Measures a few points of the local profile again, and says "
                                      "whether the profile is still valid.");
  verb->add_option("--model", request->check.model,
                   "Model to evaluate as well. Default: this machine's own, if there is one.");
  verb->add_option("--profile", request->check.profile,
                   "Profile to compare with. Default: this machine's own.");
  add_count(*verb, "--points", request->check.points, "Number of points. Default: 10.",
            kPointsToTell, 1000);
  request->context.add_to(*verb);
  verb->add_flag("--json", request->json, "Prints one JSON document instead of the table.");
  verb->callback([&action, request] { action = [request] { return check_action(*request); }; });
}

}  // namespace convopt::cli
