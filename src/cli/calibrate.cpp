#include "src/cli/calibration.h"
#include "src/cli/log.h"
#include "src/cli/outputs.h"
#include "src/cli/planning.h"

#include "core/text.h"
#include "core/try.h"

namespace convopt::cli {
namespace {

struct CalibrateArguments {
  PlanningOptions planning;
  std::vector<std::string> inputs;
  std::string output;
};

Result<void> calibrate_action(const CalibrateArguments& request) {
  CONVOPT_TRY(const auto planning, load_planning(request.planning));
  CONVOPT_TRY(const auto calibration, planning->calibrate(samples_in("--input", request.inputs)));
  CONVOPT_CHECK(write_output(request.output, to_json(calibration)));
  if (request.output.empty() || request.output == "-") return {};
  note("ranges of " + counted(calibration.tensors.size(), "tensor") + " in " + request.output);
  return {};
}

}  // namespace

void add_calibrate(CLI::App& app, Action& action) {
  auto request = std::make_shared<CalibrateArguments>();
  CLI::App* verb = app.add_subcommand(
      "calibrate",
      "Runs a network on given inputs and writes the ranges of its tensors, which plans in int8 "
      "need.");
  request->planning.add_network_to(*verb);
  verb->add_option("--input", request->inputs,
                   "Representative inputs: .npy files of one or several inputs, "
                   "NAME=FILE if the network has more than one.")
      ->required();
  add_text_output(*verb, "-o,--output", request->output,
                  "Writes the calibration as JSON (docs/reference/plan-format.md) to this file. "
                  "Default: standard output.");
  verb->callback([&action, request] { action = [request] { return calibrate_action(*request); }; });
}

}  // namespace convopt::cli
