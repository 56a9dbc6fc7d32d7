// What `select` and `explain` share: which network, on which machine, by which times.
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
#include "src/select/costs.h"
#include "src/select/select.h"
#include "src/tune/refine.h"

namespace convopt::cli {

struct PlanningOptions {
  ContextOptions context;
  std::filesystem::path network, model, profile;
  int batch = 0;
  std::vector<std::string> shapes;
  SelectOptions select;
  double time_limit = 5;  ///< seconds

  void add_to(CLI::App& verb);
};

/// Texts like `input=1x3x224x224`.
Result<InputShapes> parse_shapes(const std::vector<std::string>& texts);
inline constexpr const char* kShapeHelp =
    "Shape of an input, e.g. input=1x3x224x224; binds dimensions that an ONNX model leaves open.";

/// Everything that choosing needs, loaded. Notes and warnings went to standard error.
class Planning {
 public:
  static Result<std::unique_ptr<Planning>> load(const PlanningOptions& options);

  const Network& network() const { return network_; }
  const Registry& registry() const { return *registry_; }
  const Platform& platform() const { return platform_; }
  const SelectOptions& options() const { return options_; }
  /// Measured before predicted, or what there is of the two; after refine() what it learnt.
  const CostSource& costs() const { return refined_costs_ ? *refined_costs_ : times_->costs(); }

  /// The fastest plan that holds at most so many bytes when it is executed.
  Result<Selection> select(std::size_t max_memory = SIZE_MAX) const;

  /// Times what the plan hangs on for so many seconds and adds the times to the profile that this
  /// planning reads, or to this machine's own.
  Result<Refinement> refine(double seconds);

 private:
  Planning() = default;
  void find_model_and_profile(const PlanningOptions& options);
  Result<void> load_times();

  Network network_;
  std::unique_ptr<Registry> registry_;
  Platform platform_;
  SelectOptions options_;
  TimesFiles files_;
  std::unordered_set<std::string> workloads_;  ///< canonical texts of what a plan may consist of
  std::unique_ptr<Times> times_;
  std::shared_ptr<const CostSource> refined_costs_;
  double load_ms_ = 0;
};

}  // namespace convopt::cli
