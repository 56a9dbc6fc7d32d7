// Plots of transfer curves.
#pragma once

#include <span>
#include <string>

#include "src/tune/transfer_curve.h"

namespace convopt {

/// Two plots per curve, error and regret over the number of shapes, as one SVG document.
std::string curve_svg(std::span<const Curve> curves);

}  // namespace convopt
