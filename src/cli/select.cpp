#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>

#include "core/quantisation.h"
#include "core/text.h"
#include "core/try.h"
#include "src/cli/outputs.h"
#include "src/cli/planning.h"
#include "src/cli/table.h"
#include "src/cli/values.h"
#include "src/select/export.h"

namespace convopt::cli {
namespace {

// Budgets that admit no difference at all are refused by PlanSteps::check.

CLI::Validator output_error() {
  return CLI::Validator(
      [](std::string& text) -> std::string {
        return parse_number<double>(text) == 0 ? "" : positive_number()(text);
      },
      "");
}

CLI::Validator cosine() {
  return CLI::Validator(
      [](std::string& text) -> std::string {
        const auto value = parse_number<double>(text);
        if (!value || !(*value >= 0 && *value <= 1)) {
          return in_quotes(text) + " is not a number from 0 to 1, as a cosine is";
        }
        return {};
      },
      "");
}

struct SelectArguments {
  PlanningOptions planning;
  std::string output, export_file;
  PlanSteps steps;
  double confirm_time = 2;  ///< seconds
  bool json = false, confirms = false;
};

std::string join(const PlanLayer& layer) {
  std::string text = layer.name;
  for (const std::string& fused : layer.fused) text += " + " + fused;
  return text;
}

std::string arrow(TensorFormat from, TensorFormat to) {
  const std::string text = to_string(from);
  return from == to ? text : text + " > " + to_string(to);
}

std::string interval(double low_us, double high_us) {
  return format_time(low_us * 1e3) + " - " + format_time(high_us * 1e3);
}

std::string layers_text(const Plan& plan) {
  using Align = Table::Align;
  Table table({{"layer"},
               {"primitive"},
               {"layout"},
               {"time", Align::right},
               {"90 % interval", Align::right},
               {"source"}});
  for (const PlanLayer& layer : plan.layers) {
    table.add_row({join(layer), layer.primitive, arrow(layer.input(), layer.output()),
                   format_time(layer.predicted_us * 1e3), interval(layer.low_us, layer.high_us),
                   layer.measured       ? "measured"
                   : layer.extrapolated ? "extrapolated"
                                        : "predicted"});
  }
  return table.text();
}

std::string conversions_text(const Plan& plan) {
  if (plan.conversions.empty()) return "No layout conversions.\n";
  Table table({{"conversion of"}, {"primitive"}, {"layout"}, {"time", Table::Align::right}});
  for (const PlanConversion& c : plan.conversions) {
    table.add_row(
        {c.tensor, c.primitive, arrow(c.source(), c.target()), format_time(c.predicted_us * 1e3)});
  }
  return table.text();
}

std::string accuracy_text(const Plan& plan) {
  const PlanAccuracy& a = *plan.accuracy;
  std::string text = "error    " + significant(a.error, 2) + " of the outputs' range, cosine " +
                     fixed(a.cosine, 6);
  const bool has_bound = a.error_bound > a.error || a.cosine_bound < a.cosine;
  if (has_bound) {
    text += "; of 99 in 100 such inputs at most " + significant(a.error_bound, 2) +
            " and at least " + fixed(a.cosine_bound, 6);
  }
  std::string allowed;
  if (std::isfinite(a.allowed_error)) allowed = significant(a.allowed_error, 3);
  if (a.allowed_cosine > -1) {
    allowed += (allowed.empty() ? "cosine " : ", cosine ") + significant(a.allowed_cosine, 6);
  }
  if (!allowed.empty()) text += " (allowed: " + allowed + ")";
  const auto has = [](const PlanLayer& layer, auto is) {
    return is(layer.input_type) || is(layer.output_type);
  };
  const auto int8 = std::ranges::count_if(
      plan.layers, [&](const PlanLayer& layer) { return has(layer, is_quantised); });
  const auto bf16 = std::ranges::count_if(plan.layers, [&](const PlanLayer& layer) {
    return has(layer, [](DataType type) { return type == DataType::bf16; });
  });
  return text + ", measured on " + counted(a.samples, "input") + "; of " +
         counted(plan.layers.size(), "layer") + " " + std::to_string(int8) + " in int8, " +
         std::to_string(bf16) + " in bf16\n";
}

std::string totals_text(const Plan& plan) {
  double convolutions = 0, conversions = 0, others = 0;
  std::size_t measured = 0;
  for (const PlanLayer& layer : plan.layers) {
    (layer.op == "conv" ? convolutions : others) += layer.predicted_us;
    measured += layer.measured ? 1 : 0;
  }
  for (const PlanConversion& c : plan.conversions) conversions += c.predicted_us;
  std::string text = "total    " + format_time(plan.predicted_ms * 1e6) + ": convolutions " +
                     format_time(convolutions * 1e3) + ", other operators " +
                     format_time(others * 1e3) + ", conversions " + format_time(conversions * 1e3) +
                     "\n";
  text += "memory   " + format_bytes(double(plan.packed_weight_bytes)) + " packed weights, " +
          format_bytes(double(plan.workspace_bytes)) + " workspace\n";
  const std::string all = std::to_string(plan.layers.size());
  text += "times    " +
          (measured == plan.layers.size() ? "all measured on this machine"
           : measured == 0                ? "all predicted"
                                          : std::to_string(measured) + " of " + all +
                                 " layers measured, the others predicted") +
          (plan.model.empty() ? "" : ", model " + plan.model) + "\n";
  if (plan.accuracy) text += accuracy_text(plan);
  const std::string gap = "within " + significant(plan.gap * 100, 2) + " % of the optimum";
  text += "plan     " + (plan.optimal ? "proven optimal for these times" : gap) + ", solved in " +
          format_time(plan.solve_ms * 1e6) + "\n";
  return text;
}

std::string baselines_text(const Plan& plan) {
  Table table(
      {{"compared with"}, {"time", Table::Align::right}, {"speed-up", Table::Align::right}});
  const auto add = [&](const std::string& name, double ms) {
    table.add_row(ms > 0 ? std::vector<std::string>{name, format_time(ms * 1e6),
                                                    fixed(ms / plan.predicted_ms, 2) + " x"}
                         : std::vector<std::string>{name, "unknown"});
  };
  const PlanBaselines& b = plan.baselines;
  add("default of the library" + (b.library.empty() ? "" : ", " + b.library), b.library_default_ms);
  add(b.best_single_primitive.empty() ? "best single primitive"
                                      : "best single primitive, " + b.best_single_primitive,
      b.best_single_primitive_ms);
  add("fastest per layer, then conversions", b.greedy_ms);
  const bool has_budget = plan.accuracy && (std::isfinite(plan.accuracy->allowed_error) ||
                                            plan.accuracy->allowed_cosine > -1);
  return table.text() + (has_budget ? "(these know no limit of the error)\n" : "");
}

std::string plan_text(const Plan& plan) {
  return plan.network + " on " + plan.platform.id() + "\n\n" + layers_text(plan) + "\n" +
         conversions_text(plan) + "\n" + totals_text(plan) + "\n" + baselines_text(plan);
}

Result<void> select_action(const SelectArguments& request) {
  PlanSteps steps = request.steps;
  steps.confirm = request.confirms ? request.confirm_time : 0;
  steps.measures_error = !request.planning.calibrate.empty();
  CONVOPT_CHECK(steps.check(request.planning.select.limits.types));
  CONVOPT_TRY(const auto planning, load_planning(request.planning, steps.refine > 0));
  CONVOPT_TRY(auto selection, planning->select(steps));
  if (!request.export_file.empty()) {
    const std::string problem = export_problem(selection.problem, selection.solution);
    CONVOPT_CHECK(write_output(request.export_file, problem));
  }
  if (!request.output.empty()) {
    CONVOPT_CHECK(write_output(request.output, to_json(selection.plan)));
  }
  // Standard output holds one document.
  if (request.output == "-" || request.export_file == "-") return {};
  return write_output("", request.json ? to_json(selection.plan) : plan_text(selection.plan));
}

}  // namespace

void add_select(CLI::App& app, Action& action) {
  auto request = std::make_shared<SelectArguments>();
  CLI::App* verb = app.add_subcommand(
      "select", "Chooses the fastest primitive and layout for every layer of a network.");
  request->planning.add_to(*verb);
  add_text_output(
      *verb, "-o,--output", request->output,
      "Writes the plan as JSON (docs/reference/plan-format.md) to this file, - for standard "
      "output.");
  add_duration(
      *verb, "--refine", request->steps.refine,
      "First measures, for so long, e.g. 5s, the primitives that could change the plan, and "
      "adds the times to the profile.");
  add_bytes(*verb, "--max-memory", request->steps.max_memory,
            "Most memory for packed weights, tensors and workspace when the plan is executed, e.g. "
            "100MB: the fastest plan that needs no more.");
  verb->add_option(
          "--max-output-error", request->steps.error_budget.max_error,
          "Error limit: largest difference of an output from that in single precision, as "
          "a fraction of the range of its values, e.g. 0.01. The plan is the fastest that "
          "keeps the limit when it is run on inputs like those of --calibrate: of three or "
          "more, 99 in 100 such inputs, by the spread of their errors.")
      ->check(output_error())
      ->type_name("NUMBER");
  verb->add_option("--min-cosine", request->steps.error_budget.min_cosine,
                   "Error limit: smallest cosine similarity of an output and that in single "
                   "precision, e.g. 0.999.")
      ->check(cosine())
      ->type_name("NUMBER");
  request->planning.add_calibrate_to(
      *verb,
      "Inputs on which these errors are measured, and the ranges of tensors for int8 without "
      "--calibration: .npy files of one or several inputs, NAME=FILE if the network has more than "
      "one. Default: random ones, but not for int8.");
  CLI::Option* confirms = verb->add_flag("--confirm", request->confirms,
                                         "Runs the plan, the library's default and the best single "
                                         "primitive on this machine, and takes "
                                         "the fastest.");
  add_duration(*verb, "--confirm-time", request->confirm_time, "Time for these runs, all together.")
      ->needs(confirms);
  add_text_output(*verb, "--export-problem", request->export_file,
                  "Writes the optimisation problem with its solution as JSON.");
  verb->add_flag("--json", request->json, "Prints the plan as one JSON document.");
  verb->callback([&action, request] { action = [request] { return select_action(*request); }; });
}

}  // namespace convopt::cli
