// Everything that a program may use of convopt (docs/guide/library.md).
#pragma once

#include "convopt/bundle.hpp"
#include "convopt/error.hpp"
#include "convopt/measurement.hpp"
#include "convopt/model.hpp"
#include "convopt/network.hpp"
#include "convopt/npy.hpp"
#include "convopt/plan.hpp"
#include "convopt/planner.hpp"
#include "convopt/platform.hpp"
#include "convopt/primitive.hpp"
#include "convopt/session.hpp"
#include "convopt/tensor.hpp"
#include "convopt/version.hpp"
#include "convopt/weights.hpp"
#include "convopt/workload.hpp"
