// Products of an image with one factor per channel, folded into the convolution that reads them:
// squeeze and excitation ends like that.
#pragma once

#include <optional>

#include "convopt/workload.hpp"

namespace convopt {

/// The convolution of that product, computed from the image and the factors. None unless both are
/// in f32, the factors are n x c x 1 x 1, the product has no epilogue and the convolution no
/// groups.
std::optional<Workload> scaled_convolution(const Workload& product, const Workload& convolution);

}  // namespace convopt
