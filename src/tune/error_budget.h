// Plans within an error budget, verified by measurement.
#pragma once

#include <chrono>
#include <functional>
#include <limits>
#include <span>
#include <string>

#include "convopt/calibration.hpp"
#include "convopt/weights.hpp"
#include "src/runtime/buffers.h"
#include "src/runtime/difference.h"
#include "src/select/select.h"

namespace convopt {

/// Limits of the outputs' deviation from the plan in the network's own types, on inputs like those
/// that it is measured on.
struct ErrorBudget {
  double max_error = std::numeric_limits<double>::infinity();  ///< Difference::error
  double min_cosine = -1;

  bool is_limited() const {
    return max_error < std::numeric_limits<double>::infinity() || min_cosine > -1;
  }
  bool holds(const Difference& d) const { return d.error <= max_error && d.cosine >= min_cosine; }
  /// The square of the error over that of the admissible one: 1 is just admissible. The cosine's
  /// distance from 1 is a square already.
  double share(const Difference& d) const;
};

struct ErrorReport {
  Difference difference;  ///< of the plan, the largest over outputs and samples
  Difference bound;       ///< prediction_bound() of those of the samples: what the budget limits
  int plans = 0;          ///< that were run
  bool changed = false;   ///< the fastest plan did not keep the budget
  bool in_own_types = false;  ///< and no other was found that does, but that in the network's types
};

/// Runs the selection's plan on the samples and compares its outputs. If other inputs may differ by
/// more than the budget allows, measures the effect of rounding each tensor and each layer's
/// weights on the outputs, and replaces the selection by the fastest plan found that keeps the
/// budget when it is run. The plan in the network's own types always does. Effects that are
/// `recorded` for every place which some plan rounds to a type are not measured for that type;
/// those of int8 have to be by the selection's scales. `note` is called before steps that take
/// long.
Result<ErrorReport> fit_error(Selection& selection, const Platform& platform,
                              const WeightSource& weights, std::span<const Buffers> samples,
                              const ErrorBudget& budget, std::chrono::duration<double> time_limit,
                              const std::function<void(const std::string&)>& note = {},
                              const Calibration* recorded = nullptr);

}  // namespace convopt
