// A prediction put together from what the source knows and from what samples of this machine say.
#pragma once

#include <map>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "model/field.h"
#include "model/law.h"

namespace convopt {

/// What a blend is made of, for one row.
struct BlendInput {
  double log_ratio = 0;     ///< what effects and trees say: log(time / analytic time)
  double log_analytic = 0;  ///< log of the analytic time
  const LawTerms* terms = nullptr;
  const Workload* workload = nullptr;
  const PrimitiveInfo* primitive = nullptr;
};

/// log time = offset + slope * log_ratio + size * log_analytic + the primitive's own
///            + weighted logarithms of laws + fields.
/// The default is the source as it is. All of it is linear, so that an average of blends is one.
struct Blend {
  double offset = 0, slope = 1, size = 1;
  std::map<std::string, double, std::less<>> own{};  ///< by primitive
  std::vector<std::pair<double, Laws>> laws{};
  std::vector<Field> fields{};

  static Blend nothing() { return {.slope = 0, .size = 0}; }
  Blend& add(const Blend& other, double weight);
  static Blend average(std::span<const Blend> blends);
};

/// Looks up each primitive and workload once, however often it is asked about: inputs that are the
/// same objects are taken to be the same.
class BlendReader {
 public:
  explicit BlendReader(const Blend& blend) : blend_(blend) {}
  double log_ns(const BlendInput& input);

 private:
  struct OfPrimitive {
    double own = 0;
    std::vector<Law> laws;
    std::vector<std::vector<double>> factors;  ///< one per field; sum of all levels
  };
  const Blend& blend_;
  std::map<const PrimitiveInfo*, OfPrimitive> primitives_;
  std::map<const Workload*, std::vector<std::vector<double>>> kernels_;
};

}  // namespace convopt
