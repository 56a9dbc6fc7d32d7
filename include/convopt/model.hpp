// Performance models: the expected time of any workload with any primitive on a platform.
#pragma once

#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "convopt/error.hpp"
#include "convopt/measurement.hpp"
#include "convopt/platform.hpp"
#include "convopt/primitive.hpp"
#include "convopt/workload.hpp"

namespace convopt {

struct Estimate {
  double ns = 0;
  double low_ns = 0,
         high_ns = 0;         ///< interval that holds the time with the model's stated coverage
  bool extrapolated = false;  ///< the workload lies outside what the model was trained on
};

struct Query {
  const Workload* workload = nullptr;
  const PrimitiveInfo* primitive = nullptr;
};

/// How a model was made and how good it was on workloads it had not seen.
struct ModelInfo {
  std::string id;  ///< changes with the content
  std::vector<std::string> platforms;
  std::vector<std::string> primitives;  ///< names it was trained on
  TimingMode timing_mode = TimingMode::warm;
  std::size_t samples = 0, workloads = 0;
  double holdout_mdrae = 0;  ///< median relative absolute error, cross-validated by workload
  double interval_coverage = 0;
  std::uint64_t seed = 0;
  Libraries libraries;
};

class PerformanceModel {
 public:
  virtual ~PerformanceModel() = default;
  virtual const ModelInfo& info() const = 0;
  /// One estimate per query, in order. `platform` carries the measured peak and bandwidths of the
  /// machine asked about.
  virtual Result<std::vector<Estimate>> predict(std::span<const Query> queries,
                                                const Platform& platform) const = 0;
  virtual Result<void> save(const std::filesystem::path& path) const = 0;
};

Result<std::unique_ptr<PerformanceModel>> load_model(const std::filesystem::path& path);

}  // namespace convopt
