// What Python sees of work that takes long: progress, sentences, and Ctrl-C.
#pragma once

#include <atomic>
#include <optional>

#include "src/python/bindings.h"

namespace convopt::python {

/// Calls Python's functions while work runs without the interpreter's lock. An exception of theirs,
/// KeyboardInterrupt among them, ends the work and is raised by finish().
class Watcher {
 public:
  /// `progress`: called with a dictionary; or None.
  explicit Watcher(py::object progress) : progress_(std::move(progress)) {}
  Watcher(const Watcher&) = delete;
  Watcher& operator=(const Watcher&) = delete;

  Watch watch(const std::vector<std::string>& worker_command);
  /// Raises what a function of Python's has raised. The lock must be held.
  void finish();

 private:
  void tell(const ProfileProgress& progress);

  py::object progress_;
  std::atomic<bool> stop_{false};
  std::optional<py::error_already_set> raised_;
};

/// To the functions `info` and `warning` of a logger.
Messages messages_to(const py::object& logger);

}  // namespace convopt::python
