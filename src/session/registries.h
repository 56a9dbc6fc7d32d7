// One registry per context serves all sessions of a process: making one asks oneDNN about dozens of
// shapes, which takes longer than preparing a small network.
#pragma once

#include <memory>

#include "convopt/primitive.hpp"

namespace convopt {

/// The registry lives as long as a pointer to it. May be called from several threads.
Result<std::shared_ptr<const Registry>> shared_registry(const Context& context);

}  // namespace convopt
