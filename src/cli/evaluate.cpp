#include "src/tune/evaluate.h"

#include <algorithm>
#include <cstdio>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "profiler/store.h"
#include "src/cli/cli.h"
#include "src/cli/log.h"
#include "src/core/files.h"
#include "src/core/json.h"
#include "src/tune/recorded_model.h"

namespace convopt::cli {
namespace {

struct Request {
  std::filesystem::path model, profile;
  std::vector<std::filesystem::path> networks;
  std::string platform;
  bool json = false;
};

Json to_json(const Evaluation& e) {
  Json json;
  json["schema"] = "convopt.evaluation/1";
  json["platform"] = e.platform.id();
  json["model"] = e.model;
  json["samples"] = e.samples;
  json["mdrae"] = e.mdrae;
  json["within_10_percent"] = e.within_10_percent;
  json["spearman"] = e.spearman;
  json["interval_coverage"] = e.interval_coverage;
  json["regret"] = {{"mean", e.regret.mean},
                    {"p95", e.regret.p95},
                    {"max", e.regret.max},
                    {"sum", e.regret.sum},
                    {"workloads", e.regret.workloads}};
  json["networks"] = Json::array();
  for (const NetworkRegret& n : e.networks) {
    json["networks"].push_back({{"name", n.name},
                                {"regret", n.regret},
                                {"optimum_ms", n.optimum_ms},
                                {"chosen_ms", n.chosen_ms},
                                {"optimal", n.optimal}});
  }
  json["primitives"] = Json::array();
  for (const PrimitiveError& p : e.primitives) {
    json["primitives"].push_back({{"name", p.name}, {"mdrae", p.mdrae}, {"samples", p.samples}});
  }
  return json;
}

void print(const Evaluation& e) {
  std::printf("model %s on %s, %zu times\n\n", e.model.c_str(), e.platform.id().c_str(), e.samples);
  if (!e.networks.empty()) {
    std::printf("%-20s %10s %14s %14s\n", "network", "regret", "chosen", "optimum");
    double sum = 0, worst = 1;
    for (const NetworkRegret& n : e.networks) {
      std::printf("%-20s %10.4f %14s %14s%s\n", n.name.c_str(), n.regret,
                  format_time(n.chosen_ms * 1e6).c_str(), format_time(n.optimum_ms * 1e6).c_str(),
                  n.optimal ? "" : "  (not proven optimal)");
      sum += n.regret;
      worst = std::max(worst, n.regret);
    }
    std::printf("%-20s %10.4f   worst %.4f\n\n", "mean", sum / double(e.networks.size()), worst);
  }
  std::printf("single convolutions   regret %.4f in all, mean %.4f, 95 %% %.4f, worst %.4f (%zu)\n",
              e.regret.sum, e.regret.mean, e.regret.p95, e.regret.max, e.regret.workloads);
  std::printf("median error          %.1f %%\n", 100 * e.mdrae);
  std::printf("within 10 %%           %.1f %%\n", 100 * e.within_10_percent);
  std::printf("rank correlation      %.4f\n", e.spearman);
  std::printf("90 %% intervals        %.1f %% covered\n\n", 100 * e.interval_coverage);
  std::printf("%-48s %10s %8s\n", "primitives with the largest errors", "median", "times");
  constexpr std::size_t kShown = 10;
  for (std::size_t i = 0; i < std::min(kShown, e.primitives.size()); ++i) {
    const PrimitiveError& p = e.primitives[i];
    std::printf("%-48s %8.1f %% %8zu\n", p.name.c_str(), 100 * p.mdrae, p.samples);
  }
}

std::vector<std::filesystem::path> shipped_networks() {
  std::vector<std::filesystem::path> paths;
  std::error_code error;
  for (const auto& entry :
       std::filesystem::directory_iterator(shipped_data_dir() / "networks", error)) {
    if (entry.path().extension() == ".json") paths.push_back(entry.path());
  }
  std::ranges::sort(paths);
  return paths;
}

Result<Platform> choose_platform(const Profile& profile, TimingMode mode, const Request& request) {
  const std::vector<Platform> platforms = measured_platforms(profile, mode);
  if (platforms.empty()) {
    return make_error(ErrorCode::bad_input, "profile '" + request.profile.string() +
                                                "' holds no times in the model's timing mode, " +
                                                std::string(to_string(mode)));
  }
  if (request.platform.empty()) {
    if (platforms.size() > 1) {
      note("the profile holds " + std::to_string(platforms.size()) + " platforms; taken is " +
           platforms.front().id() + " (--platform)");
    }
    return platforms.front();
  }
  std::string names;
  for (const Platform& platform : platforms) {
    if (platform.id() == request.platform) return platform;
    names += (names.empty() ? "" : ", ") + platform.id();
  }
  return make_error(ErrorCode::usage, "--platform " + request.platform +
                                          " is not in the profile, which has " + names);
}

/// A model, or an earlier profile in its place; then only what it holds is left of `judge`.
Result<std::unique_ptr<PerformanceModel>> load_judged(const std::filesystem::path& path,
                                                      Profile& judge) {
  auto model = load_model(path);
  if (model) return model;
  const auto earlier = load_profile(path);
  if (!earlier) return model.error();
  warn(earlier->warnings);
  auto recorded = RecordedModel::create(earlier->profile);
  if (!recorded) return recorded.error();
  judge = (*recorded)->known_part(judge);
  return std::unique_ptr<PerformanceModel>(std::move(*recorded));
}

Result<void> evaluate_action(const Request& request) {
  auto loaded = load_profile(request.profile);
  if (!loaded) return loaded.error();
  warn(loaded->warnings);
  const auto model = load_judged(request.model, loaded->profile);
  if (!model) return model.error();
  const auto platform = choose_platform(loaded->profile, (*model)->info().timing_mode, request);
  if (!platform) return platform.error();
  std::vector<Network> networks;
  for (const auto& path : request.networks.empty() ? shipped_networks() : request.networks) {
    auto network = load_network(path);
    if (!network) return network.error();
    networks.push_back(std::move(*network));
  }
  const auto evaluation = evaluate(**model, loaded->profile, *platform, networks);
  if (!evaluation) return evaluation.error();
  if (!request.networks.empty() && !evaluation->skipped.empty()) {
    return make_error(ErrorCode::bad_input,
                      "the profile cannot price the network " + evaluation->skipped.front());
  }
  if (request.json) return write_output("", to_json(*evaluation).dump(2) + "\n");
  if (!evaluation->skipped.empty()) {
    note(std::to_string(evaluation->skipped.size()) +
         " shipped networks are not fully in the profile");
  }
  print(*evaluation);
  return {};
}

}  // namespace

void add_evaluate(CLI::App& app, Action& action) {
  auto request = std::make_shared<Request>();
  CLI::App* verb = app.add_subcommand(
      "evaluate", "Judges a model by a profile: what choosing by it costs, and how far it is off.");
  verb->add_option("model", request->model,
                   "The model; or an earlier profile of the same, which tells how good a model "
                   "could be.")
      ->required();
  verb->add_option("profile", request->profile, "The profile to judge by.")->required();
  verb->add_option("--network", request->networks,
                   "Network to plan and price, all of its times in the profile. Repeatable. "
                   "Default: those shipped of which that is true.");
  verb->add_option("--platform", request->platform,
                   "Which platform of the profile. Default: the one with the most times.");
  verb->add_flag("--json", request->json, "Prints one JSON document instead of the tables.");
  verb->callback([&action, request] { action = [request] { return evaluate_action(*request); }; });
}

}  // namespace convopt::cli
