#include "src/cli/log.h"
#include "src/cli/outputs.h"
#include "src/cli/planning.h"

#include "core/text.h"
#include "core/try.h"

namespace convopt::cli {
namespace {

struct CalibrateArguments {
  PlanningOptions planning;
  std::string output;
  bool no_sensitivities = false;
};

Result<void> calibrate_action(const CalibrateArguments& request) {
  PlanningOptions options = request.planning;
  if (!request.no_sensitivities) options.select.limits.types = types_of(Precision::automatic);
  CONVOPT_TRY(const auto planning, load_planning(options));
  CONVOPT_TRY(const auto calibration, planning->calibrate());
  CONVOPT_CHECK(write_output(request.output, to_json(calibration)));
  if (request.output.empty() || request.output == "-") return {};
  std::string what = "ranges of " + counted(calibration.tensors.size(), "tensor");
  if (!calibration.sensitivities.empty())
    what += " and " + std::to_string(calibration.sensitivities.size()) + " sensitivities";
  note(what + " in " + request.output);
  return {};
}

}  // namespace

void add_calibrate(CLI::App& app, Action& action) {
  auto request = std::make_shared<CalibrateArguments>();
  CLI::App* verb = app.add_subcommand(
      "calibrate",
      "Runs a network on given inputs and writes the ranges of its tensors, which plans in int8 "
      "need, and how far its outputs are off if one tensor or layer alone is rounded, by which "
      "`select` keeps an error limit.");
  request->planning.add_network_to(*verb);
  request->planning.calibrate_option = "--input";
  request->planning
      .add_calibrate_to(*verb,
                        "Representative inputs: .npy files of one or several inputs, NAME=FILE if "
                        "the network has more than one.")
      ->required();
  request->planning.add_range_to(
      *verb,
      "The range that int8 represents while sensitivities are measured. `select` uses those to "
      "int8 only with the same --range.");
  verb->add_flag("--no-sensitivities", request->no_sensitivities,
                 "Measures ranges alone, which takes two runs per input instead of hundreds; "
                 "`select` then measures sensitivities for every error limit.");
  add_text_output(*verb, "-o,--output", request->output,
                  "Writes the calibration as JSON (docs/reference/plan-format.md) to this file. "
                  "Default: standard output.");
  verb->callback([&action, request] { action = [request] { return calibrate_action(*request); }; });
}

}  // namespace convopt::cli
