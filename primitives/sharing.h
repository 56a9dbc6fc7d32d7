// How many threads a workload is worth.
#pragma once

#include "convopt/primitive.hpp"

namespace convopt {

/// The context that a kernel of `primitive` is to be prepared for when `workload` is computed in
/// `context`: one thread where the work is too little for two (kLeastValues, kLeastProducts of
/// primitives/own.h), and so no fork and no join. It is one thread or all of them, because OpenMP
/// ends threads that a smaller team leaves over and makes them anew for the next larger one.
/// Whoever runs or times kernels of networks asks here; kernels use the threads they are given.
Context context_of(const Primitive& primitive, const Workload& workload, const Context& context);

}  // namespace convopt
