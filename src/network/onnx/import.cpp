#include "src/network/onnx/import.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "core/text.h"
#include "core/try.h"
#include "src/network/onnx/tensor.h"

namespace convopt::onnx_reader {
namespace {

int narrow(std::int64_t size) {
  return static_cast<int>(std::min<std::int64_t>(size, std::numeric_limits<int>::max()));
}

std::int64_t product(Dims::const_iterator begin, Dims::const_iterator end) {
  return element_count(Dims(begin, end)).value_or(std::numeric_limits<std::int32_t>::max());
}

Error used_twice(const std::string& name) {
  return make_error(ErrorCode::bad_input,
                    "the name " + in_quotes(name) + " is used by two tensors");
}

}  // namespace

TensorShape natural_shape(const Dims& dims) {
  const auto size = [&](std::size_t i) { return i < dims.size() ? narrow(dims[i]) : 1; };
  if (dims.size() == 1) return {1, size(0), 1, 1};
  if (dims.size() <= 4) return {size(0), size(1), size(2), size(3)};
  return ranked_shape(dims);
}

TensorShape ranked_shape(const Dims& dims) {
  std::vector<int> sizes;
  for (const std::int64_t size : dims) {
    if (sizes.size() < kMaxRank) {
      sizes.push_back(narrow(size));
    } else {
      sizes.back() = narrow(std::int64_t{sizes.back()} * size);
    }
  }
  return TensorShape(sizes);
}

TensorShape channel_shape(const Dims& dims) {
  if (dims.size() <= 4) return natural_shape(dims);
  return {narrow(dims[0]), narrow(dims[1]), narrow(product(dims.begin() + 2, dims.end())), 1};
}

TensorShape shape_around(const Dims& dims, std::size_t first, std::size_t last) {
  if (first == 1 && last == 2 && dims.size() <= 4) return natural_shape(dims);
  const auto at = [&](std::size_t i) { return dims.begin() + static_cast<std::ptrdiff_t>(i); };
  return {narrow(product(dims.begin(), at(first))), narrow(product(at(first), at(last))),
          narrow(product(at(last), dims.end())), 1};
}

Result<Value> made(Result<TensorId> tensor, Dims dims, bool channels_last) {
  Value value;
  CONVOPT_TRY(value.tensor, std::move(tensor));
  // With one channel or one pixel the orders are the same.
  value.channels_last = channels_last && dims.size() > 2 && dims.back() != 1 &&
                        product(dims.begin() + 1, dims.end() - 1) != 1;
  value.dims = std::move(dims);
  return value;
}

Import::Import(const ModelFile& file, std::string source, std::filesystem::path folder,
               bool read_again)
    : file_(file),
      folder_(std::move(folder)),
      graph_("model", std::move(source)),
      read_again_(read_again) {}

Result<void> Import::add_initializer(::onnx::TensorProto& tensor) {
  if (!scopes_.back().initializers.emplace(name_of(tensor), &tensor).second)
    return used_twice(name_of(tensor));
  return {};
}

Result<void> Import::define(const std::string& name, const Value* value) {
  if (name.empty()) return {};
  if (is_initializer(name) || !scopes_.back().values.emplace(name, value).second)
    return used_twice(name);
  return {};
}

const Value* Import::keep(Value value) {
  values_.push_back(std::move(value));
  return &values_.back();
}

const Value* Import::find(std::string_view name) {
  const std::string key(name);
  for (auto scope = scopes_.rbegin(); scope != scopes_.rend(); ++scope)
    if (const Value* value = find_in(*scope, key)) return value;
  return nullptr;
}

const Value* Import::find_in(Scope& scope, const std::string& name) {
  if (const auto known = scope.values.find(name); known != scope.values.end()) return known->second;
  const auto stored = scope.initializers.find(name);
  if (stored == scope.initializers.end()) return nullptr;
  const RawData raw = file_.raw_of(*stored->second);
  auto constant = read_again_ ? read_tensor(*stored->second, folder_, raw)
                              : take_tensor(*stored->second, folder_, raw);
  scope.initializers.erase(stored);
  Value value;
  if (constant) {
    value.constant = std::make_shared<const Constant>(*std::move(constant));
    value.of_file = true;
  } else {
    value.error = constant.error();
  }
  const Value* const kept = keep(std::move(value));
  scope.values.emplace(name, kept);
  return kept;
}

Import::Found Import::input(const Node& node, int index) {
  CONVOPT_TRY(const Value* value, input_of_any_kind(node, index));
  if (value->is_sequence())
    return node.unsupported("a sequence as its input " + std::to_string(index));
  return value;
}

Result<std::vector<const Value*>> Import::sequence_input(const Node& node, int index) {
  CONVOPT_TRY(const Value* value, input_of_any_kind(node, index));
  if (!value->is_sequence())
    return node.error("its input " + std::to_string(index) + " is no sequence");
  return *value->sequence;
}

Import::Found Import::input_of_any_kind(const Node& node, int index) {
  if (!node.has_input(index)) return node.error("it has no input " + std::to_string(index));
  const Value* value = find(node.input(index));
  if (value == nullptr) return node.error("nothing makes its input " + std::to_string(index));
  if (value->error) return *value->error;
  return value;
}

Import::Found Import::tensor_input(const Node& node, int index) {
  CONVOPT_TRY(const Value* value, input(node, index));
  return as_tensor(node.name(), *value);
}

Import::Found Import::as_tensor(const std::string& base, const Value& value) {
  if (value.is_tensor()) return &value;
  const auto known = tensors_of_constants_.find(value.constant);
  if (known != tensors_of_constants_.end()) return known->second;
  const Constant& constant = *value.constant;
  if (constant.size() == 0)
    return make_error(ErrorCode::bad_input,
                      "operator " + in_quotes(base) + ": a constant that it reads is empty");
  FloatArray values = constant.floats;
  for (const std::int64_t integer : constant.integers) {
    constexpr std::int64_t kLargestExact = std::int64_t{1} << 24;
    const bool is_exact = integer <= kLargestExact && integer >= -kLargestExact;
    values.own().push_back(static_cast<float>(integer));
    if (!is_exact && !std::exchange(rounds_, true))
      graph_.warn("whole numbers beyond 2^24 are rounded to single precision");
  }
  Value result;
  CONVOPT_TRY(result.tensor, graph_.add_constant({fresh(base + "/constant"), "Constant"},
                                                 natural_shape(constant.dims), std::move(values)));
  result.dims = constant.dims;
  if (!constant.is_float) result.type = DataType::s64;
  return tensors_of_constants_[value.constant] = keep(std::move(result));
}

Result<ConstantPointer> Import::constant_input(const Node& node, int index) {
  if (!node.has_input(index)) return ConstantPointer();
  CONVOPT_TRY(const Value* value, input(node, index));
  if (value->constant == nullptr) {
    want(node.input(index));
    return node.unsupported("an input " + std::to_string(index) +
                            " that is not known when the model is read");
  }
  return value->constant;
}

Result<std::optional<float>> Import::scalar_input(const Node& node, int index) {
  CONVOPT_TRY(const auto constant, constant_input(node, index));
  if (constant == nullptr) return std::optional<float>();
  if (constant->size() != 1)
    return node.error("its input " + std::to_string(index) + " must be a single number");
  return std::optional(static_cast<float>(constant->at(0)));
}

Result<std::optional<std::int64_t>> Import::whole_number_input(const Node& node, int index) {
  CONVOPT_TRY(const auto constant, constant_input(node, index));
  if (constant == nullptr) return std::optional<std::int64_t>();
  if (constant->size() != 1 || constant->is_float)
    return node.error("its input " + std::to_string(index) + " must be a single whole number");
  return std::optional(constant->integers[0]);
}

Import::Found Import::plain(const std::string& base, const Value& value) {
  if (!value.channels_last) return &value;
  const auto known = channels_moved_.find(value.tensor);
  TensorId moved = known != channels_moved_.end() ? known->second : -1;
  if (moved < 0) {
    CONVOPT_TRY(moved, graph_.add_transpose({fresh(base + "/channels_last"), "transpose"},
                                            value.tensor, {0, 2, 3, 1}));
    channels_moved_[value.tensor] = moved;
  }
  Value result;
  result.tensor = moved;
  result.dims = value.dims;
  result.type = value.type;
  return keep(std::move(result));
}

Result<TensorId> Import::shaped(const std::string& base, const Value& value,
                                const TensorShape& shape) {
  CONVOPT_TRY(const Value* source, plain(base, value));
  if (graph_.shape(source->tensor) == shape) return source->tensor;
  return graph_.add_reshape({fresh(base + "/reshape"), "reshape"}, source->tensor, shape);
}

Result<TensorId> Import::ranked(const std::string& base, const Value& value) {
  return shaped(base, value, ranked_shape(value.dims));
}

Result<TensorId> Import::image(const Node& node, const Value& value) {
  if (value.dims.size() < 2 || value.dims.size() > 4)
    return node.unsupported("an input of the shape " + dims_text(value.dims));
  return shaped(node.name(), value, natural_shape(value.dims));
}

Result<TensorId> Import::with_channels(const Node& node, const Value& value) {
  CONVOPT_TRY(const Value* source, plain(node.name(), value));
  const TensorShape now = graph_.shape(source->tensor);
  if (now.is_image() && now.n() == value.dims[0] && now.c() == value.dims[1]) return source->tensor;
  return shaped(node.name(), *source, channel_shape(value.dims));
}

Import::Found Import::as_channels_last(const Node& node, const Value& value) {
  if (value.channels_last) return &value;
  if (value.dims.size() < 2 || product(value.dims.begin() + 1, value.dims.end() - 1) != 1)
    return nullptr;
  Value result = value;
  CONVOPT_TRY(result.tensor, shaped(node.name(), value,
                                    {narrow(value.dims.front()), narrow(value.dims.back()), 1, 1}));
  result.channels_last = true;
  return keep(std::move(result));
}

std::shared_ptr<const StoredWeights> Import::weights_of(const ConstantPointer& matrix) {
  auto& weights = weights_[matrix];
  if (weights == nullptr)
    weights = std::make_shared<const StoredWeights>(
        StoredWeights{transposed(*matrix, {1, 0}).floats, {}});
  return weights;
}

std::string Import::fresh(std::string name) const {
  if (!graph_.has_name(name)) return name;
  for (int& number = last_number_[name];;) {
    std::string numbered = name + "#" + std::to_string(number++ + 2);
    if (!graph_.has_name(numbered)) return numbered;
  }
}

Label Import::label(const Node& node) const {
  return {fresh(node.name()), std::string(node.type())};
}

void Import::note_patterns() {
  for (const auto& [name, count] : patterns_)
    graph_.note_clean_up(counted(static_cast<std::size_t>(count), "pattern") + " recognised as " +
                         name);
}

}  // namespace convopt::onnx_reader
