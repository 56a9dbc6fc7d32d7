// How families of primitives look: each has a colour, a pattern, a marker and two letters, so that
// none of them has to be told by its hue alone.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "src/report/report.h"

namespace convopt {

/// Colours and patterns that the style sheet (assets.h) and pattern_definitions() have.
inline constexpr int kLooks = 8;

class Families {
 public:
  /// Those of the report, the one that takes most time first.
  explicit Families(const Report& report);
  /// Other names that have to be told apart, in this order.
  explicit Families(std::vector<std::string> names);

  const std::vector<std::string>& names() const { return names_; }
  /// Two letters, different for each family as long as there are enough.
  std::string code(std::string_view family) const;
  /// Value of `fill`.
  std::string fill(std::string_view family) const;
  /// Class of a line in the family's colour.
  std::string stroke(std::string_view family) const;
  /// A square in the family's colour and pattern.
  std::string swatch(std::string_view family) const;
  /// A shape around a point, `radius` pixels large.
  std::string marker(std::string_view family, double x, double y, double radius,
                     const std::string& more_class = "") const;
  /// A hidden SVG image with the patterns, to stand before whatever uses them.
  std::string pattern_definitions() const;
  /// Swatch, marker and name of each of these families.
  std::string legend(const std::vector<std::string>& families, bool with_markers) const;

 private:
  std::size_t place(std::string_view family) const;
  void find_codes();

  std::vector<std::string> names_, codes_;
};

}  // namespace convopt
