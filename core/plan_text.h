// How plans write what they are about.
#pragma once

#include <string>

#include "convopt/workload.hpp"

namespace convopt {

/// The shape within the workload's text: `n1_ic3_…` of `conv:n1_ic3_…:relu`.
inline std::string shape_text(const Workload& workload) {
  const std::string text = workload.text();
  const std::size_t start = text.find(':') + 1;
  return text.substr(start, text.find(':', start) - start);
}

}  // namespace convopt
