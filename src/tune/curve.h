// What few samples are worth: a model of other platforms adapted to one that it never saw, with
// more and more of its times, judged on the shapes left.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "convopt/measurement.hpp"
#include "convopt/network.hpp"
#include "model/transfer.h"

namespace convopt {

struct CurveOptions {
  std::vector<std::size_t> shapes = {0, 1, 3, 10, 30, 100};  ///< those beyond the data are left out
  int draws = 10;
  std::uint64_t seed = 1;
  int threads = 1;
  /// Shapes are taken as `transfer` takes them, those first that stand for most others, out of a
  /// random half of all. Otherwise all of them are random.
  bool by_coverage = false;
  /// Judged by these, too, as far as the profile holds all of their times. What their plans consist
  /// of is never learnt from. They outlive the call.
  std::span<const Network> networks{};
  /// Methods shown. What `transfer` itself would do, compared by cross-validation, is always shown.
  std::vector<TransferMethod> methods{kTransferMethods.begin(), kTransferMethods.end()};
};

/// One method with one number of shapes, over all draws.
struct CurvePoint {
  std::string method;
  std::size_t shapes = 0;
  double error = 0;     ///< mean of the draws' median relative errors
  double spearman = 0;  ///< mean
  double regret = 1;    ///< mean; of each draw: times of the chosen over those of the best, summed
  double worst_error = 0;  ///< of all draws
  double worst_regret = 1;
  /// Mean over draws of the mean over networks, and the worst of all; 0 without networks.
  double network_regret = 0, worst_network_regret = 0;
  double worst_draw_network_regret = 0;  ///< the draw with the worst mean over networks
  std::map<std::string, int> kept;       ///< automatic choice only: how often each method was kept
  double seconds = 0;                    ///< mean time that comparing and learning took
};

struct Curve {
  std::string platform;              ///< the one left out
  std::vector<std::string> sources;  ///< platforms that were learnt from
  std::size_t shapes = 0, primitives = 0;
  std::size_t networks = 0;
  int draws = 0;
  std::vector<CurvePoint> points;  ///< by method, then by number of shapes
};

/// Name of the automatic choice among the points.
inline constexpr const char* kAutomatic = "automatic";

/// `source` must not have seen the platform of `target`, which is one. A configuration is a shape
/// with all of its primitives.
Result<Curve> transfer_curve(const TrainedModel& source, const Profile& target,
                             const CurveOptions& options);

/// Two plots, error and regret over the number of shapes, as one SVG document.
std::string curve_svg(std::span<const Curve> curves);

}  // namespace convopt
