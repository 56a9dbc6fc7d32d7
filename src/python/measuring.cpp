// Profiling, training, transfer and evaluation for Python.
#include <pybind11/stl.h>
#include <pybind11/stl/filesystem.h>

#include "convopt/profiling.hpp"
#include "convopt/transfer.hpp"
#include "src/python/bindings.h"
#include "src/python/watching.h"

namespace convopt::python {
namespace {

using Path = std::filesystem::path;

/// Runs `work` without the interpreter's lock, heeding Ctrl-C and the progress function.
template <class Settings, class Work>
auto watched(Settings& settings, const py::object& progress,
             const std::vector<std::string>& worker_command, const Work& work) {
  Watcher watcher(progress);
  settings.watch = watcher.watch(worker_command);
  auto result = [&] {
    const py::gil_scoped_release release;
    return work(settings);
  }();
  watcher.finish();
  return value_of(std::move(result));
}

py::dict dict_of(const ModelScores& scores) {
  py::dict dict;
  dict["mdrae"] = scores.mdrae;
  dict["within_10_percent"] = scores.within_10_percent;
  dict["spearman"] = scores.spearman;
  dict["regret"] = scores.regret;
  return dict;
}

py::dict dict_of(const ProfileSummary& summary) {
  py::dict dict;
  dict["workloads_done"] = summary.workloads_done;
  dict["workloads_total"] = summary.workloads_total;
  dict["ok"] = summary.ok;
  dict["censored"] = summary.censored;
  dict["inapplicable"] = summary.inapplicable;
  dict["failed"] = summary.failed;
  dict["timeout"] = summary.timeout;
  dict["crashed"] = summary.crashed;
  dict["already_done"] = summary.already_done;
  dict["disturbed"] = summary.disturbed;
  dict["samples"] = summary.samples;
  dict["lost_samples"] = summary.lost_samples;
  dict["given_up"] = summary.given_up;
  dict["budget_exhausted"] = summary.budget_exhausted;
  dict["seconds"] = summary.seconds;
  return dict;
}

py::dict dict_of(const ProfileEstimate& estimate) {
  py::dict dict;
  dict["workloads"] = estimate.workloads;
  dict["measurements"] = estimate.measurements;
  dict["already_done"] = estimate.already_done;
  dict["seconds"] = estimate.seconds;
  return dict;
}

py::dict dict_of(const TransferReport& report) {
  py::dict dict;
  dict["platform"] = report.platform;
  dict["model"] = report.model.string();
  dict["model_id"] = report.model_id;
  dict["profile"] = report.profile.string();
  dict["seconds"] = report.seconds;
  dict["shapes"] = report.shapes;
  dict["samples"] = report.samples;
  py::list methods;
  for (const TransferReport::Method& method : report.methods) {
    py::dict entry = dict_of(method.scores);
    entry["method"] = method.name;
    entry["description"] = method.description;
    entry["loss"] = method.loss;
    entry["chosen"] = method.chosen;
    methods.append(entry);
  }
  dict["methods"] = methods;
  return dict;
}

py::dict dict_of(const TrainingReport& report) {
  py::dict dict;
  dict["model"] = report.model.string();
  dict["model_id"] = report.model_id;
  dict["platforms"] = report.platforms;
  dict["samples"] = report.samples;
  dict["workloads"] = report.workloads;
  dict["primitives"] = report.primitives;
  dict["holdout"] = dict_of(report.scores);
  dict["interval_coverage"] = report.interval_coverage;
  py::list types;
  for (const TrainingReport::OfType& own : report.types) {
    py::dict entry = dict_of(own.scores);
    entry["type"] = numpy_name(own.type);
    entry["samples"] = own.samples;
    types.append(entry);
  }
  dict["types"] = types;
  return dict;
}

py::dict dict_of(const Check& check) {
  py::dict dict;
  dict["verdict"] = std::string(to_string(check.verdict));
  dict["median_ratio"] = check.median_ratio;
  dict["spread"] = check.spread;
  dict["model_mdrae"] = check.model_mdrae;
  dict["updated_libraries"] = check.updated_libraries;
  dict["missing"] = check.missing;
  py::list points;
  for (const CheckPoint& point : check.points) {
    py::dict entry;
    entry["workload"] = point.workload;
    entry["primitive"] = point.primitive;
    entry["before_ms"] = point.before_ns / 1e6;
    entry["now_ms"] = point.now_ns / 1e6;
    entry["predicted_ms"] =
        point.predicted_ns > 0 ? py::cast(point.predicted_ns / 1e6) : py::none();
    points.append(entry);
  }
  dict["points"] = points;
  return dict;
}

py::dict dict_of(const NetworkRegret& network) {
  py::dict dict;
  dict["name"] = network.name;
  dict["regret"] = network.regret;
  dict["chosen_ms"] = network.chosen_ms;
  dict["optimum_ms"] = network.optimum_ms;
  if (network.refined) {
    dict["refined_regret"] = network.refined->regret;
    dict["refined_ms"] = network.refined->ms;
    dict["refined_seconds"] = network.refined->seconds;
  }
  return dict;
}

py::dict dict_of(const Evaluation& evaluation) {
  py::dict dict;
  dict["platform"] = evaluation.platform.id();
  dict["model"] = evaluation.model;
  dict["samples"] = evaluation.samples;
  dict["mdrae"] = evaluation.mdrae;
  dict["within_10_percent"] = evaluation.within_10_percent;
  dict["spearman"] = evaluation.spearman;
  dict["interval_coverage"] = evaluation.interval_coverage;
  py::dict regret;
  regret["mean"] = evaluation.regret.mean;
  regret["p95"] = evaluation.regret.p95;
  regret["max"] = evaluation.regret.max;
  regret["sum"] = evaluation.regret.sum;
  regret["workloads"] = evaluation.regret.workloads;
  dict["regret"] = regret;
  py::list networks, primitives;
  for (const NetworkRegret& network : evaluation.networks) networks.append(dict_of(network));
  for (const PrimitiveError& error : evaluation.primitives) {
    py::dict entry;
    entry["name"] = error.name;
    entry["mdrae"] = error.mdrae;
    entry["samples"] = error.samples;
    primitives.append(entry);
  }
  dict["networks"] = networks;
  dict["primitives"] = primitives;
  dict["skipped"] = evaluation.skipped;
  return dict;
}

std::optional<TimingMode> timing_mode_from(const py::object& name) {
  const auto text = py::cast<std::string>(name);
  for (const TimingMode mode : {TimingMode::warm, TimingMode::cold_weights}) {
    if (to_string(mode) == text) return mode;
  }
  raise(make_error(ErrorCode::usage,
                   "'" + text.substr(0, 80) + "' is no timing mode: warm or cold_weights"));
}

ProfileSettings profile_settings(const std::vector<Network>& networks, const py::dict& given) {
  ProfileSettings settings;
  settings.networks = networks;
  set(given, "isa", settings.isa, isa_from);
  set(given, "threads", settings.threads);
  set(given, "output", settings.output);
  set(given, "budget", settings.budget);
  set(given, "timeout", settings.timeout);
  set(given, "configs", settings.configs,
      [](const py::object& o) { return std::optional(py::cast<std::size_t>(o)); });
  set(given, "ops", settings.ops);
  set(given, "precision", settings.precision, precision_from);
  set(given, "allow", settings.allow);
  set(given, "exclude", settings.exclude);
  set(given, "seed", settings.seed);
  set(given, "again", settings.again);
  return settings;
}

}  // namespace

void add_measuring(py::module_& module) {
  module.def("profile_machine",
             [](const std::vector<Network>& networks, const py::dict& given,
                const py::object& progress, const std::vector<std::string>& worker_command) {
               ProfileSettings settings = profile_settings(networks, given);
               const auto summary = watched(settings, progress, worker_command, profile_machine);
               const Messages messages = messages_to(given["logger"]);
               messages.warn_of(summary.warnings);
               return dict_of(summary);
             });
  module.def("estimate_profile", [](const std::vector<Network>& networks, const py::dict& given,
                                    const std::vector<std::string>& worker_command) {
    ProfileSettings settings = profile_settings(networks, given);
    settings.watch.worker_command = worker_command;
    return dict_of(without_lock([&] { return estimate_profile(settings); }));
  });
  module.def("merge_profiles", [](const py::dict& given) {
    MergeSettings settings;
    set(given, "profiles", settings.profiles);
    set(given, "output", settings.output);
    set(given, "fastest", settings.fastest);
    settings.messages = messages_to(given["logger"]);
    const auto merged = [&] {
      const py::gil_scoped_release release;
      return merge_profiles(settings);
    }();
    check(merged);
  });
  module.def("check_profile", [](const py::dict& given, const py::object& progress,
                                 const std::vector<std::string>& worker_command) {
    CheckSettings settings;
    set(given, "isa", settings.isa, isa_from);
    set(given, "threads", settings.threads);
    set(given, "profile", settings.profile);
    set(given, "model", settings.model);
    set(given, "points", settings.points);
    settings.messages = messages_to(given["logger"]);
    return dict_of(watched(settings, progress, worker_command, check_profile));
  });
  module.def("train_model", [](const py::dict& given) {
    TrainingSettings settings;
    set(given, "profiles", settings.profiles);
    set(given, "output", settings.output);
    set(given, "timing_mode", settings.timing_mode, timing_mode_from);
    set(given, "base", settings.base);
    set(given, "seed", settings.seed);
    settings.messages = messages_to(given["logger"]);
    return dict_of(without_lock([&] { return train_model(settings); }));
  });
  module.def("transfer_model", [](const py::dict& given, const py::object& progress,
                                  const std::vector<std::string>& worker_command) {
    TransferSettings settings;
    set(given, "isa", settings.isa, isa_from);
    set(given, "threads", settings.threads);
    set(given, "from", settings.from);
    set(given, "profile", settings.profile);
    set(given, "output", settings.output);
    set(given, "networks", settings.networks);
    set(given, "budget", settings.budget);
    set(given, "seed", settings.seed);
    settings.messages = messages_to(given["logger"]);
    return dict_of(watched(settings, progress, worker_command, transfer_model));
  });
  module.def("evaluate_model", [](const py::dict& given) {
    EvaluationSettings settings;
    set(given, "model", settings.model);
    set(given, "profile", settings.profile);
    set(given, "networks", settings.networks);
    set(given, "platform", settings.platform);
    set(given, "refine", settings.refine);
    settings.messages = messages_to(given["logger"]);
    return dict_of(without_lock([&] { return evaluate_model(settings); }));
  });
}

}  // namespace convopt::python
