// Arrays of any element type as ONNX files hold them, and their comparison.
#pragma once

#include <onnx/onnx_pb.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace convopt::conformance {

struct Array {
  ::onnx::TensorProto::DataType type = ::onnx::TensorProto::UNDEFINED;
  std::vector<std::int64_t> dims;
  std::string bytes;  ///< elements in row-major order, as in memory

  std::size_t count() const;
  double value(std::size_t index) const;
};

/// The array of a tensor whose values stand in the file itself, which the model declares as
/// `declared`. NumPy knows no bf16, so such values are written as u16. Strings have no bytes.
Array to_array(const ::onnx::TensorProto& tensor, const ::onnx::ValueInfoProto& declared);

/// "2x3", or "single value" for rank 0.
std::string shape_text(const std::vector<std::int64_t>& dims);

/// What makes `found` differ from `expected`, or nothing: real numbers may differ by 1e-5 plus a
/// thousandth of the expected value (a 128th for bf16), integers and truth values not at all.
/// Ranks, sizes and types have to agree.
std::string difference(const Array& found, const Array& expected);

}  // namespace convopt::conformance
