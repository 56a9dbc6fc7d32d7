#include "tests/conformance/array.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <functional>
#include <numeric>

namespace convopt::conformance {
namespace {

using ::onnx::TensorProto;

std::size_t element_size(TensorProto::DataType type) {
  switch (type) {
    case TensorProto::BOOL:
    case TensorProto::INT8:
    case TensorProto::UINT8:
      return 1;
    case TensorProto::INT16:
    case TensorProto::UINT16:
    case TensorProto::FLOAT16:
    case TensorProto::BFLOAT16:
      return 2;
    case TensorProto::FLOAT:
    case TensorProto::INT32:
    case TensorProto::UINT32:
      return 4;
    case TensorProto::DOUBLE:
    case TensorProto::INT64:
    case TensorProto::UINT64:
      return 8;
    default:
      return 0;
  }
}

bool is_real(TensorProto::DataType type) {
  return type == TensorProto::FLOAT || type == TensorProto::DOUBLE ||
         type == TensorProto::FLOAT16 || type == TensorProto::BFLOAT16;
}

/// The low `size` bytes of every value; tensors hold narrow integers and halves in wider fields.
template <class Values>
std::string narrowed(const Values& values, std::size_t size) {
  static_assert(std::endian::native == std::endian::little);
  std::string bytes;
  for (const auto& value : values) {
    bytes.append(reinterpret_cast<const char*>(&value), size);
  }
  return bytes;
}

template <class T>
double load(const char* bytes) {
  T value;
  std::memcpy(&value, bytes, sizeof value);
  return static_cast<double>(value);
}

double half_value(const char* bytes) {
  std::uint16_t bits;
  std::memcpy(&bits, bytes, sizeof bits);
  const int exponent = bits >> 10 & 31;
  const int fraction = bits & 1023;
  double magnitude = std::ldexp(fraction + (exponent > 0 ? 1024 : 0), std::max(exponent, 1) - 25);
  if (exponent == 31) magnitude = fraction == 0 ? INFINITY : NAN;
  return bits >> 15 != 0 ? -magnitude : magnitude;
}

double brain_value(const char* bytes) {
  std::uint16_t bits;
  std::memcpy(&bits, bytes, sizeof bits);
  return std::bit_cast<float>(std::uint32_t{bits} << 16);
}

bool agree(double found, double expected, TensorProto::DataType type) {
  if (std::isnan(expected)) return std::isnan(found);
  if (found == expected) return true;
  const double relative = type == TensorProto::BFLOAT16 ? 1.0 / 128 : 1e-3;
  return is_real(type) && std::abs(found - expected) <= 1e-5 + relative * std::abs(expected);
}

}  // namespace

std::size_t Array::count() const {
  return static_cast<std::size_t>(
      std::accumulate(dims.begin(), dims.end(), std::int64_t{1}, std::multiplies<>()));
}

double Array::value(std::size_t index) const {
  const char* const at = bytes.data() + index * element_size(type);
  switch (type) {
    case TensorProto::BOOL:
    case TensorProto::UINT8:
      return load<std::uint8_t>(at);
    case TensorProto::INT8:
      return load<std::int8_t>(at);
    case TensorProto::INT16:
      return load<std::int16_t>(at);
    case TensorProto::UINT16:
      return load<std::uint16_t>(at);
    case TensorProto::INT32:
      return load<std::int32_t>(at);
    case TensorProto::UINT32:
      return load<std::uint32_t>(at);
    case TensorProto::INT64:
      return load<std::int64_t>(at);
    case TensorProto::UINT64:
      return load<std::uint64_t>(at);
    case TensorProto::FLOAT:
      return load<float>(at);
    case TensorProto::DOUBLE:
      return load<double>(at);
    case TensorProto::FLOAT16:
      return half_value(at);
    case TensorProto::BFLOAT16:
      return brain_value(at);
    default:
      return NAN;
  }
}

Array to_array(const TensorProto& tensor, const ::onnx::ValueInfoProto& declared) {
  Array array;
  array.type = static_cast<TensorProto::DataType>(tensor.data_type());
  array.dims.assign(tensor.dims().begin(), tensor.dims().end());
  const std::size_t size = element_size(array.type);
  if (tensor.has_raw_data()) {
    array.bytes = tensor.raw_data();
  } else if (array.type == TensorProto::FLOAT) {
    array.bytes = narrowed(tensor.float_data(), size);
  } else if (array.type == TensorProto::DOUBLE) {
    array.bytes = narrowed(tensor.double_data(), size);
  } else if (array.type == TensorProto::INT64) {
    array.bytes = narrowed(tensor.int64_data(), size);
  } else if (array.type == TensorProto::UINT32 || array.type == TensorProto::UINT64) {
    array.bytes = narrowed(tensor.uint64_data(), size);
  } else {
    array.bytes = narrowed(tensor.int32_data(), size);
  }
  if (array.type == TensorProto::UINT16 &&
      declared.type().tensor_type().elem_type() == TensorProto::BFLOAT16) {
    array.type = TensorProto::BFLOAT16;
  }
  return array;
}

std::string shape_text(const std::vector<std::int64_t>& dims) {
  std::string text;
  for (const std::int64_t size : dims) {
    text += (text.empty() ? "" : "x") + std::to_string(size);
  }
  return text.empty() ? "single value" : text;
}

std::string difference(const Array& found, const Array& expected) {
  if (found.dims != expected.dims) {
    return "shape " + shape_text(found.dims) + " instead of " + shape_text(expected.dims);
  }
  if (found.type != expected.type) {
    return "type " + TensorProto::DataType_Name(found.type) + " instead of " +
           TensorProto::DataType_Name(expected.type);
  }
  std::size_t wrong = 0;
  double largest = 0;
  for (std::size_t i = 0; i < expected.count(); ++i) {
    const double a = found.value(i);
    const double b = expected.value(i);
    if (agree(a, b, expected.type)) continue;
    ++wrong;
    largest = std::max(largest, std::abs(a - b));
  }
  if (wrong == 0) return {};
  char amount[32];
  std::snprintf(amount, sizeof amount, "%.2g", largest);
  return std::to_string(wrong) + " of " + std::to_string(expected.count()) +
         " values differ, by up to " + amount;
}

}  // namespace convopt::conformance
