// Collects what the page of a plan shows.
#pragma once

#include <span>

#include "convopt/measurement.hpp"
#include "convopt/model.hpp"
#include "src/report/report.h"
#include "src/runtime/timing.h"
#include "src/select/select.h"

namespace convopt {

/// What is known when a plan is to be shown. All of it outlives the call.
struct ReportSources {
  const Selection& selection;             ///< of the same network; its plan is not looked at
  const Plan& plan;                       ///< the selection's, or another one
  const Platform& platform;               ///< of the selection
  const PerformanceModel* model;          ///< null: there is none
  std::span<const double> steps_ns = {};  ///< measured in the running network; empty: not measured
  const Profile* profile = nullptr;       ///< to hold the model against; null: none
};

/// Steps, candidates, totals by prediction, what the model knows and where which family is fastest.
/// Fails if the plan cannot be executed here.
Result<Report> gather(const ReportSources& sources);

}  // namespace convopt
