#include "src/select/explain.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <map>
#include <optional>

#include "core/json.h"
#include "core/quantisation.h"
#include "core/text.h"
#include "core/try.h"
#include "profiler/affinity.h"
#include "src/cli/calibration.h"
#include "src/cli/planning.h"
#include "src/cli/table.h"
#include "src/runtime/weights.h"
#include "src/tune/layer_errors.h"

namespace convopt::cli {
namespace {

struct ExplainArguments {
  PlanningOptions planning;
  std::string layer;
  bool json = false, all = false;
};

/// By its name, by a part of it that no other layer has, or as a table shows it.
Result<int> find_operator(const Network& network, const std::string& given) {
  // Tables add what a layer has absorbed: "conv1 + relu1".
  const bool is_exact =
      std::ranges::find(network.operators, given, &Operator::name) != network.operators.end();
  const std::string name = is_exact ? given : given.substr(0, given.find(" + "));
  std::vector<std::string_view> names;
  std::vector<std::string> alike;
  int only = -1;
  for (std::size_t op = 0; op < network.operators.size(); ++op) {
    const Operator& candidate = network.operators[op];
    if (candidate.name == name) {
      if (candidate.kind == OperatorKind::compute) return static_cast<int>(op);
      return make_error(ErrorCode::usage,
                        "nothing is chosen for '" + name + "': it is a " + candidate.type +
                            (candidate.kind == OperatorKind::reshape ? " and takes no time"
                                                                     : ", unknown to convopt"));
    }
    names.push_back(candidate.name);
    if (candidate.kind == OperatorKind::compute && is_shown_as(candidate.name, name)) {
      alike.push_back(shortened(candidate.name));
      only = static_cast<int>(op);
    }
  }
  if (alike.size() == 1) return only;
  if (!alike.empty()) {
    return make_error(ErrorCode::usage, "network '" + network.name + "' has " +
                                            std::to_string(alike.size()) + " layers like '" + name +
                                            "': " + listed(alike));
  }
  const std::string_view nearest = closest_name(name, names);
  std::string sentence = "network '" + network.name + "' has no layer '" + name + "'";
  if (!nearest.empty()) sentence += "; did you mean '" + std::string(nearest) + "'?";
  return make_error(ErrorCode::usage, sentence);
}

std::string name_of(const Primitive* primitive) {
  return primitive == nullptr ? "(in the epilogue of the layer before)"
                              : std::string(primitive->name());
}

std::string with_absorbed(const Network& network, const std::vector<int>& absorbed) {
  std::string text;
  for (const int op : absorbed) text += (text.empty() ? "" : " + ") + network.operators[op].name;
  return text;
}

std::string list_text(const std::vector<std::string>& words) {
  std::string text;
  for (const std::string& word : words) text += (text.empty() ? "" : ", ") + word;
  return text;
}

/// A signed time, in the unit of `format_time`.
std::string difference(double ns) {
  if (std::abs(ns) < 0.5) return "0";
  return (ns < 0 ? "-" : "+") + format_time(std::abs(ns));
}

std::string arrow(const Option& option) {
  const std::string from = to_string(option.input), to = to_string(option.output);
  return from == to ? from : from + " > " + to;
}

std::string header(const Network& network, int op, const Workload& workload) {
  return network.operators[op].name + " of " + network.name + ", " + workload.text() + "\n\n";
}

/// Every primitive that is left out, or how many for each reason.
std::string absent_text(const std::vector<Explanation::Absent>& absent, bool all) {
  if (absent.empty()) return {};
  if (all) {
    Table table({{"not available"}, {"because"}});
    for (const Explanation::Absent& a : absent) table.add_row({name_of(a.primitive), a.reason});
    return "\n" + table.text();
  }
  std::map<std::string, std::size_t> counts;
  for (const Explanation::Absent& a : absent) ++counts[a.reason];
  std::vector<std::pair<std::size_t, std::string>> order;
  for (const auto& [reason, count] : counts) order.emplace_back(count, reason);
  std::ranges::stable_sort(order, std::greater(), &std::pair<std::size_t, std::string>::first);
  constexpr std::size_t kShown = 5;
  Table table({{"not available", Table::Align::right}, {"because"}});
  for (std::size_t i = 0; i < std::min(kShown, order.size()); ++i) {
    table.add_row({std::to_string(order[i].first), order[i].second});
  }
  std::size_t others = 0;
  for (std::size_t i = kShown; i < order.size(); ++i) others += order[i].first;
  if (others > 0) table.add_row({std::to_string(others), "for other reasons"});
  return "\n" + table.text() + "--all names them.\n";
}

/// What the layer costs and errs in one type; s8 stands for u8, too.
struct TypeChoice {
  DataType type = DataType::f32;
  double plan_ns = 0;               ///< the fastest plan in which the layer computes in it
  std::optional<LayerError> error;  ///< where it was measured
};

std::vector<TypeChoice> type_choices(const Explanation& explanation,
                                     const std::vector<LayerError>& errors) {
  std::map<DataType, TypeChoice> choices;
  for (const Explanation::Alternative& a : explanation.alternatives) {
    DataType type =
        a.primitive != nullptr ? a.primitive->info().traits.type_of_weights() : DataType::f32;
    if (type == DataType::f32) type = a.option.input.type;
    type = product_type(type);
    const auto [choice, is_new] = choices.try_emplace(type, TypeChoice{type, a.plan_ns, {}});
    if (!is_new) choice->second.plan_ns = std::min(choice->second.plan_ns, a.plan_ns);
  }
  std::vector<TypeChoice> result;
  for (auto& [type, choice] : choices) {
    const auto error = std::ranges::find(errors, type, &LayerError::type);
    if (error != errors.end()) choice.error = *error;
    result.push_back(choice);
  }
  return result;
}

std::string name_of_type(DataType type) {
  return type == DataType::s8 ? "int8" : std::string(to_string(type));
}

/// Nothing where there is no choice.
std::string types_text(const std::vector<TypeChoice>& choices, double best_ns) {
  if (choices.size() < 2) return {};
  using Align = Table::Align;
  Table table({{"type"},
               {"whole plan", Align::right},
               {"", Align::right},
               {"error by weights", Align::right},
               {"by sources", Align::right},
               {"by result", Align::right}});
  for (const TypeChoice& choice : choices) {
    std::vector<std::string> row = {name_of_type(choice.type), format_time(choice.plan_ns),
                                    difference(choice.plan_ns - best_ns)};
    if (const auto& error = choice.error) {
      for (const Difference& d : {error->weights, error->sources, error->result})
        row.push_back(scientific(d.error, 1));
    }
    table.add_row(std::move(row));
  }
  return "\n" + table.text() +
         "\nerror: of the outputs, as a fraction of their range, if only that is rounded to the "
         "type\n";
}

std::string text_of(const Planning& planning, int op, const Selection& selection,
                    const Explanation& explanation, const std::vector<LayerError>& errors,
                    bool all) {
  using Align = Table::Align;
  const Network& network = planning.network();
  const Problem& problem = selection.problem;
  std::string text = header(network, op, problem.workloads[problem.variants[op][0].workload]);
  Table table({{""},
               {"primitive"},
               {"layout"},
               {"with"},
               {"time", Align::right},
               {"90 % interval", Align::right},
               {"source"},
               {"elsewhere", Align::right},
               {"whole plan", Align::right},
               {"", Align::right}});
  const double plan_ns = expected_ns(problem, selection.solution.assignment);
  bool unsure_is_faster = false;
  for (const Explanation::Alternative& a : explanation.alternatives) {
    const bool own = a.primitive != nullptr;
    table.add_row(
        {a.chosen ? "*" : "", name_of(a.primitive), arrow(a.option),
         with_absorbed(network, a.absorbed), own ? format_time(a.cost.estimate.ns) : "",
         own ? format_time(a.cost.estimate.low_ns) + " - " + format_time(a.cost.estimate.high_ns)
             : "",
         own ? a.cost.source_text() : "", difference(a.elsewhere_ns), format_time(a.plan_ns),
         difference(a.plan_ns - plan_ns)});
    unsure_is_faster = unsure_is_faster || a.plan_ns < plan_ns;
  }
  text += table.text();
  text +=
      "\nelsewhere: what the best plan with that primitive costs more on other layers and on "
      "conversions\n";
  if (unsure_is_faster) {
    text +=
        "Plans with a lower expected time depend on uncertain predictions, so a plan with more "
        "certain "
        "times is preferred.\n";
  }
  text += types_text(type_choices(explanation, errors), plan_ns);
  const std::string folded = list_text(network.operators[op].folded);
  if (!folded.empty()) text += "\npart of it in the file: " + folded + "\n";
  for (const std::string& sentence : network.clean_up) text += "reading: " + sentence + "\n";
  return text + absent_text(explanation.absent, all);
}

Json json_of(const TypeChoice& choice) {
  Json json = {{"type", name_of_type(choice.type)}, {"plan_ms", choice.plan_ns / 1e6}};
  if (const auto& error = choice.error) {
    json["weights_error"] = error->weights.error;
    json["sources_error"] = error->sources.error;
    json["result_error"] = error->result.error;
  }
  return json;
}

Json json_of(const Planning& planning, int op, const Selection& selection,
             const Explanation& explanation, const std::vector<LayerError>& errors) {
  const Network& network = planning.network();
  const Problem& problem = selection.problem;
  Json candidates = Json::array(), absent = Json::array();
  for (const Explanation::Alternative& a : explanation.alternatives) {
    Json fused = Json::array();
    for (const int other : a.absorbed) fused.push_back(network.operators[other].name);
    Json entry = {
        {"primitive", a.primitive == nullptr ? Json(nullptr) : Json(a.primitive->name())},
        {"family", a.primitive == nullptr ? Json(nullptr) : Json(a.primitive->info().family)},
        {"chosen", a.chosen},
        {"input_layout", to_string(a.option.input.layout)},
        {"output_layout", to_string(a.option.output.layout)},
        {"fused", std::move(fused)},
        {"predicted_us", a.cost.estimate.ns / 1e3},
        {"low_us", a.cost.estimate.low_ns / 1e3},
        {"high_us", a.cost.estimate.high_ns / 1e3},
        {"source", a.cost.source == Cost::Source::predicted ? "predicted" : "measured"},
        {"elsewhere_us", a.elsewhere_ns / 1e3},
        {"plan_ms", a.plan_ns / 1e6}};
    const auto add_type = [&](const char* key, DataType type) {
      if (type != DataType::f32) entry[key] = to_string(type);
    };
    add_type("input_type", a.option.input.type);
    add_type("output_type", a.option.output.type);
    candidates.push_back(std::move(entry));
  }
  for (const Explanation::Absent& a : explanation.absent) {
    absent.push_back({{"primitive", a.primitive->name()}, {"reason", a.reason}});
  }
  Json types = Json::array();
  for (const TypeChoice& choice : type_choices(explanation, errors))
    types.push_back(json_of(choice));
  return {{"schema", "convopt.explanation/1"},
          {"network", network.name},
          {"platform", planning.platform().id()},
          {"layer", network.operators[op].name},
          {"workload", problem.workloads[problem.variants[op][0].workload].text()},
          {"folded", network.operators[op].folded},
          {"clean_up", network.clean_up},
          {"plan_ms", selection.plan.predicted_ms},
          {"types", std::move(types)},
          {"candidates", std::move(candidates)},
          {"absent", std::move(absent)}};
}

/// Of an operator that has no primitive at all.
Json json_of(const Planning& planning, int op, const std::string& lack) {
  const Operator& layer = planning.network().operators[op];
  return {{"schema", "convopt.explanation/1"},
          {"network", planning.network().name},
          {"platform", planning.platform().id()},
          {"layer", layer.name},
          {"workload", layer.workload.text()},
          {"candidates", Json::array()},
          {"absent", {{{"primitive", nullptr}, {"reason", lack}}}}};
}

Result<void> explain_action(const ExplainArguments& request) {
  CONVOPT_TRY(const auto planning, load_planning(request.planning));
  CONVOPT_TRY(const auto op, find_operator(planning->network(), request.layer));
  const Network& network = planning->network();
  const Workload& workload = network.operators[op].workload;
  if (const std::string lack = lack_of_primitives(planning->registry(), workload); !lack.empty()) {
    return write_output("", request.json ? json_of(*planning, op, lack).dump(1) + "\n"
                                         : header(network, op, workload) + lack + "\n");
  }
  CONVOPT_TRY(const auto selection, planning->select());
  const Explanation explanation =
      explain(selection.problem, selection.solution, op, planning->options().time_limit);
  std::vector<LayerError> errors;
  if (!request.planning.calibrate.empty()) {
    CONVOPT_TRY(const auto samples, samples_in("--calibrate", request.planning.calibrate)(network));
    bind_threads(planning->platform().threads);
    CONVOPT_TRY(errors, layer_errors(selection.problem, op, planning->platform(),
                                     NetworkWeights(network, kWeightsSeed), samples,
                                     planning->options().time_limit));
  }
  return write_output(
      "", request.json ? json_of(*planning, op, selection, explanation, errors).dump(1) + "\n"
                       : text_of(*planning, op, selection, explanation, errors, request.all));
}

}  // namespace

void add_explain(CLI::App& app, Action& action) {
  auto request = std::make_shared<ExplainArguments>();
  CLI::App* verb = app.add_subcommand(
      "explain",
      "Shows the cost of every choice for one layer, and why other primitives are not available.");
  request->planning.add_to(*verb);
  request->planning.add_calibrate_to(
      *verb,
      "Inputs for measuring the error of rounding this layer to other types, and the ranges of "
      "tensors for int8 without --calibration: .npy files, "
      "NAME=FILE if the network has more than "
      "one input.");
  verb->add_option("layer", request->layer,
                   "Name of an operator of the network, or a part of it that no other has.")
      ->required();
  verb->add_flag("--all", request->all, "Names every primitive that is not available, too.");
  verb->add_flag("--json", request->json, "Prints one JSON document.");
  verb->callback([&action, request] { action = [request] { return explain_action(*request); }; });
}

}  // namespace convopt::cli
