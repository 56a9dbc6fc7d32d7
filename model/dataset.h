// Profiles as training rows.
#pragma once

#include <array>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "convopt/measurement.hpp"
#include "model/categories.h"
#include "model/cost_terms.h"
#include "model/matrix.h"

namespace convopt {

/// Smallest weight of a sample in a fit. Primitives far slower than the best rarely change a
/// decision, but their intervals and the fall-backs of unusual shapes need some care.
inline constexpr double kLeastWeight = 0.2;

struct Sample {
  std::size_t workload = 0, primitive = 0, platform = 0;  ///< indices into the data set's lists
  std::size_t group = 0;  ///< shapes of one group are never split between training and test
  double log_ns = 0;      ///< of the median; of the bound where censored
  /// The baseline that a model corrects: the analytic time, or the prediction of the model of
  /// another type.
  double log_expected = 0;
  CostTerms terms{};
  double relevance = 1;  ///< fastest primitive's time of this workload over this one's
  bool censored = false;

  double log_ratio() const { return log_ns - log_expected; }
};

struct Dataset {
  TimingMode timing_mode = TimingMode::warm;
  std::vector<Platform> platforms;
  std::vector<Workload> workloads;
  std::vector<PrimitiveInfo> primitives;  ///< of one name several, where traits differ by platform
  std::vector<std::string> groups;        ///< workloads without epilogue
  Libraries libraries;
  std::vector<Sample> samples;
  CategoryCodes codes = CategoryCodes::current();  ///< of the features
  FeatureMatrix features;   ///< row i belongs to sample i; prior features are not filled in
  std::size_t skipped = 0;  ///< records with a time but without a known primitive or a usable value

  std::vector<std::size_t> all_rows() const;
  /// As if there were no samples but those of primitives that compute in this type.
  Dataset only(DataType type) const;
};

/// A workload without its epilogue: whether a shape was seen is decided by this.
std::string shape_group(const Workload& workload);

/// The types that a model has trees of its own for, the one that others are corrected from first.
inline constexpr std::array kArithmeticTypes = {DataType::f32, DataType::bf16, DataType::s8};
/// s8 for everything that multiplies, reads or writes s8 or u8; else bf16 likewise; else f32.
DataType arithmetic_type(const PrimitiveInfo& primitive);

std::string op_of(const PrimitiveInfo& primitive);
/// Operation and algorithm, `conv/winograd`: primitives that were never timed are predicted by
/// their kind.
std::string kind_of(const PrimitiveInfo& primitive);

/// Inapplicable and failed records are dropped. Without `mode`, all runs must share one; with it,
/// others are left out. Fails if nothing remains. `codes` are those of the model that reads the
/// features.
Result<Dataset> make_dataset(std::span<const Profile> profiles,
                             std::optional<TimingMode> mode = std::nullopt,
                             const CategoryCodes& codes = CategoryCodes::current());

/// Fold of each group: a seeded shuffle dealt out evenly.
std::vector<int> fold_of_group(const Dataset& data, int folds, std::uint64_t seed);
/// Of these groups; all others have fold -1.
std::vector<int> fold_of_group(const Dataset& data, const std::set<std::size_t>& groups, int folds,
                               std::uint64_t seed);

}  // namespace convopt
