// Transfer curves: a model of other platforms is adapted to an unseen one with more and more of its
// times, and evaluated on the remaining shapes.
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
  std::vector<std::size_t> shapes = {0, 1, 3, 10, 30, 100};  ///< numbers above the data are skipped
  int draws = 10;
  std::uint64_t seed = 1;
  int threads = 1;
  /// Shapes are selected as `transfer` selects them (sample_selection.h), out of a random half of
  /// all. Otherwise all of them are random.
  bool select_samples = false;
  /// Networks whose plans are evaluated, too, if the profile holds all of their times. Their layers
  /// are never learnt from. They outlive the call.
  std::span<const Network> networks{};
  /// Methods shown, besides `transfer`'s own choice by cross-validation.
  std::vector<TransferMethod> methods{kTransferMethods.begin(), kTransferMethods.end()};
};

/// One method with one number of shapes, over all draws.
struct CurvePoint {
  std::string method;
  std::size_t shapes = 0;
  double error = 0;        ///< mean of the draws' median relative errors
  double spearman = 0;     ///< mean
  double regret = 1;       ///< mean; in each draw: sum of chosen over sum of best times
  double worst_error = 0;  ///< over all draws
  double worst_regret = 1;
  /// Mean over draws of the mean over networks, and the worst of all; 0 without networks.
  double network_regret = 0, worst_network_regret = 0;
  double worst_draw_network_regret = 0;  ///< the draw with the worst mean over networks
  std::map<std::string, int> kept;       ///< automatic choice only: draws that kept each method
  double seconds = 0;                    ///< mean time of comparing and learning
  double profile_seconds = 0;            ///< mean time that timing the shapes would take
};

struct Curve {
  std::string platform;              ///< the target
  std::vector<std::string> sources;  ///< platforms of the source model
  std::size_t shapes = 0, primitives = 0;
  std::size_t networks = 0;
  int draws = 0;
  std::vector<CurvePoint> points;  ///< by method, then by number of shapes
};

/// Name of the automatic choice among the points.
inline constexpr const char* kAutomatic = "auto";

/// The curve of one target platform, which `source` has not seen. Each shape comes with the times
/// of all its primitives. Fails with `bad_input` if the profile is of several platforms.
Result<Curve> transfer_curve(const TrainedModel& source, const Profile& target,
                             const CurveOptions& options);

}  // namespace convopt
