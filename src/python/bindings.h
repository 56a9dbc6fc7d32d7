// What the files of the module share.
#pragma once

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "convopt/error.hpp"
#include "convopt/npy.hpp"
#include "convopt/planning.hpp"
#include "convopt/tensor.hpp"

namespace convopt::python {

namespace py = pybind11;

/// Raises the error as the exception of its kind (convopt/_errors.py). The lock must be held.
[[noreturn]] void raise(const Error& error);

/// The value, or the exception.
template <class T>
T value_of(Result<T> result) {
  if (!result) raise(result.error());
  return *std::move(result);
}
inline void check(const Result<void>& result) {
  if (!result) raise(result.error());
}

/// `work()`'s value, computed without the interpreter's lock.
template <class Work>
auto without_lock(const Work& work) {
  auto result = [&] {
    const py::gil_scoped_release release;
    return work();
  }();
  return value_of(std::move(result));
}

/// What NumPy calls the type: `float32`.
std::string numpy_name(DataType type);
/// Null where NumPy has no such type.
py::object numpy_type(DataType type);
std::optional<DataType> type_of(const py::dtype& type);
/// `(1, 3, 224, 224)`
std::string shape_text(const std::vector<std::int64_t>& shape);

/// Row-major, native numbers. Only what is not so already is copied. `type`: of what is no array.
py::array dense_array(const py::handle& object, const std::string& what,
                      std::optional<DataType> type);
/// Elements that lie as one block, slowest dimension first, as C has them.
bool is_dense(const py::array& array);
/// An image (n, c, h, w) whose elements lie as one block in the order n, h, w, c: what
/// `transpose(0, 3, 1, 2)` makes of an array of images with their channels last. False for what is
/// dense, too.
bool is_channels_last(const py::handle& object);
std::vector<std::int64_t> shape_of(const py::array& array);
/// The numbers as floats.
NpyArray floats_of(const py::array& array, const std::string& what);

/// Reads an option out of a dictionary; one left out or None keeps its value.
template <class Value, class Read>
void set(const py::dict& given, const char* name, Value& value, const Read& read) {
  if (!given.contains(name) || given[name].is_none()) return;
  try {
    value = read(given[name]);
  } catch (const py::cast_error&) {
    throw py::type_error(std::string(name) + " is of a wrong type: " +
                         py::repr(given[name]).cast<std::string>().substr(0, 80));
  }
}
template <class Value>
void set(const py::dict& given, const char* name, Value& value) {
  set(given, name, value, [](const py::object& object) { return py::cast<Value>(object); });
}
Isa isa_from(const py::object& name);
Precision precision_from(const py::object& name);
/// The members of PlanOptions by their names; those left out or None keep their defaults.
PlanOptions plan_options(const py::dict& given);

// Each adds its part to the module.
void add_values(py::module_& module);
void add_planning(py::module_& module);
void add_measuring(py::module_& module);
void add_session(py::module_& module);

}  // namespace convopt::python
