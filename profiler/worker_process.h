// The parent's end of the child that times primitives.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "convopt/error.hpp"
#include "profiler/protocol.h"

namespace convopt {

class WorkerProcess {
 public:
  /// Starts `command`; empty: this program with the argument `kWorkerVerb`.
  static Result<std::unique_ptr<WorkerProcess>> start(const std::vector<std::string>& command);
  ~WorkerProcess();  ///< ends the child
  WorkerProcess(const WorkerProcess&) = delete;
  WorkerProcess& operator=(const WorkerProcess&) = delete;

  bool send(std::string line) { return write_line(channel_, std::move(line)); }

  enum class Event { line, silence, ended };
  /// Waits at most `milliseconds` for a line or the child's end.
  Event wait(std::string& line, int milliseconds);

  /// What the child was doing when last heard of.
  struct Activity {
    int primitive;  ///< index into the request's list; negative: nothing of it
    Step step;
    double seconds;  ///< for how long
  };
  Activity activity() const;

  void kill();

  struct End {
    int signal = 0;  ///< that ended it; 0: it exited by itself
    int status = 0;
    /// The signal is one that others send, not one that a defect raises.
    bool from_outside() const;
    std::string text() const;  ///< "signal 11 (Segmentation fault)", "exit status 3"
  };
  /// After Event::ended.
  End end();

 private:
  WorkerProcess() = default;
  pid_t pid_ = -1;
  int channel_ = -1;
  Heartbeat* heartbeat_ = nullptr;
  LineReader replies_{-1};
};

}  // namespace convopt
