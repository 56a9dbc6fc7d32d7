// Parts that several operators share.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "src/network/onnx/folding.h"
#include "src/network/onnx/import.h"
#include "src/network/window_axis.h"

namespace convopt::onnx_reader {

using Integers = std::vector<std::int64_t>;
using WeightsPointer = std::shared_ptr<const StoredWeights>;

/// Largest size of a dimension, as the network has it.
inline constexpr std::int64_t kMaxSize = 1 << 24;

/// Attributes of a window over the pixels, of convolutions and poolings alike.
struct WindowAttributes {
  Pair kernel, stride, dilation;
  Padding padding;
};

/// For an input of rank 3 or 4; with one dimension of pixels, these are the rows.
Result<WindowAttributes> window_of(const Node& node, std::size_t rank, const Integers& kernel);

/// A window along each dimension of pixels of an input of the shape `x`, of which there may be any
/// number; automatic padding is settled. Numbers are in the ranges that a network has, windows need
/// not fit.
Result<std::vector<WindowAxis>> window_axes(const Node& node, const Dims& x,
                                            const Integers& kernel);

/// One or two numbers, for one or two dimensions of pixels; `fallback` where there are none. `what`
/// names them in errors.
Result<Pair> pair_of(const Node& node, const Integers& given, std::size_t pixels, int fallback,
                     const char* what);

/// The model's sizes of a result that has the shape `shape` in the network.
Dims dims_of(const TensorShape& shape, std::size_t rank);

/// `count` numbers; empty where the model leaves them out.
Result<std::vector<float>> vector_of(const Node& node, const ConstantPointer& constant,
                                     std::int64_t count, const char* what);

// Operations in more than one operator, each in the file of its group.

Result<Value> activate(Import& model, const Node& node, const Value& x,
                       const Activation& activation);

/// x * scale + shift with constants that broadcast to x; null for 1 and 0.
Result<Value> scale_shift(Import& model, const Node& node, const Value& x, const Constant* scale,
                          const Constant* shift);
Result<Value> scale(Import& model, const Node& node, const Value& x, float factor);

/// Two values of the network, broadcast by NumPy's rule; constants become tensors.
Result<Value> binary(Import& model, const Node& node, Op op, const Value& left, const Value& right);

/// Input 1 of an operation on two values. Before opset 7, an attribute names the axis of the first
/// value at which the second one's dimensions begin.
Result<Value> second_operand(Import& model, const Node& node, const Value& left);

/// The value as a tensor of that shape, repeated by NumPy's rule.
Result<TensorId> broadcast_to(Import& model, const Node& node, const Value& x, const Dims& dims);

/// Slices of x along an axis, by indices of any shape that take the place of the axis; negative
/// ones count from the end.
Result<Value> gathered(Import& model, const Node& node, const Value& x, std::size_t axis,
                       const Value& indices);
/// The same with indices known now.
Result<Value> gathered(Import& model, const Node& node, const Value& x, std::size_t axis,
                       Integers indices);

/// Single elements along an axis, by indices of the result's shape.
Result<Value> picked(Import& model, const Node& node, const Value& x, std::size_t axis,
                     const Value& indices);
/// Indices of several axes of a tensor of the shape `from`, those along the last dimension, as one
/// index into these axes, and the `batch_axes` before them that the indices share, as one.
Result<Value> flat_indices(Import& model, const Node& node, const Value& indices, const Dims& from,
                           std::size_t batch_axes);
/// x with elements, or slices by a row of indices, along an axis replaced or combined with others.
/// All three are tensors.
Result<Value> scattered(Import& model, const Node& node, Op op, const Value& x, std::size_t axis,
                        const Value& indices, const Value& values);

/// One of the reduce_* operations; the axes stay with a size of 1, or go.
Result<Value> reduced(Import& model, const Node& node, Op op, const Value& x,
                      const std::vector<std::size_t>& axes, bool keep);

/// The product of the last two dimensions, batched and broadcast by NumPy's rule.
Result<Value> product(Import& model, const Node& node, const Value& left, const Value& right);

/// The same elements with other sizes.
Result<Value> reshaped_value(Import& model, const Node& node, const Value& x, Dims dims);

/// A constant that an operator brings with it.
Value constant_value(Constant constant);
/// A tensor without elements, of the type of another value.
Value no_elements(Dims dims, const Value& like);
inline Value number_value(float number) {
  return constant_value(Constant::of_floats({}, {number}));
}

/// Zero mean and unit variance over all axes from `axis` on, then scaled and shifted.
Result<Value> normalized(Import& model, const Node& node, const Value& x, std::size_t axis,
                         float epsilon, WeightsPointer weights);

/// Dimension i of the result is dimension order[i] of x.
Result<Value> transposed_value(Import& model, const Node& node, const Value& x,
                               const std::vector<int>& order);

/// Values one behind the other along an axis; all of them tensors, and their other sizes equal.
Result<Value> joined(Import& model, const Node& node, const std::vector<Value>& parts,
                     std::size_t axis);

/// Elements [first, first + count) along an axis, of a constant or a tensor. The axis stays, or
/// goes.
Result<Value> part_of(Import& model, const Node& node, const Value& x, std::size_t axis,
                      std::int64_t first, std::int64_t count, bool keep);
/// At least one value, of any kind, one behind the other along an axis, or along a new one, which
/// may be counted from the last. What consists of constants is one.
Result<Value> put_together(Import& model, const Node& node, const std::vector<const Value*>& parts,
                           std::int64_t axis, bool new_axis);

/// Zeros before and behind the elements of one axis.
Result<Value> padded_axis(Import& model, const Node& node, const Value& x, std::size_t axis,
                          std::int64_t before, std::int64_t after);

/// Elements first, first + step, ... (`count` of them) along an axis.
Result<Value> axis_range(Import& model, const Node& node, const std::string& name, const Value& x,
                         std::size_t axis, std::int64_t first, std::int64_t count,
                         std::int64_t step);

}  // namespace convopt::onnx_reader
