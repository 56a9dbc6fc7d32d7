// Planning as the command line and programs share it: the machine, the times, and the steps that
// lead to a plan.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <unordered_set>
#include <vector>

#include "convopt/planning.hpp"
#include "convopt/primitive.hpp"
#include "profiler/profiler.h"
#include "src/library/times.h"
#include "src/runtime/buffers.h"
#include "src/select/costs.h"
#include "src/select/select.h"
#include "src/tune/error_budget.h"
#include "src/tune/refine.h"

namespace convopt {

/// Of random weights, where the model has none and nothing else is asked for.
inline constexpr std::uint64_t kWeightsSeed = 1;

/// f32 and what the precision admits.
std::set<DataType> types_of(Precision precision);

/// Times workloads into the options' output.
using Measure =
    std::function<Result<ProfileSummary>(const std::vector<Workload>&, const ProfileOptions&)>;
/// Times them as the watch says.
Measure watched_by(const Watch& watch);
/// Inputs of the network.
using MakeSamples = std::function<Result<std::vector<Buffers>>(const Network&)>;

struct PlanningRequest {
  Context context;
  std::filesystem::path model, profile;  ///< as in PlanOptions
  bool may_begin_profile = false;        ///< it need not exist: refine() will write it
  MachineRates rates = MachineRates::stored;
  SelectOptions select;
  std::function<Result<Calibration>()> calibration;  ///< called where it is needed; null: none
  RangeRule range = RangeRule::max;
  MakeSamples samples;  ///< to calibrate and to measure errors on; null: none are given
  bool bind_threads = false;
  Messages messages;
  Measure measure = convopt::profile;
};

/// What is done for a plan beyond selecting it; see PlanOptions.
struct PlanSteps {
  double refine = 0, confirm = 0;  ///< seconds
  std::size_t max_memory = SIZE_MAX;
  ErrorBudget error_budget;
  bool measures_error = false;  ///< also without a budget

  /// Refuses limits that no error can keep, and steps that exclude each other.
  Result<void> check(const std::set<DataType>& types) const;
};

/// Everything that planning needs, loaded.
class Planning {
 public:
  /// The network is loaded while the primitives of this machine are collected.
  static Result<std::unique_ptr<Planning>> load(const std::function<Result<Network>()>& network,
                                                const PlanningRequest& request);

  const Network& network() const { return network_; }
  const Registry& registry() const { return *registry_; }
  const Platform& platform() const { return platform_; }
  const SelectOptions& options() const { return options_; }
  const PerformanceModel* model() const { return times_->model(); }  ///< null: there is none
  /// The profile that times are taken from; empty: none.
  const std::filesystem::path& profile() const { return files_.profile; }
  /// Measured before predicted times, or either alone. Times of this network correct the
  /// predictions that are left.
  const CostSource& costs() const { return corrected_costs_ ? *corrected_costs_ : times_->costs(); }

  /// Ranges of all tensors on the request's samples, and sensitivities to the admitted types. A
  /// model with scales of its own has no use for the latter.
  Result<Calibration> calibrate() const;

  /// The fastest plan that holds at most `max_memory` bytes when executed.
  Result<Selection> select(std::size_t max_memory = SIZE_MAX) const;

  /// All steps, each of which may change the selection.
  Result<Selection> select(const PlanSteps& steps);

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
  void find_model_and_profile();
  Result<void> load_times();
  /// What refine() and a later planning have in common, so that both make the same plan.
  Result<void> correct_costs();
  /// Leaves out what this machine has made itself and is damaged, with a warning.
  Result<void> load_sound_times();
  /// Where it would help: on machines that the shipped model has not learnt from.
  void advise_transfer() const;
  /// Says which of the admitted types will not be used.
  void note_missing_types() const;
  Error with_enough_workspace(Error error) const;
  Result<Calibration> ranges() const;
  /// Reads the calibration, or makes one where int8 needs it.
  Result<void> find_calibration();
  /// Measures the plan's error and keeps the budget.
  Result<void> keep_error_budget(Selection& selection, const ErrorBudget& budget) const;
  void bind_threads_if_asked() const;
  void note(const std::string& sentence) const { request_.messages.say(sentence); }
  void warn(const std::string& sentence) const { request_.messages.warn_of(sentence); }

  PlanningRequest request_;
  Network network_;
  std::unique_ptr<Registry> registry_;
  Platform platform_;
  SelectOptions options_;
  bool has_scales_ = false;  ///< the model itself
  std::optional<Calibration> calibration_;
  TimesFiles files_;
  std::unordered_set<std::string> workloads_;  ///< canonical texts of all workloads of any plan
  std::unique_ptr<Times> times_;
  std::shared_ptr<const CostSource> corrected_costs_;
  double load_ms_ = 0;
};

}  // namespace convopt
