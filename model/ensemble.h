// A weighted sum of predictors: the source model's trees and analytic time, factors per primitive,
// linear cost models and Gaussian processes.
#pragma once

#include <map>
#include <span>
#include <string>
#include <vector>

#include "model/gaussian_process.h"
#include "model/linear_cost.h"

namespace convopt {

/// One row to predict.
struct EnsembleInput {
  double log_ratio = 0;     ///< intercept and trees: log(time / expected time)
  double log_expected = 0;  ///< log of the expected time, which is the analytic one but for types
  const CostTerms* terms = nullptr;
  const Workload* workload = nullptr;
  const PrimitiveInfo* primitive = nullptr;
};

struct WeightedCosts {
  double weight = 0;  ///< of the logarithm of the time that they predict
  LinearCosts costs;
};

/// log time = offset + slope * log_ratio + size * log_expected + factor of the primitive
///            + weighted logarithms of cost models + Gaussian processes.
/// By default, the source model as it is. The sum is linear, so that an average of ensembles is
/// one.
struct Ensemble {
  double offset = 0, slope = 1, size = 1;
  /// Logarithm of a primitive's factor by its name, else by its kind.
  std::map<std::string, double, std::less<>> own{};
  std::vector<WeightedCosts> costs{};
  std::vector<GaussianProcess> processes{};

  static Ensemble nothing() { return {.slope = 0, .size = 0}; }
  Ensemble& add(const Ensemble& other, double weight);
};

/// Predicts row by row and looks up each primitive and workload once, however often it is asked
/// about: inputs that are the same objects are taken to be the same.
class EnsembleReader {
 public:
  explicit EnsembleReader(const Ensemble& ensemble) : ensemble_(ensemble) {}
  double log_ns(const EnsembleInput& input);

 private:
  struct OfPrimitive {
    double own = 0;
    std::vector<LinearCost> costs;
    std::vector<std::vector<double>> factors;  ///< one per process; sum of all levels
  };
  const Ensemble& ensemble_;
  std::map<const PrimitiveInfo*, OfPrimitive> primitives_;
  std::map<const Workload*, std::vector<std::vector<double>>> kernels_;
};

}  // namespace convopt
