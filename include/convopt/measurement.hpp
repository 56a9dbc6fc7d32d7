// Profiles: sequences of runs, each a header, which says where and how it was measured, and
// measurements.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "convopt/platform.hpp"
#include "convopt/primitive.hpp"
#include "convopt/workload.hpp"

namespace convopt {

enum class MeasurementStatus : std::uint8_t {
  ok,
  censored,      ///< cut short: slower than `median_ns`, a lower bound
  inapplicable,  ///< the primitive does not compute this workload here; `reason` says why
  failed,        ///< it answered with an error or a wrong result
  timeout,
  crashed,
};
std::string_view to_string(MeasurementStatus status);

/// Where packed weights are before each timed run.
enum class TimingMode : std::uint8_t {
  warm,          ///< the same buffers over and over
  cold_weights,  ///< packed weights come from memory, tensors are warm, as inside a network
};
std::string_view to_string(TimingMode mode);

/// The key of a measurement is workload, primitive, revision, ISA, threads and timing mode, on one
/// machine with one build of the libraries.
struct Measurement {
  std::string run;  ///< which header it belongs to
  Workload workload;
  std::string primitive;
  std::string revision;
  Isa isa = Isa::scalar;
  int threads = 1;
  MeasurementStatus status = MeasurementStatus::ok;
  std::string reason;
  std::vector<double> samples_ns;  ///< raw, timer overhead removed, in the order taken
  double median_ns = 0, mad_ns = 0;
  double prepare_ns = 0;  ///< creating the kernel and packing its weights
  std::size_t packed_bytes = 0, workspace_bytes = 0;
  double max_relative_error = -1;  ///< max|error| / max|reference|; negative: not checked
  /// Time of a fixed kernel beside this measurement over its time on the undisturbed machine:
  /// above 1 something else was running, or the clock was lower. 0: not known.
  double sentinel = 0;
};

/// What is done before a kernel is timed with cold weights. 1: its code, too, came from memory,
/// which inside a network it does not. 2: a kernel of the same code runs first.
inline constexpr int kTimingProtocol = 2;

struct RunHeader {
  std::string run;  ///< unique identifier
  Platform platform;
  Libraries libraries;
  TimingMode timing_mode = TimingMode::warm;
  int protocol = kTimingProtocol;
  std::uint64_t seed = 0;
  std::string started;  ///< ISO 8601, UTC
  std::vector<PrimitiveInfo>
      primitives;  ///< all that were offered, so that a reader needs no registry
};

struct Profile {
  std::vector<RunHeader> runs;
  std::vector<Measurement> measurements;

  const RunHeader* header(std::string_view run) const;
};

}  // namespace convopt
