// A physical law per primitive: its time is a sum of costs that cannot be negative, each of them
// counted from the shape and turned into nanoseconds by what the platform can do. With five to
// seven coefficients it is what few samples can support, and because a coefficient means the same
// on every platform, the source's laws say where those of a new machine should lie.
#pragma once

#include <array>
#include <map>
#include <span>
#include <string>

#include "model/analytic.h"

namespace convopt {

struct Dataset;

inline constexpr int kLawTerms = 10;

/// What each cost would take by first principles, in nanoseconds; a law's coefficients say how many
/// times that long it takes.
using LawTerms = std::array<double, kLawTerms>;

/// `call`, `arithmetic`, ...: the order of the terms, and of the coefficients in a model file.
std::span<const std::string_view> law_term_names();

LawTerms law_terms(const WorkEstimate& work, const Capabilities& machine, TimingMode mode);

struct Law {
  std::array<double, kLawTerms> coefficients{};

  double log_ns(const LawTerms& terms) const;
  Law times(const Law& factors) const;
  Law scaled(double factor) const;
};

struct LawSample {
  LawTerms terms{};
  double log_ns = 0;
  double weight = 1;
  bool lower_bound = false;  ///< the truth is `log_ns` or more
};

/// Minimises the squared errors of the logarithm, large ones counting linearly, and the distance
/// of every coefficient from the prior's, of which `deviation` is the standard deviation relative
/// to the coefficient. Coefficients of the prior are not all zero. Without samples: the prior.
Law fit_law(std::span<const LawSample> samples, const Law& prior, double deviation);

/// One law per primitive, and one per kind (operation and algorithm) and operation for primitives
/// that were never timed.
struct Laws {
  std::map<std::string, Law, std::less<>> by_primitive, by_kind, by_op;
  std::map<std::string, std::string, std::less<>> op_of_primitive;

  /// From nothing but these samples.
  static Laws fit(const Dataset& data, std::span<const std::size_t> rows);
  /// From another machine's laws: one factor, then a factor for each of the costs, both common to
  /// all primitives, then what is left to each primitive. `deviation` is that of the last step.
  /// With `beyond`, one per row, laws are fitted to what is left of the logarithms of times after
  /// `share` of it.
  static Laws adapt(const Laws& source, const Dataset& data, std::span<const std::size_t> rows,
                    double deviation, std::span<const double> beyond = {}, double share = 0);

  Law of(const PrimitiveInfo& primitive) const;
  bool empty() const { return by_op.empty(); }
};

/// Operation and algorithm: what a primitive that was never timed is judged by.
std::string kind_of(const PrimitiveInfo& primitive);

}  // namespace convopt
