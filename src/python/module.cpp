#include "src/python/bindings.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "convopt/convopt.hpp"

namespace convopt::python {
namespace {

struct NumpyType {
  DataType type;
  const char* name;
};
constexpr std::array kNumpyTypes = {
    NumpyType{DataType::f32, "float32"}, NumpyType{DataType::f64, "float64"},
    NumpyType{DataType::f16, "float16"}, NumpyType{DataType::s8, "int8"},
    NumpyType{DataType::u8, "uint8"},    NumpyType{DataType::s16, "int16"},
    NumpyType{DataType::u16, "uint16"},  NumpyType{DataType::s32, "int32"},
    NumpyType{DataType::u32, "uint32"},  NumpyType{DataType::s64, "int64"},
    NumpyType{DataType::u64, "uint64"},  NumpyType{DataType::boolean, "bool"},
};

const char* code_name(ErrorCode code) {
  switch (code) {
    case ErrorCode::internal:
      return "internal";
    case ErrorCode::usage:
      return "usage";
    case ErrorCode::bad_input:
      return "bad_input";
    case ErrorCode::environment:
      return "environment";
    case ErrorCode::partial:
      return "partial";
    case ErrorCode::verification_failed:
      return "verification_failed";
    case ErrorCode::interrupted:
      return "interrupted";
  }
  return "internal";
}

}  // namespace

bool is_dense(const py::array& array) {
  return (array.flags() & py::array::c_style) != 0 && array.dtype().attr("isnative").cast<bool>();
}

bool is_channels_last(const py::handle& object) {
  if (!py::isinstance<py::array>(object)) return false;
  const auto array = py::reinterpret_borrow<py::array>(object);
  if (array.ndim() != 4 || array.size() == 0 || is_dense(array)) return false;
  py::ssize_t stride = array.itemsize();
  for (const int dimension : {1, 3, 2, 0}) {
    if (array.shape(dimension) > 1 && array.strides(dimension) != stride) return false;
    stride *= array.shape(dimension);
  }
  return array.dtype().attr("isnative").cast<bool>();
}

void raise(const Error& error) {
  const py::object exception = py::module_::import("convopt._errors")
                                   .attr("exception")(code_name(error.code), error.message);
  PyErr_SetObject(py::type::of(exception).ptr(), exception.ptr());
  throw py::error_already_set();
}

std::string numpy_name(DataType type) {
  const auto found = std::ranges::find(kNumpyTypes, type, &NumpyType::type);
  return found == kNumpyTypes.end() ? std::string(to_string(type)) : found->name;
}

py::object numpy_type(DataType type) {
  const auto found = std::ranges::find(kNumpyTypes, type, &NumpyType::type);
  if (found == kNumpyTypes.end()) return py::none();
  return py::dtype(found->name);
}

std::optional<DataType> type_of(const py::dtype& type) {
  // By kind and size: a C compiler's `long` and `long long` are both int64.
  for (const auto& [known, name] : kNumpyTypes) {
    const char kind = known == DataType::boolean ? 'b'
                      : name[0] == 'f'           ? 'f'
                      : name[0] == 'u'           ? 'u'
                                                 : 'i';
    if (type.kind() == kind && static_cast<std::size_t>(type.itemsize()) == element_bytes(known))
      return known;
  }
  return std::nullopt;
}

std::string shape_text(const std::vector<std::int64_t>& shape) {
  std::string text = "(";
  for (std::size_t i = 0; i < shape.size(); ++i)
    text += (i > 0 ? ", " : "") + std::to_string(shape[i]);
  return text + (shape.size() == 1 ? ",)" : ")");
}

py::array dense_array(const py::handle& object, const std::string& what,
                      std::optional<DataType> type) {
  const bool is_array = py::isinstance<py::array>(object);
  if (is_array) {
    auto array = py::reinterpret_borrow<py::array>(object);
    if (is_dense(array)) return array;
  }
  const py::module_ numpy = py::module_::import("numpy");
  py::object wanted = py::none();
  if (is_array) {
    wanted = object.attr("dtype").attr("newbyteorder")("=");
  } else if (type) {
    wanted = numpy_type(*type);
  }
  try {
    // ascontiguousarray would make one dimension of none.
    return numpy.attr("array")(object, py::arg("dtype") = wanted, py::arg("order") = "C");
  } catch (py::error_already_set& error) {
    raise(make_error(ErrorCode::bad_input, what + " is no array of numbers: " +
                                               py::str(error.value()).cast<std::string>()));
  }
}

std::vector<std::int64_t> shape_of(const py::array& array) {
  return {array.shape(), array.shape() + array.ndim()};
}

NpyArray floats_of(const py::array& array, const std::string& what) {
  if (!type_of(array.dtype())) {
    raise(make_error(
        ErrorCode::bad_input,
        what + " holds " + py::str(array.dtype()).cast<std::string>() + ", not numbers"));
  }
  const auto floats = py::array_t<float, py::array::c_style | py::array::forcecast>::ensure(array);
  if (!floats) throw py::error_already_set();
  return {shape_of(floats), {floats.data(), floats.data() + floats.size()}};
}

}  // namespace convopt::python

PYBIND11_MODULE(_core, module) {
  using namespace convopt;
  module.doc() = "The part of the package convopt that is written in C++; see help(convopt).";
  module.attr("version") = std::string(version());
  module.def("run_profile_worker", [] {
    const auto result = run_profile_worker();
    if (!result) throw std::runtime_error(result.error().message);
  });
  python::add_values(module);
  python::add_planning(module);
  python::add_measuring(module);
  python::add_session(module);
}
