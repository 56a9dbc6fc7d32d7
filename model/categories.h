// Codes of categorical features. Trees compare the codes, so a code must never change its meaning:
// every model file holds the tables that it was trained with and is evaluated with them, whatever
// the enumerations of this version look like.
#pragma once

#include <array>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "convopt/platform.hpp"
#include "convopt/primitive.hpp"
#include "convopt/workload.hpp"

namespace convopt {

class CategoryCodes {
 public:
  /// Code of each category of one feature.
  using Table = std::map<std::string, int, std::less<>>;
  /// One table per categorical feature: `op`, `activation`, `algorithm`, `layout`, `vendor`,
  /// `type`. The empty table `unit` says tells_units().
  using Tables = std::map<std::string, Table, std::less<>>;

  /// What new models are trained with: frozen(), and the next free codes for categories it lacks.
  static const CategoryCodes& current();
  /// Codes of model files written before they carried tables. Never changes.
  static const CategoryCodes& frozen();

  /// Fails with the end of a sentence if a feature of frozen() has no table or two categories share
  /// a code.
  static Result<CategoryCodes> create(Tables tables);

  const Tables& tables() const { return tables_; }

  /// NaN for a category that the tables do not know: the trees take it as "not known".
  float of(Op op) const { return code(op_, op); }
  float of(ActivationKind kind) const { return code(activation_, kind); }
  float of(Algorithm algorithm) const { return code(algorithm_, algorithm); }
  float of(Layout layout) const { return code(layout_, layout); }
  float of(DataType type) const { return code(type_, type); }
  float of_vendor(std::string_view vendor) const;

  /// Whether features tell vector registers from tile registers (AMX).
  bool tells_units() const { return tables_.contains("unit"); }

  bool operator==(const CategoryCodes& other) const { return tables_ == other.tables_; }

 private:
  explicit CategoryCodes(Tables tables);
  template <class E>
  static float code(const std::vector<float>& codes, E value) {
    return codes[static_cast<std::size_t>(value)];
  }

  Tables tables_;
  std::vector<float> op_, activation_, algorithm_, layout_, type_;  ///< by value
  std::vector<float> vendor_;                                       ///< in the order of kVendors
};

}  // namespace convopt
