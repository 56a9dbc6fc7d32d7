// Networks, plans and calibrations as opaque values that Python hands round.
#include <pybind11/stl.h>
#include <pybind11/stl/filesystem.h>

#include "convopt/network.hpp"
#include "convopt/plan.hpp"
#include "convopt/platform.hpp"
#include "src/python/bindings.h"

namespace convopt::python {

void add_values(py::module_& module) {
  py::class_<Network>(module, "Network")
      .def_readwrite("name", &Network::name)
      .def_readonly("warnings", &Network::warnings)
      .def("inputs", [](const Network& network) {
        std::vector<std::string> names;
        for (const Tensor& tensor : network.named_inputs()) names.push_back(tensor.name);
        return names;
      });
  module.def("load_network", [](const std::filesystem::path& path, int batch,
                                const InputShapes& shapes, const InputValues& values) {
    return without_lock([&] { return load_network(path, batch, shapes, values); });
  });

  py::class_<Plan>(module, "Plan")
      .def("json", [](const Plan& plan) { return to_json(plan); })
      .def_static("load",
                  [](const std::filesystem::path& path) { return value_of(load_plan(path)); })
      .def_static("parse", [](const std::string& json, const std::string& name) {
        return value_of(parse_plan(json, name));
      });
  py::class_<Calibration>(module, "Calibration")
      .def("json", [](const Calibration& calibration) { return to_json(calibration); })
      .def_static("load", [](const std::filesystem::path& path) {
        return value_of(load_calibration(path));
      });

  module.def("default_isa", [] { return std::string(to_string(default_isa())); });
  module.def("default_threads", [] { return default_threads(); });
}

}  // namespace convopt::python
