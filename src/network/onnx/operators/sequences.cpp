// Sequences of tensors exist only while a model is read: each is the list of its elements, whose
// length and order have to be known then.
#include <algorithm>

#include "core/try.h"
#include "src/network/onnx/operators/handlers.h"
#include "src/network/onnx/operators/parts.h"

namespace convopt::onnx_reader {
namespace {

/// Most elements of a sequence, and most numbers that are put together.
constexpr std::int64_t kLongestSequence = 1 << 16, kMostJoined = std::int64_t{1} << 28;

using Elements = std::vector<const Value*>;

Value sequence_value(Elements elements) {
  Value value;
  value.sequence = std::move(elements);
  return value;
}

/// An element's place by input `index`, which may count from the end; without that input, the place
/// `without`. It is at most `last`.
Result<std::size_t> place_of(Import& model, const Node& node, int index, std::size_t without,
                             std::int64_t last, std::size_t length) {
  CONVOPT_TRY(const auto given, model.whole_number_input(node, index));
  if (!given) return without;
  const std::int64_t place = *given < 0 ? *given + static_cast<std::int64_t>(length) : *given;
  if (place < 0 || place > last)
    return node.error("its sequence of " + std::to_string(length) + " has no place " +
                      std::to_string(*given));
  return static_cast<std::size_t>(place);
}

Result<Value> sequence_empty(Import&, const Node&) { return sequence_value({}); }

Result<Value> sequence_construct(Import& model, const Node& node) {
  Elements elements;
  for (int i = 0; i < node.input_count(); ++i) {
    CONVOPT_TRY(const Value* element, model.input(node, i));
    elements.push_back(element);
  }
  return sequence_value(std::move(elements));
}

Result<Value> sequence_insert(Import& model, const Node& node) {
  CONVOPT_TRY(auto elements, model.sequence_input(node, 0));
  CONVOPT_TRY(const Value* element, model.input(node, 1));
  const std::size_t length = elements.size();
  CONVOPT_TRY(const auto place, place_of(model, node, 2, length, std::ssize(elements), length));
  elements.insert(elements.begin() + static_cast<std::ptrdiff_t>(place), element);
  return sequence_value(std::move(elements));
}

Result<Value> sequence_erase(Import& model, const Node& node) {
  CONVOPT_TRY(auto elements, model.sequence_input(node, 0));
  if (elements.empty()) return node.error("its sequence is empty");
  const std::size_t length = elements.size();
  CONVOPT_TRY(const auto place,
              place_of(model, node, 1, length - 1, std::ssize(elements) - 1, length));
  elements.erase(elements.begin() + static_cast<std::ptrdiff_t>(place));
  return sequence_value(std::move(elements));
}

Result<Value> sequence_at(Import& model, const Node& node) {
  CONVOPT_TRY(const auto elements, model.sequence_input(node, 0));
  if (!node.has_input(1)) return node.error("it has no input 1");
  CONVOPT_TRY(const auto place,
              place_of(model, node, 1, 0, std::ssize(elements) - 1, elements.size()));
  return *elements[place];
}

Result<Value> sequence_length(Import& model, const Node& node) {
  CONVOPT_TRY(const auto elements, model.sequence_input(node, 0));
  return constant_value(Constant::of_integers({}, {std::ssize(elements)}));
}

/// How long each part of an axis of that length is.
Result<Integers> lengths_of_parts(const Node& node, const ConstantPointer& split,
                                  std::int64_t length) {
  if (split == nullptr) return Integers(static_cast<std::size_t>(length), 1);
  const std::int64_t least = split->dims.empty() ? 1 : 0;
  if (split->is_float || std::ranges::any_of(split->integers, [&](auto n) { return n < least; }))
    return node.error("its parts must have positive lengths");
  if (!split->dims.empty()) {
    // From the end, so that lengths of any size do not overflow.
    std::int64_t left = length;
    for (const std::int64_t part : split->integers) left = part > left ? -1 : left - part;
    if (left != 0) return node.error("its parts do not make up the axis");
    return split->integers;
  }
  Integers lengths;
  for (std::int64_t first = 0; first < length; first += lengths.back())
    lengths.push_back(std::min(split->integers[0], length - first));
  return lengths;
}

Result<Value> split_to_sequence(Import& model, const Node& node) {
  CONVOPT_TRY(const Value* x, model.input(node, 0));
  const auto axis = resolve_axis(node.integer("axis", 0), x->sizes().size());
  if (!axis) return node.error("it has no such axis");
  CONVOPT_TRY(const auto split, model.constant_input(node, 1));
  const std::int64_t length = x->sizes()[*axis];
  if (length > kLongestSequence) return node.unsupported("a sequence of more elements");
  CONVOPT_TRY(const auto lengths, lengths_of_parts(node, split, length));
  const bool keeps = split != nullptr || node.integer("keepdims", 1) != 0;
  Elements elements;
  std::int64_t first = 0;
  for (const std::int64_t count : lengths) {
    CONVOPT_TRY(auto part, part_of(model, node, *x, *axis, first, count, keeps));
    elements.push_back(model.keep(std::move(part)));
    first += count;
  }
  return sequence_value(std::move(elements));
}

Result<Value> concat_from_sequence(Import& model, const Node& node) {
  CONVOPT_TRY(const auto elements, model.sequence_input(node, 0));
  if (elements.empty()) return node.error("its sequence is empty");
  return put_together(model, node, elements, node.integer("axis", 0),
                      node.integer("new_axis", 0) != 0);
}

/// Along an axis, of which only the sizes differ.
Value joined_constants(const std::vector<Constant>& parts, std::size_t axis) {
  Constant result;
  result.is_float = parts[0].is_float;
  result.type = parts[0].type;
  result.dims = parts[0].dims;
  result.dims[axis] = 0;
  std::int64_t rows = 1;
  for (std::size_t d = 0; d < axis; ++d) rows *= result.dims[d];
  for (const Constant& part : parts) result.dims[axis] += part.dims[axis];
  const auto append = [&](auto& to, const auto& values_of) {
    for (std::int64_t row = 0; row < rows; ++row)
      for (const Constant& part : parts) {
        const auto& values = values_of(part);
        const auto run = std::ssize(values) / rows;
        to.insert(to.end(), values.begin() + row * run, values.begin() + (row + 1) * run);
      }
  };
  if (result.is_float) {
    append(result.floats.own(), [](const Constant& c) { return c.floats.values(); });
  } else {
    append(result.integers, [](const Constant& c) { return std::span(c.integers); });
  }
  return constant_value(std::move(result));
}

}  // namespace

Result<Value> part_of(Import& model, const Node& node, const Value& x, std::size_t axis,
                      std::int64_t first, std::int64_t count, bool keep) {
  Dims dims = x.sizes();
  dims[axis] = count;
  if (!keep) dims.erase(dims.begin() + static_cast<std::ptrdiff_t>(axis));
  if (count == 0) return no_elements(std::move(dims), x);
  if (!x.is_tensor()) {
    Constant part = sliced(*x.constant, axis, first, count, 1);
    part.dims = std::move(dims);
    return constant_value(std::move(part));
  }
  CONVOPT_TRY(auto part, axis_range(model, node, node.name(), x, axis, first, count, 1));
  part.type = x.type;
  if (keep) return part;
  return reshaped_value(model, node, part, std::move(dims));
}

Result<Value> put_together(Import& model, const Node& node, const std::vector<const Value*>& parts,
                           std::int64_t axis, bool new_axis) {
  const std::size_t rank = parts[0]->sizes().size() + (new_axis ? 1 : 0);
  const auto place = resolve_axis(axis, rank);
  if (!place) return node.error("it has no such axis");
  Elements filled;  // those that have elements
  std::vector<Dims> sizes;
  Dims whole;
  std::int64_t elements = 0;
  for (const Value* part : parts) {
    if (part->is_sequence()) return node.unsupported("a sequence of sequences");
    Dims dims = part->sizes();
    if (new_axis) dims.insert(dims.begin() + static_cast<std::ptrdiff_t>(*place), 1);
    if (whole.empty()) {
      whole = dims;
      whole[*place] = 0;
    }
    Dims others = dims;
    if (others.size() == rank) others[*place] = whole[*place];
    if (others != whole) return node.unsupported("tensors of different shapes in its result");
    whole[*place] += dims[*place];
    const std::int64_t count = element_count(dims).value_or(kMostJoined + 1);
    elements += count;
    if (elements > kMostJoined) return node.error("its result is too large");
    if (count == 0) continue;
    filled.push_back(part);
    sizes.push_back(std::move(dims));
  }
  if (filled.empty()) return no_elements(std::move(whole), *parts[0]);
  const bool are_constants = std::ranges::all_of(filled, [&](const Value* part) {
    return !part->is_tensor() && part->constant->is_float == filled[0]->constant->is_float;
  });
  if (are_constants) {
    std::vector<Constant> constants;
    for (std::size_t i = 0; i < filled.size(); ++i) {
      constants.push_back(*filled[i]->constant);
      constants.back().dims = sizes[i];
    }
    return joined_constants(constants, *place);
  }
  std::vector<Value> tensors;
  for (std::size_t i = 0; i < filled.size(); ++i) {
    if (!new_axis && filled[i]->is_tensor()) {
      tensors.push_back(*filled[i]);
      continue;
    }
    CONVOPT_TRY(auto tensor, reshaped_value(model, node, *filled[i], sizes[i]));
    tensors.push_back(std::move(tensor));
  }
  CONVOPT_TRY(auto result, joined(model, node, tensors, *place));
  result.type = tensors[0].type;
  return result;
}

OperatorTable sequence_operators() {
  constexpr bool kNamesTypes = true;
  static constexpr OperatorHandler kTable[] = {
      {"ConcatFromSequence", concat_from_sequence, nullptr, kNamesTypes},
      {"SequenceAt", sequence_at, nullptr, kNamesTypes},
      {"SequenceConstruct", sequence_construct, nullptr, kNamesTypes},
      {"SequenceEmpty", sequence_empty, nullptr, kNamesTypes},
      {"SequenceErase", sequence_erase, nullptr, kNamesTypes},
      {"SequenceInsert", sequence_insert, nullptr, kNamesTypes},
      {"SequenceLength", sequence_length, nullptr, kNamesTypes},
      {"SplitToSequence", split_to_sequence, nullptr, kNamesTypes},
  };
  return kTable;
}

}  // namespace convopt::onnx_reader
