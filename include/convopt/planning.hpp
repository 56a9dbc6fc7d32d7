// Plans as `convopt select` makes them: with a precision, limits, refinement and confirmation.
//
// Nothing is printed. Notes and warnings go to `Messages`. Errors and messages name the options of
// the command line, which are called like the members here.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <limits>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "convopt/calibration.hpp"
#include "convopt/error.hpp"
#include "convopt/network.hpp"
#include "convopt/npy.hpp"
#include "convopt/plan.hpp"
#include "convopt/platform.hpp"
#include "convopt/precision.hpp"
#include "convopt/profiling.hpp"

namespace convopt {

/// Where this machine's peak and bandwidths come from, which predictions need. They are kept in
/// $XDG_DATA_HOME/convopt (by default ~/.local/share/convopt).
enum class MachineRates : std::uint8_t {
  stored,    ///< from there alone: an error if they are not there
  measured,  ///< where they are not there, measured for a second, once per process, nothing written
  kept,      ///< where they are not there, measured for a second and stored; where they cannot be
             ///< stored, a warning says so
};

/// Samples for inputs of a network, by name: of the input's shape, or several such along the first
/// dimension or a new one. All inputs have as many.
using InputSamples = std::vector<std::pair<std::string, NpyArray>>;

struct PlanOptions {
  Isa isa = default_isa();
  int threads = default_threads();
  /// A performance model and times measured here, which count before predictions. Empty: this
  /// machine's own in $XDG_DATA_HOME/convopt, and the shipped model where it has none.
  std::filesystem::path model, profile;
  MachineRates rates = MachineRates::stored;

  Precision precision = Precision::f32;
  /// int8 needs the ranges of tensors: a calibration, or samples to calibrate on. A quantised model
  /// has them. An error budget takes the calibration's sensitivities to bf16, and to int8 if they
  /// are by the same range rule; it measures those that are missing.
  std::optional<Calibration> calibration;
  RangeRule range = RangeRule::max;
  InputSamples calibrate;  ///< also the inputs that errors are measured on

  std::vector<std::string> allow, exclude;  ///< primitives or families for convolutions
  std::size_t max_workspace = SIZE_MAX;     ///< bytes, of every operator
  std::size_t max_memory = SIZE_MAX;        ///< bytes that executing the plan holds
  double max_error = 0;  ///< of a convolution, relative to its largest result; 0: no limit
  /// Error budget of the outputs against single precision, verified by measurement: the largest
  /// difference as a fraction of the output's range, above 0, and the least cosine, in [0, 1).
  /// Infinity and -1: no limit.
  double max_output_error = std::numeric_limits<double>::infinity(), min_cosine = -1;

  /// Seconds of measuring the primitives that could change the plan; 0: none. The times are added
  /// to `profile`, if it is given, else to this machine's own.
  double refine = 0;
  /// Seconds of running the plan, the library's default and the best single primitive, of which the
  /// fastest is kept; 0: none.
  double confirm = 0;
  double time_limit = 5;  ///< seconds for proving that no plan is better

  Messages messages;
  Watch watch;
  /// Gives each thread a processor of its own while networks are run, and leaves them there.
  bool bind_threads = false;
};

/// The fastest plan within the limits. Writes no file but for `refine` and MachineRates::kept.
Result<Plan> plan_network(const Network& network, const PlanOptions& options);

/// The ranges of all tensors on these samples and, unless they are left out, the outputs'
/// sensitivities, for which the network runs some hundred times: twice for each tensor and each
/// layer's weights in bf16, and in int8 by `range`. Of the options that and those of the machine
/// count. A quantised model has no use for sensitivities and gets none.
Result<Calibration> calibrate_network(const Network& network, const InputSamples& samples,
                                      const PlanOptions& options, bool with_sensitivities = true);

/// This machine with its peak and bandwidths, from the place that `rates` says.
Result<Platform> measured_platform(Isa isa, int threads, MachineRates rates,
                                   const Messages& messages = {});

}  // namespace convopt
