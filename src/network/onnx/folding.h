// Operators whose inputs are all known when the model is read.
#pragma once

#include <filesystem>
#include <optional>
#include <string_view>
#include <vector>

#include "src/network/onnx/constant.h"
#include "src/network/onnx/node.h"

namespace convopt::onnx_reader {

/// The results of an operator on constants; a null input was left out by the model. Nothing for
/// operators that this cannot compute.
Result<std::optional<std::vector<Constant>>> fold(const Node& node,
                                                  const std::vector<ConstantPointer>& inputs,
                                                  const std::filesystem::path& folder);

bool can_fold(std::string_view type);

/// The types of operators that `fold` computes.
std::vector<std::string_view> folded_types();

// Rules that operators on constants and on other tensors share.

/// The result of Shape: all sizes, or some of them.
Constant shape_part(const Node& node, const Dims& dims);

/// The result of Cast: numbers of that type, or of another one that convopt does not have.
Constant converted(const Constant& x, std::optional<DataType> type, bool real);

/// The result of EyeLike, whose input is of that shape.
Result<Constant> identity_matrix(const Node& node, const Dims& dims, bool is_float);

/// An axis, counted from the end if negative; nothing if there is no such axis.
std::optional<std::size_t> resolve_axis(std::int64_t axis, std::size_t rank);

/// Ascending and each once; nothing if one does not exist or comes twice.
std::optional<std::vector<std::size_t>> resolve_axes(const std::vector<std::int64_t>& axes,
                                                     std::size_t rank);

/// The sizes that a Reshape's second input means for a tensor of shape `from`.
Result<Dims> reshaped(const Node& node, const Dims& from, const std::vector<std::int64_t>& shape);
Result<Dims> flattened(const Node& node, const Dims& from);
/// `axes` as the operator gives them, by attribute or input.
Result<Dims> squeezed(const Node& node, const Dims& from, const std::vector<std::int64_t>& axes,
                      bool has_axes);
Result<Dims> unsqueezed(const Node& node, const Dims& from, const std::vector<std::int64_t>& axes);
Result<std::vector<int>> transposition(const Node& node, std::size_t rank);

/// The range of one axis that a Slice takes.
struct SliceRange {
  std::size_t axis = 0;
  std::int64_t first = 0, count = 0, step = 1;
};
Result<std::vector<SliceRange>> slice_ranges(const Node& node, const Dims& from,
                                             const std::vector<ConstantPointer>& inputs);

/// The sizes of a Split's parts of an axis of that size.
Result<std::vector<std::int64_t>> split_parts(const Node& node, std::int64_t size,
                                              const Constant* given);

/// The integers of an input or, in older versions, of an attribute of that name.
std::vector<std::int64_t> integers_of(const Node& node, const char* attribute,
                                      const Constant* input);

}  // namespace convopt::onnx_reader
