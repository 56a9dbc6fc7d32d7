// Facts about this processor.
#pragma once

#include "convopt/platform.hpp"

namespace convopt {

/// Facts from CPUID, sysfs and /proc, without measuring. Facts that a container or virtual machine
/// hides are 0 or empty.
Machine machine_facts();

}  // namespace convopt
