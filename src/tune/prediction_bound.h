// What a plan errs on inputs that it was not measured on.
#pragma once

#include <cstddef>
#include <span>

#include "src/runtime/difference.h"

namespace convopt {

/// Fewer differences have no spread that says anything.
constexpr std::size_t kLeastForBound = 3;

/// The one-sided 99 % prediction bound of the next difference, if these are of inputs of its kind:
/// error and cosine that one such input in a hundred exceeds. The error and the cosine's distance
/// from 1 are taken as log-normal: over 16 inputs of each of four trained networks the logarithm of
/// the error had a standard deviation of 0.4 to 1.3, and largest values that a normal distribution
/// has, too. Never below the worst that is given; that, if there are fewer than kLeastForBound.
/// Hahn and Meeker, Statistical Intervals (1991), section 4.7.
Difference prediction_bound(std::span<const Difference> differences);

/// The 99 % quantile of Student's distribution, by Fisher's expansion in the inverse of the degrees
/// of freedom (Abramowitz and Stegun 26.7.5): 2 % too low for two, 0.1 % for four.
double student_quantile_99(std::size_t degrees_of_freedom);

}  // namespace convopt
