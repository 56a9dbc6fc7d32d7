// Description of the machine: facts about the processor, and the rates that its cores reach.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

#include "convopt/error.hpp"
#include "convopt/platform.hpp"
#include "convopt/profiling.hpp"
#include "convopt/tensor.hpp"
#include "core/machine.h"

namespace convopt {

/// 10^9 operations per second that `threads` threads reach together with multiply-adds on registers
/// only, of f32, or of bf16 or s8 by the fastest instructions that there are, at this moment; 0 if
/// there are none. Takes about 0.2 s.
double measured_peak_gflops(DataType type, Isa isa, int threads);

/// A cache line from the core of the first of `threads` threads to that of the farthest other one
/// and back, at this moment, in nanoseconds; 0 with one thread, and where other programs kept two
/// of them from running together. Takes a millisecond per thread, up to half a second beside
/// others.
double measured_core_round_trip_ns(int threads);

/// The facts plus peak and bandwidths of `threads` threads at level `isa`, measured in about a
/// second. Fails if this processor has not that level.
Result<Platform> describe_machine(Isa isa, int threads);

/// The description that local_data_dir()/machine-<id>-<isa>-t<threads>.json holds; nothing if the
/// file is missing or describes another processor. Measures nothing.
std::optional<Platform> stored_platform(Isa isa, int threads);

/// Where it is.
std::filesystem::path stored_platform_path(const Platform& platform);

/// Whether a stored description holds all that cached_platform() would measure: older ones lack
/// peaks of shorter types.
bool is_complete(const Platform& stored);

/// The stored description, else a measured one, which is stored for the next time. Of a place that
/// cannot be written to, which is no error, a warning tells.
Result<Platform> cached_platform(Isa isa, int threads, const Messages& messages = {});

/// First eight digits of the build-id of a shared library of this process whose file name starts
/// with `prefix`, e.g. "libxgboost.so"; empty if it is not loaded or carries none.
std::string loaded_build_id(std::string_view prefix);

}  // namespace convopt
