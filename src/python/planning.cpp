// Planning and calibrating for Python.
#include "convopt/planning.hpp"

#include <pybind11/stl.h>
#include <pybind11/stl/filesystem.h>

#include "src/python/bindings.h"
#include "src/python/watching.h"

namespace convopt::python {
namespace {

RangeRule range_named(const std::string& name) {
  if (const auto rule = parse_range_rule(name)) return *rule;
  raise(make_error(ErrorCode::usage, "'" + name + "' is none of max, percentile and mse"));
}

MachineRates rates_named(const std::string& name) {
  if (name == "stored") return MachineRates::stored;
  return name == "kept" ? MachineRates::kept : MachineRates::measured;
}

/// Arrays by the names of inputs.
InputSamples samples_from(const py::dict& arrays) {
  InputSamples samples;
  for (const auto& [name, array] : arrays) {
    const auto text = py::cast<std::string>(name);
    const std::string what = "the array for '" + text + "'";
    samples.emplace_back(text, floats_of(dense_array(array, what, std::nullopt), what));
  }
  return samples;
}

}  // namespace

Isa isa_from(const py::object& object) {
  const auto name = py::cast<std::string>(object);
  if (name.empty()) return default_isa();
  const auto isa = parse_isa(name);
  if (!isa) {
    std::string names;
    for (const Isa level : supported_isas())
      names += (names.empty() ? "" : ", ") + std::string(to_string(level));
    raise(make_error(ErrorCode::usage, "--isa " + name + " is not known; this CPU has " + names));
  }
  return *isa;
}

Precision precision_from(const py::object& object) {
  const auto name = py::cast<std::string>(object);
  const auto precision = parse_precision(name);
  if (!precision) {
    raise(make_error(ErrorCode::usage, "'" + name + "' is none of f32, bf16, int8 and auto"));
  }
  return *precision;
}

PlanOptions plan_options(const py::dict& given) {
  PlanOptions options;
  const auto text = [](const py::object& object) { return py::cast<std::string>(object); };
  set(given, "isa", options.isa, isa_from);
  set(given, "threads", options.threads);
  set(given, "cost_model", options.model);
  set(given, "profile", options.profile);
  set(given, "rates", options.rates, [&](const py::object& o) { return rates_named(text(o)); });
  set(given, "precision", options.precision, precision_from);
  set(given, "calibration", options.calibration,
      [](const py::object& o) { return std::optional(py::cast<Calibration>(o)); });
  set(given, "range", options.range, [&](const py::object& o) { return range_named(text(o)); });
  set(given, "calibrate", options.calibrate,
      [](const py::object& o) { return samples_from(py::cast<py::dict>(o)); });
  set(given, "allow", options.allow);
  set(given, "exclude", options.exclude);
  set(given, "max_workspace", options.max_workspace);
  set(given, "max_memory", options.max_memory);
  set(given, "max_error", options.max_error);
  set(given, "max_output_error", options.max_output_error);
  set(given, "min_cosine", options.min_cosine);
  set(given, "refine", options.refine);
  set(given, "confirm", options.confirm);
  set(given, "time_limit", options.time_limit);
  if (given.contains("logger")) options.messages = messages_to(given["logger"]);
  return options;
}

void add_planning(py::module_& module) {
  module.def("plan_network",
             [](const Network& network, const py::dict& given, const py::object& progress,
                const std::vector<std::string>& worker_command) {
               PlanOptions options = plan_options(given);
               Watcher watcher(progress);
               options.watch = watcher.watch(worker_command);
               auto plan = [&] {
                 const py::gil_scoped_release release;
                 return plan_network(network, options);
               }();
               watcher.finish();
               return value_of(std::move(plan));
             });
  module.def("calibrate_network", [](const Network& network, const py::dict& arrays,
                                     const py::dict& given, bool with_sensitivities) {
    const PlanOptions options = plan_options(given);
    const InputSamples samples = samples_from(arrays);
    return without_lock(
        [&] { return calibrate_network(network, samples, options, with_sensitivities); });
  });
  module.def("measured_platform", [](const py::dict& given) {
    const PlanOptions options = plan_options(given);
    const Platform platform = without_lock([&] {
      return measured_platform(options.isa, options.threads, options.rates, options.messages);
    });
    const Machine& machine = platform.machine;
    py::dict facts;
    facts["platform"] = platform.id();
    facts["cpu"] = machine.name;
    facts["isa"] = std::string(to_string(platform.isa));
    facts["threads"] = platform.threads;
    facts["peak_gflops"] = machine.peak_gflops;
    facts["peak_bf16_gflops"] = machine.peak_bf16_gflops;
    facts["peak_int8_gops"] = machine.peak_int8_gops;
    facts["l1_gbps"] = machine.l1_gbps;
    facts["l2_gbps"] = machine.l2_gbps;
    facts["l3_gbps"] = machine.l3_gbps;
    facts["memory_gbps"] = machine.memory_gbps;
    facts["core_round_trip_ns"] = machine.core_round_trip_ns;
    return facts;
  });
}

}  // namespace convopt::python
