// Filter of primitives by lists of names and families.
#pragma once

#include <string>
#include <vector>

#include "convopt/error.hpp"
#include "convopt/primitive.hpp"

namespace convopt {

struct PrimitiveFilter {
  std::vector<std::string> allow, exclude;  ///< no `allow`: all

  bool empty() const { return allow.empty() && exclude.empty(); }
  bool operator()(const PrimitiveInfo& info) const;
  /// Refuses names that no primitive and no family has.
  Result<void> check(const Registry& registry) const;
};

}  // namespace convopt
