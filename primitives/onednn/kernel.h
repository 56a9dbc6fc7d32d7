// A oneDNN primitive with its packed weights, ready to run.
#pragma once

#include <dnnl.hpp>
#include <memory>

#include "convopt/error.hpp"
#include "convopt/primitive.hpp"
#include "primitives/onednn/offers.h"

namespace convopt::onednn {

/// `implementation` empty: what the library takes first.
Result<std::unique_ptr<Kernel>> make_kernel(const dnnl::engine& cpu, const Request& request,
                                            const std::string& implementation,
                                            const Parameters& parameters);

}  // namespace convopt::onednn
