// What the page of a plan shows, as plain values: gather.h finds them, page.h draws them.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "convopt/plan.hpp"
#include "convopt/platform.hpp"
#include "convopt/tensor.hpp"

namespace convopt {

inline constexpr double kNsPerUs = 1e3;

/// Another way to compute a workload.
struct ReportCandidate {
  std::string primitive, family;
  TensorFormat input, output;
  double us = 0, low_us = 0, high_us = 0;
  std::string source;  ///< "measured", "predicted", "extrapolated", "cut short"
};

/// Primitives that are not available for the same reason.
struct ReportAbsence {
  std::string reason;
  std::vector<std::string> primitives;
};

/// What one or several layers compute.
struct ReportWorkload {
  std::string text;                         ///< canonical
  std::vector<ReportCandidate> candidates;  ///< fastest first
  std::vector<ReportAbsence> absent;        ///< most primitives first
};

/// A layer or a conversion, in the order of execution.
struct ReportStep {
  std::string name;  ///< of the operator, or of the tensor that is converted
  std::vector<std::string> fused;
  bool is_conversion = false;
  std::string shape;  ///< `conv:n1_ic64_…`
  std::string primitive, family;
  TensorFormat input, output;
  double us = 0, low_us = 0, high_us = 0;  ///< by the plan
  std::string source;                      ///< of the plan's time
  std::optional<double> model_us;          ///< what the model predicts
  std::optional<double> measured_us;       ///< in the running network, else in the profile
  double flops = 0;                        ///< nominal: by the definition of the operation
  double bytes = 0;                        ///< of tensors and packed weights, each once
  DataType product_type = DataType::f32;
  int workload = -1;  ///< index into Report::workloads; -1: nothing is known of other ways
  std::string default_primitive;     ///< what the library would take for it; empty: unknown
  std::optional<double> default_us;  ///< its time
};

/// A plan for the whole network.
struct ReportTotal {
  std::string name;
  double predicted_ms = 0;
  std::optional<double> measured_ms;
};

/// Which family is fastest for convolutions of one kernel, by channels and size of the image.
struct ReportRegions {
  struct Cell {
    std::string family, primitive;  ///< empty: nothing computes it
    double us = 0;
    std::string next_family;
    double next_us = 0;  ///< fastest of any other family; 0: there is none
  };
  int kernel = 3;
  std::vector<int> channels, sizes;               ///< source and result have as many channels
  std::vector<std::vector<Cell>> cells;           ///< by channels, then by size
  std::vector<std::pair<double, double>> layers;  ///< channels and size of those of the network
};

/// How measured times compare with the model's predictions of them.
struct ReportErrors {
  std::string family;     ///< of the primitives; empty: all of them
  std::size_t times = 0;  ///< at least 1
  /// Quantiles of measured over predicted times.
  double low = 1, lower = 1, median = 1, upper = 1, high = 1;  ///< 5, 25, 50, 75 and 95 %
};

/// How good a model gets on a platform that it has not seen, by the number of shapes timed there.
struct ReportCurve {
  struct Point {
    std::size_t shapes = 0;
    double error = 0;              ///< median relative error of predictions, mean of the draws
    double regret = 1, worst = 1;  ///< of plans or choices: mean, and that of the worst draw
  };
  std::string platform;
  std::vector<std::string> sources;  ///< platforms that it had learnt from
  int draws = 0;
  std::size_t networks = 0;  ///< whose plans the regret is of; 0: of single operations
  /// By methods of adapting the model, each by rising numbers of shapes.
  std::vector<std::pair<std::string, std::vector<Point>>> methods;
};

struct ReportCurves {
  std::string file;
  std::optional<double> noise_floor;  ///< regret of planning by measurements
  std::vector<ReportCurve> platforms;
};

struct ReportModel {
  std::string id;
  std::vector<std::string> platforms;
  std::size_t samples = 0;
  double holdout_error = 0;  ///< median relative error on workloads that it had not seen
  double coverage = 0;       ///< share of its intervals that hold the time
  bool knows_machine = false;
};

struct Report {
  std::string network, source, plan_file, made;  ///< when
  Plan plan;
  Platform platform;           ///< where times of candidates are those of
  bool other_machine = false;  ///< the plan was made for another machine than this
  std::vector<ReportStep> steps;
  std::vector<ReportWorkload> workloads;
  std::vector<ReportTotal> totals;  ///< the plan first
  bool is_measured_in_network = false;
  std::string profile;  ///< file of measured times; empty: none
  std::optional<ReportModel> model;
  /// Predicted and measured times, in microseconds, of any primitives of the network's workloads.
  std::vector<std::pair<double, double>> known;
  std::vector<ReportErrors> errors;  ///< all, then families; empty: nothing to compare with
  std::vector<ReportRegions> regions;
  std::optional<ReportCurves> curves;
  std::vector<std::string> commands, notes;
};

}  // namespace convopt
