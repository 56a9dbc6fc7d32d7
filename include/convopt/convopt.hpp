// Everything that a program may use of convopt (docs/guide/library.md).
#pragma once

#include <string_view>

#include "convopt/calibration.hpp"
#include "convopt/error.hpp"
#include "convopt/measurement.hpp"
#include "convopt/model.hpp"
#include "convopt/network.hpp"
#include "convopt/npy.hpp"
#include "convopt/plan.hpp"
#include "convopt/planner.hpp"
#include "convopt/planning.hpp"
#include "convopt/platform.hpp"
#include "convopt/precision.hpp"
#include "convopt/primitive.hpp"
#include "convopt/profiling.hpp"
#include "convopt/session.hpp"
#include "convopt/tensor.hpp"
#include "convopt/transfer.hpp"
#include "convopt/weights.hpp"
#include "convopt/workload.hpp"

namespace convopt {

/// Of the library that is linked, such as "0.1.0".
std::string_view version();

}  // namespace convopt
