// A network as bundles hold it: what is needed to run it, resolved, so that reading infers nothing.
#pragma once

#include <cstddef>
#include <functional>
#include <span>
#include <string>

#include "convopt/error.hpp"
#include "convopt/network.hpp"
#include "core/json.h"

namespace convopt {

/// A range of the weights: offset in bytes and number of floats.
struct StoredRange {
  std::size_t offset = 0, count = 0;
};

/// `range_of` is told the operator and whether its bias is meant.
Json network_form(const Network& network,
                  const std::function<StoredRange(std::size_t, bool)>& range_of);

/// `numbers` makes an array of a range, or fails.
Result<Network> network_of_form(const Json& form, const std::string& what,
                                const std::function<Result<FloatArray>(StoredRange)>& numbers);

}  // namespace convopt
