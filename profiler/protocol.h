// Protocol between a profiling run and its child: lines of JSON through a socket, and a page of
// shared memory with the child's current step, so that a crash or a hang can be attributed. The
// step is not sent through the socket, which would wake the parent before every single timing.
//
//   parent  {"parent":PID,"isa","threads","workspace_limit","timing_mode","seed",
//            "target_uncertainty","race","sentinel_ns"}
//   child   {"libraries","primitives":[...],"sentinel_ns"}  or  {"error":{"code","message"}}
//   parent  {"workload","primitives":[names],"seconds"}
//   child   measurements, one a line, then the figures of Bench::Quality with "done" and
//           "sentinel_ns"
//   parent  {"probe":WORKLOAD,"primitives":[names]}
//   child   {"applicable":COUNT}
#pragma once

#include <atomic>
#include <cstdint>
#include <string>
#include <string_view>

namespace convopt {

enum class Step : std::int32_t { idle, applying, preparing, running, checking, timing };

constexpr std::string_view to_string(Step step) {
  switch (step) {
    case Step::idle:
      return "idle";
    case Step::applying:
      return "being asked whether it applies";
    case Step::preparing:
      return "being prepared";
    case Step::running:
      return "running for the first time";
    case Step::checking:
      return "its result was checked";
    case Step::timing:
      return "being timed";
  }
  return "";
}

struct Heartbeat {
  std::atomic<std::int32_t> primitive{-1};  ///< index into the request's list
  std::atomic<Step> step{Step::idle};
  std::atomic<std::int64_t> since_ns{0};  ///< CLOCK_MONOTONIC
};
static_assert(std::atomic<std::int64_t>::is_always_lock_free, "shared between processes");

// The child's descriptors.
inline constexpr int kChannelFd = 3, kHeartbeatFd = 4;

std::int64_t monotonic_ns();

/// Splits what arrives on a descriptor into lines.
class LineReader {
 public:
  explicit LineReader(int fd) : fd_(fd) {}
  /// Takes a complete line out of what has been read.
  bool next(std::string& line);
  /// Reads what is there, waiting for something; false at the end or on an error.
  bool fill();

 private:
  int fd_;
  std::string buffer_;
};

/// To a socket; raises no signal if the other end is closed.
bool write_line(int fd, std::string line);

}  // namespace convopt
