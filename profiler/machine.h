// Where does it run? Facts about the processor, and what its cores were seen to reach.
#pragma once

#include <string>

#include "convopt/error.hpp"
#include "convopt/platform.hpp"

namespace convopt {

/// What CPUID, sysfs and /proc say; no measuring. What a container or virtual machine hides stays 0
/// or empty.
Machine machine_facts();

/// 10^9 floating-point operations per second that `threads` threads reach together with
/// multiply-adds on registers only, at this moment. Takes about 0.2 s.
double measured_peak_gflops(Isa isa, int threads);

/// The facts plus peak and bandwidths of `threads` threads at level `isa`, measured in about a
/// second. Fails if this processor has not that level.
Result<Platform> describe_machine(Isa isa, int threads);

/// The same from local_data_dir()/machine-<id>-<isa>-t<threads>.json if it is there, describes this
/// processor and `remeasure` is false; else measured and kept there for the next time. A place that
/// cannot be written to is no error.
Result<Platform> cached_platform(Isa isa, int threads, bool remeasure = false);

/// First eight digits of the build-id of a shared library of this process whose file name starts
/// with `prefix`, e.g. "libxgboost.so"; empty if it is not loaded or carries none.
std::string loaded_build_id(std::string_view prefix);

}  // namespace convopt
