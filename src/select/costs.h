// Costs of a primitive on a workload: measured, predicted, or measured where possible.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "convopt/error.hpp"
#include "convopt/measurement.hpp"
#include "convopt/model.hpp"
#include "convopt/platform.hpp"
#include "core/timing_key.h"

namespace convopt {

struct Cost {
  enum class Source : std::uint8_t {
    unknown,   ///< nothing is known: the primitive cannot be chosen by these costs
    excluded,  ///< it failed, crashed or hung when it was measured: it must not be chosen
    bound,     ///< cut short while measured: no faster than this
    predicted,
    measured,
  };
  Source source = Source::unknown;
  Estimate estimate;   ///< for bound, predicted and measured
  std::string reason;  ///< for unknown and excluded: one sentence
  /// Penalty on uncertainty: the selection minimises `risk_factor` times the expected time.
  double risk_factor = 1;

  bool usable() const { return source >= Source::bound; }
  /// What the selection minimises; reports show the estimate.
  double risk_adjusted_ns() const { return risk_factor * estimate.ns; }
  /// Where a usable time comes from, in words.
  std::string source_text() const;
};

class CostSource {
 public:
  virtual ~CostSource() = default;
  /// One cost per query, in order. Queries of the same workload that follow each other are answered
  /// fastest.
  virtual Result<std::vector<Cost>> costs(std::span<const Query> queries) const = 0;
};

/// Predictions of the model for the platform. Both outlive this.
class PredictedCosts final : public CostSource {
 public:
  PredictedCosts(const PerformanceModel& model, const Platform& platform)
      : model_(model), platform_(platform) {}
  Result<std::vector<Cost>> costs(std::span<const Query> queries) const override;

 private:
  const PerformanceModel& model_;
  const Platform& platform_;
};

/// Times that were measured on this machine at this ISA level with this number of threads, in this
/// timing mode, with these builds of the libraries, by the primitive's present revision. Intervals
/// hold 90 % of the samples if they are normally distributed. Later measurements replace earlier
/// ones, except that a time is not replaced by its absence.
class MeasuredCosts final : public CostSource {
 public:
  MeasuredCosts(const Profile& profile, const Platform& platform, TimingMode timing_mode,
                const Libraries& libraries);
  Result<std::vector<Cost>> costs(std::span<const Query> queries) const override;

  std::size_t size() const { return entries_.size(); }

 private:
  std::unordered_map<TimingKey, Cost> entries_;  ///< with revisions
};

/// Measured costs, else predicted ones. Where a measurement was cut short, the prediction counts
/// unless it is below the bound. Both outlive this.
class MeasuredOrPredicted final : public CostSource {
 public:
  MeasuredOrPredicted(const CostSource& measured, const CostSource& predicted)
      : measured_(measured), predicted_(predicted) {}
  Result<std::vector<Cost>> costs(std::span<const Query> queries) const override;

 private:
  const CostSource& measured_;
  const CostSource& predicted_;
};

/// Costs of one source where another source knows a cost, too, so that a plan made with them can be
/// priced by the other. Both outlive this.
class CostsWhereKnown final : public CostSource {
 public:
  CostsWhereKnown(const CostSource& costs, const CostSource& known)
      : costs_(costs), known_(known) {}
  Result<std::vector<Cost>> costs(std::span<const Query> queries) const override;

 private:
  const CostSource& costs_;
  const CostSource& known_;
};

}  // namespace convopt
