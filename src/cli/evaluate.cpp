#include "src/tune/evaluate.h"

#include <algorithm>
#include <cstdio>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "core/files.h"
#include "core/json.h"
#include "core/text.h"
#include "core/try.h"
#include "profiler/store.h"
#include "src/cli/cli.h"
#include "src/cli/log.h"
#include "src/cli/outputs.h"
#include "src/cli/values.h"
#include "src/library/evaluation.h"
#include "src/tune/curve_plot.h"
#include "src/tune/platform_holdout.h"

namespace convopt::cli {
namespace {

/// Shipped profiles with this part in their names, in order.
std::vector<std::filesystem::path> shipped_profiles(const std::string& part) {
  std::vector<std::filesystem::path> paths;
  std::error_code error;
  for (const auto& entry :
       std::filesystem::directory_iterator(shipped_data_dir() / "profiles", error)) {
    if (entry.path().filename().string().find(part) != std::string::npos)
      paths.push_back(entry.path());
  }
  std::ranges::sort(paths);
  return paths;
}

struct EvaluateArguments {
  std::filesystem::path model;
  std::vector<std::filesystem::path> profiles;
  std::vector<std::filesystem::path> networks;
  std::string platform;
  double refine = 0;  ///< seconds
  bool json = false;
  bool curve = false, select_samples = false;
  int draws = 10;
  std::uint64_t seed = 1;
  std::vector<std::size_t> shapes;
  std::vector<std::string> methods;
  std::filesystem::path svg;
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
    Json network = {{"name", n.name},
                    {"regret", n.regret},
                    {"optimum_ms", n.optimum_ms},
                    {"chosen_ms", n.chosen_ms},
                    {"optimal", n.optimal}};
    if (n.refined) {
      network["refined"] = {{"regret", n.refined->regret},
                            {"ms", n.refined->ms},
                            {"seconds", n.refined->seconds},
                            {"timed", n.refined->timed},
                            {"settled", n.refined->settled}};
    }
    json["networks"].push_back(std::move(network));
  }
  json["primitives"] = Json::array();
  for (const PrimitiveError& p : e.primitives) {
    json["primitives"].push_back({{"name", p.name}, {"mdrae", p.mdrae}, {"samples", p.samples}});
  }
  return json;
}

void print_networks(const std::vector<NetworkRegret>& networks) {
  const bool refined = networks.front().refined.has_value();
  std::printf("%-20s %10s %14s %14s", "network", "regret", "chosen", "optimum");
  std::printf(refined ? " %10s %10s %8s\n" : "\n", "refined", "after", "timed");
  struct Total {
    double sum = 0, worst = 1;
    void add(double regret) {
      sum += regret;
      worst = std::max(worst, regret);
    }
  } chosen, refinement;
  for (const NetworkRegret& n : networks) {
    std::printf("%-20s %10.4f %14s %14s", n.name.c_str(), n.regret,
                format_time(n.chosen_ms * 1e6).c_str(), format_time(n.optimum_ms * 1e6).c_str());
    chosen.add(n.regret);
    if (n.refined) {
      std::printf(" %10.4f %8.1f s %8zu", n.refined->regret, n.refined->seconds, n.refined->timed);
      refinement.add(n.refined->regret);
    }
    std::printf("%s\n", n.optimal ? "" : "  (not proven optimal)");
  }
  const auto count = static_cast<double>(networks.size());
  std::printf("%-20s %10.4f   worst %.4f\n", "mean", chosen.sum / count, chosen.worst);
  if (refined) {
    std::printf("%-20s %10.4f   worst %.4f\n", "refined", refinement.sum / count, refinement.worst);
  }
  std::printf("\n");
}

void print(const Evaluation& e) {
  std::printf("model %s on %s, %zu times\n\n", e.model.c_str(), e.platform.id().c_str(), e.samples);
  if (!e.networks.empty()) print_networks(e.networks);
  if (e.regret.workloads == 0) {
    std::printf("single convolutions   none in the profile\n");
  } else {
    std::printf(
        "single convolutions   regret %.4f in all, mean %.4f, 95 %% %.4f, worst %.4f (%zu)\n",
        e.regret.sum, e.regret.mean, e.regret.p95, e.regret.max, e.regret.workloads);
  }
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

Json to_json(const Curve& curve) {
  Json json;
  json["platform"] = curve.platform;
  json["sources"] = curve.sources;
  json["shapes"] = curve.shapes;
  json["primitives"] = curve.primitives;
  json["networks"] = curve.networks;
  json["draws"] = curve.draws;
  json["curve"] = Json::array();
  // Of plans where the profile holds networks, else of the shapes left.
  const bool plans = curve.networks > 0;
  for (const CurvePoint& p : curve.points) {
    Json point = {{"method", p.method},
                  {"shapes", p.shapes},
                  {"draws", curve.draws},
                  {"mdrae", p.error},
                  {"worst_mdrae", p.worst_error},
                  {"spearman", p.spearman},
                  {"regret_mean", plans ? p.network_regret : p.regret},
                  {"regret_max", plans ? p.worst_network_regret : p.worst_regret},
                  {"shape_regret_mean", p.regret},
                  {"shape_regret_max", p.worst_regret},
                  {"profile_seconds", p.profile_seconds}};
    if (plans) point["regret_worst_draw"] = p.worst_draw_network_regret;
    if (!p.kept.empty()) {
      point["kept"] = p.kept;
      point["seconds"] = p.seconds;
    }
    json["curve"].push_back(std::move(point));
  }
  return json;
}

void print(const Curve& curve) {
  std::printf("%s, learnt from", curve.platform.c_str());
  for (const std::string& source : curve.sources) std::printf(" %s", source.c_str());
  std::printf("\n%zu shapes, %zu primitives, %d draws; evaluated on the shapes left", curve.shapes,
              curve.primitives, curve.draws);
  if (curve.networks > 0) std::printf(" and on plans of %zu networks", curve.networks);
  std::printf("\n\n  %-22s %7s %10s %9s %8s %8s %11s", "", "shapes", "error", "(worst)", "regret",
              "(worst)", "rank corr.");
  if (curve.networks > 0) std::printf(" %9s %8s %8s", "networks", "(draw)", "(worst)");
  std::printf("\n");
  for (const CurvePoint& p : curve.points) {
    std::printf("  %-22s %7zu %8.1f %% %7.1f %% %8.4f %8.4f %11.4f", p.method.c_str(), p.shapes,
                100 * p.error, 100 * p.worst_error, p.regret, p.worst_regret, p.spearman);
    if (curve.networks > 0) {
      std::printf(" %9.4f %8.4f %8.4f", p.network_regret, p.worst_draw_network_regret,
                  p.worst_network_regret);
    }
    if (!p.kept.empty()) {
      std::printf("  %.2f s;", p.seconds);
      for (const auto& [method, count] : p.kept) std::printf(" %s %d", method.c_str(), count);
    }
    std::printf("\n");
  }
  std::printf("\n");
}

Result<std::vector<Network>> networks_of(const EvaluateArguments& request) {
  return evaluation_networks(request.networks);
}

Result<CurveOptions> curve_options(const EvaluateArguments& request) {
  CurveOptions options;
  options.draws = request.draws;
  options.seed = request.seed;
  options.threads = default_threads();
  options.select_samples = request.select_samples;
  if (!request.shapes.empty()) options.shapes = request.shapes;
  if (request.methods.empty()) return options;
  options.methods.clear();
  for (const std::string& name : request.methods) {
    const auto method = method_named(name);
    if (!method) {
      return make_error(ErrorCode::usage, "--method: '" + name +
                                              "' is no method; convopt transfer --help lists them");
    }
    options.methods.push_back(*method);
  }
  std::ranges::sort(options.methods);
  return options;
}

/// Noise floor: mean regret over networks of plans by one of the shipped profiles, with a repeat of
/// it as the truth; none if the curve is of other profiles.
Result<std::optional<double>> noise_floor(const EvaluateArguments& request) {
  if (!request.model.empty()) return std::optional<double>();
  double sum = 0, count = 0;
  for (const std::filesystem::path& repeat : shipped_profiles(".repeat.")) {
    EvaluationSettings settings;
    settings.model =
        std::string(repeat).replace(repeat.string().rfind(".repeat."), 8, ".networks.");
    settings.profile = repeat;
    CONVOPT_TRY(const Evaluation repeated, evaluate_model(settings));
    for (const NetworkRegret& network : repeated.networks) {
      sum += network.regret;
      count += 1;
    }
  }
  return count > 0 ? std::optional(sum / count) : std::nullopt;
}

Result<void> print_curves(const std::vector<Curve>& curves, const EvaluateArguments& request) {
  if (request.json) {
    Json json;
    json["schema"] = "convopt.transfer_curve/1";
    CONVOPT_TRY(const auto floor, noise_floor(request));
    json["noise_floor_regret"] = floor ? Json(*floor) : Json();
    json["platforms"] = Json::array();
    for (const Curve& curve : curves) json["platforms"].push_back(to_json(curve));
    return write_output("", json.dump(2) + "\n");
  }
  for (const Curve& curve : curves) print(curve);
  return {};
}

Result<void> curve_action(const EvaluateArguments& request) {
  CONVOPT_TRY(CurveOptions options, curve_options(request));
  CONVOPT_TRY(const std::vector<Network> networks, networks_of(request));
  options.networks = networks;

  std::vector<std::filesystem::path> paths = request.profiles;
  std::unique_ptr<TrainedModel> model;
  if (request.model.empty()) {
    for (const char* part : {".samples.", ".networks."}) {
      for (auto& path : shipped_profiles(part)) paths.push_back(std::move(path));
    }
  } else if (auto loaded = TrainedModel::load(request.model)) {
    model = std::move(*loaded);
  } else {
    // A file that is neither was probably meant to be a model, so the model's error is shown.
    if (!load_profile(request.model)) return loaded.error();
    paths.insert(paths.begin(), request.model);
  }
  if (paths.empty()) {
    return make_error(ErrorCode::usage,
                      request.model.empty()
                          ? "no profiles are installed here to draw a curve of: name some"
                          : "a curve of a model needs a profile to adapt it to");
  }
  std::vector<Profile> profiles;
  for (const auto& path : paths) {
    CONVOPT_TRY(LoadedProfile loaded, load_profile(path));
    warn(loaded.warnings);
    profiles.push_back(std::move(loaded.profile));
  }
  CONVOPT_TRY(const std::vector<Curve> curves,
              transfer_curves(model.get(), by_platform(profiles), request.platform, options));
  if (curves.empty()) {
    return make_error(ErrorCode::usage,
                      "--platform " + request.platform + " is in none of the profiles");
  }
  CONVOPT_CHECK(print_curves(curves, request));
  return request.svg.empty() ? Result<void>()
                             : write_file_atomically(request.svg, curve_svg(curves));
}

Result<void> evaluate_action(const EvaluateArguments& request) {
  if (request.curve) return curve_action(request);
  if (request.model.empty()) return make_error(ErrorCode::usage, "which model, on which profile?");
  if (request.profiles.size() != 1) {
    return make_error(ErrorCode::usage, "a model is evaluated on one profile");
  }
  EvaluationSettings settings;
  settings.model = request.model;
  settings.profile = request.profiles.front();
  settings.networks = request.networks;
  settings.platform = request.platform;
  settings.refine = request.refine;
  settings.messages = messages();
  CONVOPT_TRY(const Evaluation evaluation, evaluate_model(settings));
  if (request.json) return write_output("", to_json(evaluation).dump(2) + "\n");
  if (!evaluation.skipped.empty()) {
    note(counted(evaluation.skipped.size(), "shipped network") +
         " left out, since the profile lacks some of their times");
  }
  print(evaluation);
  return {};
}

}  // namespace

void add_evaluate(CLI::App& app, Action& action) {
  auto request = std::make_shared<EvaluateArguments>();
  CLI::App* verb = app.add_subcommand(
      "evaluate",
      "Evaluates a model on a profile: regret of its choices and errors of its predictions.");
  verb->add_option("model", request->model,
                   "The model, or an earlier profile of the same platform, which shows the noise "
                   "floor. With --transfer-curve also a profile like the others: models are then "
                   "trained on all platforms but one. Default there: all shipped profiles.");
  verb->add_option("profile", request->profiles,
                   "The profile to evaluate on; several for the curve.");
  verb->add_option("--network", request->networks,
                   "Network to plan, with all of its times in the profile. Repeatable. Default: "
                   "the shipped networks that are complete in the profile.");
  verb->add_option("--platform", request->platform,
                   "Platform of the profile. Default: the one with the most times.")
      ->type_name(kWordType);
  CLI::Option* refine = add_duration(
      *verb, "--refine", request->refine,
      "Also refines the plans for this long, as select --refine does, with the profile's times.");
  CLI::Option* curve = verb->add_flag(
      "--transfer-curve", request->curve,
      "Compares the methods of adapting to an unseen platform, by the number of shapes timed.");
  curve->excludes(refine);
  add_count(*verb, "--draws", request->draws, "Random choices of shapes per number. Default: 10.",
            1, 1000)
      ->needs(curve);
  add_count(*verb, "--shapes", request->shapes, "Numbers of shapes. Default: 0,1,3,10,30,100.", 0,
            1000000)
      ->delimiter(',')
      ->needs(curve);
  verb->add_flag("--select-samples,--by-coverage", request->select_samples,
                 "Selects shapes as transfer does, the most representative first, out of a random "
                 "half, instead of random ones. --by-coverage is the earlier name.")
      ->needs(curve);
  verb->add_option("--method", request->methods, "Only this method. Repeatable. Default: all.")
      ->type_name(kMethodType)
      ->needs(curve);
  add_output(*verb, "--svg", request->svg, "Draws the curves into this file.")->needs(curve);
  add_seed(*verb, request->seed, "Seed of draws, folds and trees.")->needs(curve);
  verb->add_flag("--json", request->json, "Prints one JSON document instead of the tables.");
  verb->callback([&action, request] { action = [request] { return evaluate_action(*request); }; });
}

}  // namespace convopt::cli
