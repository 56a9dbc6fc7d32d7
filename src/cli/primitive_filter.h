// Filter of primitives by lists of names and families.
#pragma once

#include <CLI/CLI.hpp>
#include <string>
#include <vector>

#include "convopt/error.hpp"
#include "convopt/primitive.hpp"

namespace convopt::cli {

class PrimitiveFilter {
 public:
  void add_allow(CLI::App& verb, const std::string& option, const std::string& help);
  void add_exclude(CLI::App& verb, const std::string& option, const std::string& help);

  bool empty() const { return allow_.empty() && exclude_.empty(); }
  bool operator()(const PrimitiveInfo& info) const;
  /// Refuses names that no primitive and no family has.
  Result<void> check(const Registry& registry) const;

 private:
  std::vector<std::string> allow_, exclude_;
};

}  // namespace convopt::cli
