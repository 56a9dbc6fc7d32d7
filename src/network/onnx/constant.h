// Tensors whose values are known when an ONNX model is read, and what can be computed of them then.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "convopt/error.hpp"
#include "convopt/network.hpp"
#include "core/conversion.h"

namespace convopt::onnx_reader {

using Dims = std::vector<std::int64_t>;

/// A tensor of any rank, row-major. Integers and truth values of every width are held in 64 bits.
struct Constant {
  Dims dims;
  bool is_float = false;
  bool is_deferred = false;  ///< its floats are computed of others when they are asked for
  FloatArray floats;
  std::vector<std::int64_t> integers;
  std::optional<DataType> type = {};  ///< of a tensor of the file

  std::size_t size() const { return is_float ? floats.size() : integers.size(); }
  /// The type that a network has for such numbers.
  DataType border_type() const;
  double at(std::size_t i) const { return is_float ? floats[i] : static_cast<double>(integers[i]); }
  static Constant of_integers(Dims dims, std::vector<std::int64_t> values) {
    return {std::move(dims), false, false, {}, std::move(values), {}};
  }
  static Constant of_floats(Dims dims, std::vector<float> values) {
    return {std::move(dims), true, false, std::move(values), {}, {}};
  }
};

using ConstantPointer = std::shared_ptr<const Constant>;

/// Product of sizes that are not negative; nothing if one is, or if it exceeds 2^31 - 1.
std::optional<std::int64_t> element_count(const Dims& dims);

std::string dims_text(const Dims& dims);

/// The shape that two shapes have together by NumPy's rule, or nothing.
std::optional<Dims> broadcast(const Dims& a, const Dims& b);

/// `constant` repeated to `dims`, to which its shape must broadcast.
Constant expanded(const Constant& constant, const Dims& dims);

Constant transposed(const Constant& constant, const std::vector<int>& order);

/// Elements `first`, `first + step`, ... (`count` of them) along one axis.
Constant sliced(const Constant& constant, std::size_t axis, std::int64_t first, std::int64_t count,
                std::int64_t step);

}  // namespace convopt::onnx_reader
