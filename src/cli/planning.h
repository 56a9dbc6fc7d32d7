// Planning as `select`, `explain` and `run` share it: the network, the machine, and the times.
#pragma once

#include <CLI/CLI.hpp>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "convopt/model.hpp"
#include "convopt/network.hpp"
#include "convopt/primitive.hpp"
#include "src/cli/cli.h"
#include "src/library/planning.h"
#include "src/select/select.h"

namespace convopt::cli {

struct PlanningOptions {
  ContextOptions context;
  std::filesystem::path network, model, profile;
  int batch = 0;
  std::vector<std::string> shapes, bindings;
  /// Taken from the arrays that are given for inputs; they go behind those of the options.
  InputShapes more_shapes;
  InputValues more_values;
  SelectOptions select;
  double time_limit = 5;  ///< seconds
  std::filesystem::path calibration;
  RangeRule range = RangeRule::max;
  const CLI::Option* precision = nullptr;  ///< --precision, once it is added
  std::vector<std::string> calibrate;  ///< inputs to calibrate on, where there is no calibration
  std::string calibrate_option = "--calibrate";  ///< that names these

  bool precision_given() const { return precision != nullptr && precision->count() > 0; }

  void add_to(CLI::App& verb);
  /// Only what says which network is meant, on which machine and with which times.
  void add_network_to(CLI::App& verb);
  CLI::Option* add_calibrate_to(CLI::App& verb, const std::string& help);
  void add_range_to(CLI::App& verb, const std::string& help);
};

/// Texts like `input=1x3x224x224`.
Result<InputShapes> parse_shapes(const std::vector<std::string>& texts);

/// Texts like `sr=16000` or `size=640,480`.
Result<InputValues> parse_bindings(const std::vector<std::string>& texts);
/// --shape and --bind, which these texts come from.
void add_input_options(CLI::App& verb, std::vector<std::string>& shapes,
                       std::vector<std::string>& bindings);

/// The network that the options name, with its shapes and bindings.
Result<Network> named_network(const PlanningOptions& options);

/// Everything that planning needs, loaded. Loading writes notes and warnings to standard error.
Result<std::unique_ptr<Planning>> load_planning(const PlanningOptions& options,
                                                bool may_begin_profile = false);

}  // namespace convopt::cli
