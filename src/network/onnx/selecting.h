// Operators whose results have as many elements as the numbers say.
#pragma once

#include <vector>

#include "src/network/onnx/constant.h"
#include "src/network/onnx/node.h"

namespace convopt::onnx_reader {

/// NonMaxSuppression: of every image and class, the boxes by falling scores that do not overlap one
/// that was chosen before; rows of image, class and box.
Result<Constant> select_boxes(const Node& node, const std::vector<ConstantPointer>& inputs);

/// NonZero: the places of elements that are not zero, a column for each.
Result<Constant> find_non_zeros(const Node& node, const std::vector<ConstantPointer>& inputs);

}  // namespace convopt::onnx_reader
