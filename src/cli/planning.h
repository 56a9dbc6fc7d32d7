// Planning as `select`, `explain` and `run` share it: the network, the machine, and the times.
#pragma once

#include <CLI/CLI.hpp>
#include <filesystem>
#include <memory>
#include <string>
#include <unordered_set>
#include <vector>

#include "convopt/model.hpp"
#include "convopt/network.hpp"
#include "convopt/primitive.hpp"
#include "src/cli/cli.h"
#include "src/library/times.h"
#include "src/select/calibration.h"
#include "src/select/costs.h"
#include "src/select/select.h"
#include "src/tune/refine.h"

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
  std::vector<std::string> calibrate;  ///< inputs to calibrate on, where there is no calibration

  void add_to(CLI::App& verb);
  /// Only what says which network is meant, on which machine and with which times.
  void add_network_to(CLI::App& verb);
  void add_calibrate_to(CLI::App& verb, const std::string& help);
};

/// Of random weights, where the model has none and nothing else is asked for.
inline constexpr std::uint64_t kWeightsSeed = 1;

/// Texts like `input=1x3x224x224`.
Result<InputShapes> parse_shapes(const std::vector<std::string>& texts);
inline constexpr const char* kShapeHelp =
    "Shape of an input, e.g. input=1x3x224x224; binds dimensions that an ONNX model leaves open.";

/// Texts like `sr=16000` or `size=640,480`.
Result<InputValues> parse_bindings(const std::vector<std::string>& texts);
inline constexpr const char* kBindHelp =
    "Values of a small input, e.g. sr=16000 or size=640,480, that an ONNX model needs when it is "
    "read, because a condition or a size depends on them. The network then has no such input.";

/// The network that the options name, with its shapes and bindings.
Result<Network> named_network(const PlanningOptions& options);

/// Everything that planning needs, loaded. Loading writes notes and warnings to standard error.
class Planning {
 public:
  static Result<std::unique_ptr<Planning>> load(const PlanningOptions& options);

  const Network& network() const { return network_; }
  const Registry& registry() const { return *registry_; }
  const Platform& platform() const { return platform_; }
  const SelectOptions& options() const { return options_; }
  const PerformanceModel* model() const { return times_->model(); }  ///< null: there is none
  /// The profile that times are taken from; empty: none.
  const std::filesystem::path& profile() const { return files_.profile; }
  /// Measured before predicted times, or either alone; after refine(), the refined costs.
  const CostSource& costs() const { return refined_costs_ ? *refined_costs_ : times_->costs(); }

  /// Ranges of all tensors on these samples, as calibration_samples() reads them.
  Result<Calibration> calibrate(const std::string& option,
                                const std::vector<std::string>& files) const;

  /// The fastest plan that holds at most `max_memory` bytes when executed.
  Result<Selection> select(std::size_t max_memory = SIZE_MAX) const;

  /// Runs the plan, the library's default and the best single primitive in turns for so many
  /// seconds, says how long they take, and makes the fastest the selection.
  Result<void> confirm(Selection& selection, double seconds, std::size_t max_memory) const;
  /// Whether confirm() would take less than a second altogether.
  static bool is_cheap_to_confirm(const Plan& plan);

  /// Measures primitives that could change the plan for that many seconds. The times are added to
  /// the profile that this planning reads, else to this machine's own.
  Result<Refinement> refine(double seconds);

 private:
  Planning() = default;
  void find_model_and_profile(const PlanningOptions& options);
  Result<void> load_times();
  /// Leaves out what this machine has made itself and is damaged, with a warning.
  Result<void> load_sound_times(const PlanningOptions& options);
  /// Says which of the admitted types will not be used.
  void note_missing_types() const;
  Error with_enough_workspace(Error error) const;
  Result<void> find_scales(const PlanningOptions& options);

  Network network_;
  std::unique_ptr<Registry> registry_;
  Platform platform_;
  SelectOptions options_;
  TimesFiles files_;
  std::unordered_set<std::string> workloads_;  ///< canonical texts of all workloads of any plan
  std::unique_ptr<Times> times_;
  std::shared_ptr<const CostSource> refined_costs_;
  double load_ms_ = 0;
};

}  // namespace convopt::cli
