// How far an output is from what it should be.
#pragma once

#include <span>

namespace convopt {

struct Difference {
  double error = 0;   ///< max|result - expected| / (max - min) of what is expected
  double cosine = 1;  ///< of the angle between both, as vectors
};

/// Of tensors of equal length. An output that is constant has the range of its largest absolute
/// value, and one of zeros that of 1. The error is infinite and the cosine -1 if a result is not
/// finite where what is expected is, or the other way round.
Difference difference(std::span<const float> result, std::span<const float> expected);

/// The larger error and the smaller cosine.
Difference worse(const Difference& a, const Difference& b);

}  // namespace convopt
