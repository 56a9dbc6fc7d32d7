// What trees are told of a primitive before they look at a shape: its effect, and what its law
// says. Laws are physics and hold beyond the shapes seen; the trees learn where and how far they
// can be trusted.
#pragma once

#include <map>
#include <span>
#include <string>

#include "model/effects.h"
#include "model/law.h"

namespace convopt {

struct Background {
  Effects effects;
  Laws laws;  ///< of all platforms together
  /// By identifier, drawn to the common ones: a model of several platforms knows each of them
  /// nearly as well as a model of its own would.
  std::map<std::string, Laws, std::less<>> of_platform;

  static Background fit(const Dataset& data, std::span<const std::size_t> rows);
  /// Null for a platform that was never seen.
  const Laws* laws_of(const Platform& platform) const;
  /// That platform's, else the common ones.
  const Laws& laws_near(const Platform& platform) const;
};

/// Fills in the last columns of a row of features: see feature_names(). Without a law, those that
/// speak of it stay empty.
void write_background(double effect, const Law* law, const LawTerms& terms, double log_analytic,
                      std::span<float> row);

}  // namespace convopt
