// Random intercepts: the mean log ratio of each primitive's time to the analytic time, shrunk
// towards that of its kind where there are few samples. An unseen primitive gets its kind's.
#pragma once

#include <map>
#include <span>
#include <string>

#include "model/dataset.h"

namespace convopt {

/// Means of log(time / analytic time).
struct Intercepts {
  double overall = 0;
  std::map<std::string, double> by_kind;  ///< operation and algorithm
  std::map<std::string, double, std::less<>> by_primitive;

  static Intercepts fit(const Dataset& data, std::span<const std::size_t> rows);
  double of(const PrimitiveInfo& primitive) const;
  bool knows(const PrimitiveInfo& primitive) const { return by_primitive.contains(primitive.name); }
};

}  // namespace convopt
