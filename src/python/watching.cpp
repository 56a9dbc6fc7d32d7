#include "src/python/watching.h"

#include <memory>

namespace convopt::python {

Watch Watcher::watch(const std::vector<std::string>& worker_command) {
  return {[this](const ProfileProgress& progress) { tell(progress); }, &stop_, worker_command};
}

void Watcher::tell(const ProfileProgress& progress) {
  if (stop_) return;
  const py::gil_scoped_acquire lock;
  try {
    if (PyErr_CheckSignals() != 0) throw py::error_already_set();
    if (progress_.is_none()) return;
    py::dict state;
    state["done"] = progress.workloads_done;
    state["total"] = progress.workloads_total;
    state["measurements"] = progress.measurements;
    state["elapsed_s"] = progress.elapsed_seconds;
    state["remaining_s"] = progress.remaining_seconds;
    state["workload"] = progress.workload;
    progress_(state);
  } catch (const py::error_already_set& error) {
    raised_.emplace(error);
    stop_ = true;
  }
}

void Watcher::finish() {
  if (raised_) throw std::move(*raised_);
}

Messages messages_to(const py::object& logger) {
  const auto to = [](const py::object& function) {
    // Copied and destroyed by threads without the interpreter's lock, which counts references.
    const std::shared_ptr<const py::object> held(new py::object(function),
                                                 [](const py::object* object) {
                                                   const py::gil_scoped_acquire lock;
                                                   delete object;
                                                 });
    return [held](const std::string& sentence) {
      const py::gil_scoped_acquire lock;
      try {
        (*held)("%s", sentence);
      } catch (py::error_already_set& error) {
        // An exception of a logger has no one to handle it.
        error.discard_as_unraisable("convopt's logger");
      }
    };
  };
  return {to(logger.attr("info")), to(logger.attr("warning"))};
}

}  // namespace convopt::python
