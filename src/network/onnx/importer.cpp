#include "src/network/onnx/importer.h"

#include <algorithm>
#include <fstream>
#include <limits>
#include <utility>

#include "core/text.h"
#include "src/network/messages.h"
#include "src/network/onnx/folding.h"
#include "src/network/onnx/reader.h"
#include "src/network/onnx/tensor.h"

namespace convopt::onnx_reader {
namespace {

constexpr int kOldestOpset = 7, kNewestOpset = 21;
/// What folding may hold in all, 1 GiB: chains of operators that double their input end here.
constexpr std::int64_t kMaxComputed = std::int64_t{1} << 28;

Error bad(std::string message) { return make_error(ErrorCode::bad_input, std::move(message)); }

int narrow(std::int64_t size) {
  return static_cast<int>(std::min<std::int64_t>(size, std::numeric_limits<int>::max()));
}

std::int64_t product(Dims::const_iterator begin, Dims::const_iterator end) {
  return element_count(Dims(begin, end)).value_or(std::numeric_limits<std::int32_t>::max());
}

}  // namespace

TensorShape natural_shape(const Dims& dims) {
  const auto size = [&](std::size_t i) { return i < dims.size() ? narrow(dims[i]) : 1; };
  if (dims.size() == 1) return {1, size(0), 1, 1};
  if (dims.size() <= 4) return {size(0), size(1), size(2), size(3)};
  return {size(0), size(1), size(2), narrow(product(dims.begin() + 3, dims.end()))};
}

TensorShape shape_around(const Dims& dims, std::size_t first, std::size_t last) {
  if (first == 1 && last == 2 && dims.size() <= 4) return natural_shape(dims);
  const auto at = [&](std::size_t i) { return dims.begin() + static_cast<std::ptrdiff_t>(i); };
  return {narrow(product(dims.begin(), at(first))), narrow(product(at(first), at(last))),
          narrow(product(at(last), dims.end())), 1};
}

Importer::Importer(::onnx::ModelProto& model, std::filesystem::path folder, int batch,
                   const InputShapes& shapes)
    : model_(model),
      folder_(std::move(folder)),
      batch_(batch),
      shapes_(shapes),
      graph_("model", model.producer_name() + (model.producer_version().empty() ? "" : " ") +
                          model.producer_version()) {}

Result<Network> Importer::run() {
  if (auto ok = read_opset(); !ok) return ok.error();
  if (model_.graph().node_size() == 0) return bad("the model has no operators");
  if (auto ok = read_initializers(); !ok) return ok.error();
  if (auto ok = read_inputs(); !ok) return ok.error();
  if (auto ok = read_nodes(); !ok) return ok.error();
  return finish();
}

Result<void> Importer::read_opset() {
  for (const auto& entry : model_.opset_import()) {
    if (!entry.domain().empty() && entry.domain() != "ai.onnx") continue;
    if (entry.version() < kOldestOpset || entry.version() > kNewestOpset)
      return bad("the model uses opset " + std::to_string(entry.version()) + "; those from " +
                 std::to_string(kOldestOpset) + " to " + std::to_string(kNewestOpset) +
                 " are supported");
    opset_ = static_cast<int>(entry.version());
  }
  if (opset_ == 0) return bad("the model does not say which opset it uses");
  return {};
}

Result<void> Importer::read_initializers() {
  for (::onnx::TensorProto& tensor : *model_.mutable_graph()->mutable_initializer()) {
    if (!initializers_.emplace(tensor.name(), &tensor).second)
      return bad("the name " + in_quotes(tensor.name()) + " is used by two tensors");
  }
  return {};
}

Result<void> Importer::read_inputs() {
  for (const auto& [name, shape] : shapes_) {
    const auto& inputs = model_.graph().input();
    if (std::ranges::find(inputs, name, &::onnx::ValueInfoProto::name) == inputs.end())
      return make_error(ErrorCode::usage, "the model has no input " + in_quotes(name));
  }
  for (const ::onnx::ValueInfoProto& info : model_.graph().input()) {
    // Before version 4 of the format, every initializer was an input, too.
    if (initializers_.contains(info.name())) continue;
    if (!is_utf8(info.name())) return bad("the name " + in_quotes(info.name()) + " is not UTF-8");
    Value value;
    const auto& type = info.type().tensor_type();
    if (!info.type().has_tensor_type() || type.elem_type() != ::onnx::TensorProto::FLOAT) {
      value.error =
          bad("input " + in_quotes(info.name()) + ": only tensors of float32 are supported");
    } else {
      auto dims = input_dims(info);
      if (!dims) return dims.error();
      const auto tensor = graph_.add_input(info.name(), natural_shape(*dims));
      if (!tensor) return tensor.error();
      value.tensor = *tensor;
      value.dims = std::move(*dims);
    }
    if (auto ok = define(info.name(), keep(std::move(value))); !ok) return ok;
  }
  return {};
}

Result<Dims> Importer::input_dims(const ::onnx::ValueInfoProto& info) const {
  const std::string what = "input " + in_quotes(info.name());
  const auto given = std::ranges::find(shapes_, info.name(), &InputShapes::value_type::first);
  const auto& declared = info.type().tensor_type().shape().dim();
  Dims dims;
  if (given != shapes_.end()) {
    dims.assign(given->second.begin(), given->second.end());
    bool fits = !info.type().tensor_type().has_shape() || std::ssize(dims) == declared.size();
    for (int i = 0; fits && i < declared.size(); ++i)
      fits = !declared[i].has_dim_value() || declared[i].dim_value() == dims[i] || i == 0;
    if (!fits) return bad(what + ": the shape " + dims_text(dims) + " is not what the model takes");
  } else {
    if (!info.type().tensor_type().has_shape())
      return bad(what + " has no shape; say it with --shape");
    for (int i = 0; i < declared.size(); ++i) {
      if (declared[i].has_dim_value()) {
        dims.push_back(declared[i].dim_value());
      } else if (i == 0) {
        dims.push_back(1);  // the batch
      } else {
        const std::string& symbol = declared[i].dim_param();
        return bad(what + ": its dimension " + std::to_string(i) +
                   (symbol.empty() ? "" : ", " + in_quotes(symbol) + ",") +
                   " is open; bind it with --shape " + info.name() + "=1x3x224x224");
      }
    }
  }
  if (batch_ > 0 && !dims.empty()) dims[0] = batch_;
  const auto count = element_count(dims);
  if (!count || *count == 0)
    return bad(what + ": the shape " + dims_text(dims) +
               " has a size that is not positive or more than 2^31 - 1 elements");
  return dims;
}

Result<void> Importer::read_nodes() {
  for (const ::onnx::NodeProto& proto : model_.graph().node()) {
    std::string name = proto.name();
    if (name.empty() && proto.output_size() > 0) name = proto.output(0);
    // A name that no plan could repeat is as good as none.
    if (name.empty() || !is_utf8(name))
      name = is_utf8(proto.op_type()) ? proto.op_type() : "operator";
    nodes_.emplace_back(proto, fresh(std::move(name)), opset_);
    if (auto ok = read_node(nodes_.back()); !ok) return ok;
  }
  return {};
}

Result<void> Importer::read_node(const Node& node) {
  for (int i = 0; i < node.input_count(); ++i) {
    if (!node.has_input(i)) continue;
    const auto value = find(node.input(i));
    if (!value) continue;  // reported to whoever needs the result
    if (*value == nullptr)
      return node.error("it reads " + in_quotes(node.input(i)) +
                        ", which nothing before it makes; a cycle, or operators out of order");
  }
  if (node.output_count() == 0) return {};
  if (auto computed = compute_now(node); !computed) {
    Value failed;
    failed.error = computed.error();
    const Value* const kept = keep(std::move(failed));
    for (int i = 0; i < node.output_count(); ++i)
      if (auto ok = define(node.output(i), kept); !ok) return ok;
    return {};
  } else if (computed->has_value()) {
    ++computed_;
    for (int i = 0; i < node.output_count(); ++i) {
      Value value;
      value.maker = &node;
      if (i < std::ssize(**computed)) {
        value.constant = std::make_shared<const Constant>(std::move((**computed)[i]));
      } else {
        value.error = node.unsupported("its output " + std::to_string(i));
      }
      if (auto ok = define(node.output(i), keep(std::move(value))); !ok) return ok;
    }
    return {};
  }
  if (node.type() == "Split") return split(node);

  const Value* same = nullptr;
  if (node.type() == "Identity" || node.type() == "Dropout" ||
      (node.type() == "Cast" && node.integer("to", 0) == ::onnx::TensorProto::FLOAT)) {
    if (const auto read = input(node, 0); read) same = *read;
  }
  if (same == nullptr) {
    const auto handler = handlers().find(node.type());
    auto result = handler == handlers().end()
                      ? Made(node.error("operators of this type are not supported"))
                      : (this->*handler->second)(node);
    if (result.ok() && node.fault()) result = node.error(*node.fault());
    Value value;
    if (result) {
      value = std::move(*result);
    } else {
      value.error = result.error();
    }
    value.maker = &node;
    same = keep(std::move(value));
  }
  if (auto ok = define(node.output(0), same); !ok) return ok;
  for (int i = 1; i < node.output_count(); ++i) {
    Value other;
    other.error = node.unsupported("its output " + std::to_string(i));
    if (auto ok = define(node.output(i), keep(std::move(other))); !ok) return ok;
  }
  return {};
}

Result<std::optional<std::vector<Constant>>> Importer::compute_now(const Node& node) {
  using Nothing = std::optional<std::vector<Constant>>;
  std::vector<ConstantPointer> inputs;
  for (int i = 0; i < node.input_count(); ++i) {
    if (!node.has_input(i)) {
      inputs.push_back(nullptr);
      continue;
    }
    const auto value = find(node.input(i));
    if (!value) return value.error();
    if ((*value)->error) return *(*value)->error;
    // Sizes are known even where elements are not.
    if ((*value)->is_tensor() && (node.type() == "Shape" || node.type() == "Size")) {
      const Dims& dims = (*value)->dims;
      const auto rank = static_cast<std::int64_t>(dims.size());
      std::vector<Constant> result;
      if (node.type() == "Size") {
        result.push_back(Constant::of_integers({}, {element_count(dims).value_or(0)}));
      } else {
        const auto place = [&](std::int64_t at) {
          return std::clamp<std::int64_t>(at < 0 ? at + rank : at, 0, rank);
        };
        const std::int64_t first = place(node.integer("start", 0));
        const std::int64_t last = std::max(first, place(node.integer("end", rank)));
        result.push_back(
            Constant::of_integers({last - first}, Dims(dims.begin() + first, dims.begin() + last)));
      }
      return Nothing(std::move(result));
    }
    if ((*value)->constant == nullptr) return Nothing();
    inputs.push_back((*value)->constant);
  }
  auto folded = fold(node, inputs, folder_);
  if (folded.ok() && node.fault()) return node.error(*node.fault());
  if (folded.ok() && folded->has_value()) {
    for (const Constant& constant : **folded)
      computed_elements_ += static_cast<std::int64_t>(constant.size());
    if (computed_elements_ > kMaxComputed) return node.error("the model's constants are too large");
  }
  return folded;
}

Result<void> Importer::define(const std::string& name, const Value* value) {
  if (name.empty()) return {};
  if (initializers_.contains(name) || !names_.emplace(name, value).second)
    return bad("the name " + in_quotes(name) + " is used by two tensors");
  return {};
}

const Value* Importer::keep(Value value) {
  values_.push_back(std::move(value));
  return &values_.back();
}

Importer::Found Importer::find(std::string_view name) {
  const std::string key(name);
  if (const auto known = names_.find(key); known != names_.end()) return known->second;
  const auto stored = initializers_.find(key);
  if (stored == initializers_.end()) return nullptr;
  auto constant = read_tensor(*stored->second, folder_);
  stored->second->Clear();  // so that large weights are held once
  initializers_.erase(stored);
  Value value;
  if (constant) {
    value.constant = std::make_shared<const Constant>(std::move(*constant));
  } else {
    value.error = constant.error();
  }
  const Value* const kept = keep(std::move(value));
  names_.emplace(key, kept);
  return kept;
}

Importer::Found Importer::input(const Node& node, int index) {
  if (!node.has_input(index)) return node.error("it has no input " + std::to_string(index));
  const auto value = find(node.input(index));
  if (!value) return value;
  if ((*value)->error) return *(*value)->error;
  return value;
}

Importer::Found Importer::tensor_input(const Node& node, int index) {
  const auto value = input(node, index);
  if (value && !(*value)->is_tensor())
    return node.unsupported("a constant as input " + std::to_string(index));
  return value;
}

Result<ConstantPointer> Importer::constant_input(const Node& node, int index) {
  if (!node.has_input(index)) return ConstantPointer();
  const auto value = input(node, index);
  if (!value) return value.error();
  if ((*value)->constant == nullptr)
    return node.unsupported("an input " + std::to_string(index) +
                            " that is not known when the model is read");
  return (*value)->constant;
}

Result<std::optional<float>> Importer::scalar_input(const Node& node, int index) {
  const auto constant = constant_input(node, index);
  if (!constant) return constant.error();
  if (*constant == nullptr) return std::optional<float>();
  if ((*constant)->size() != 1)
    return node.error("its input " + std::to_string(index) + " must be a single number");
  return std::optional(static_cast<float>((*constant)->at(0)));
}

std::string Importer::fresh(std::string name) const {
  if (!graph_.has_name(name)) return name;
  for (int& number = last_number_[name];;) {
    std::string numbered = name + "#" + std::to_string(number++ + 2);
    if (!graph_.has_name(numbered)) return numbered;
  }
}

Label Importer::label(const Node& node) const {
  return {fresh(node.name()), std::string(node.type())};
}

Importer::Found Importer::plain(const std::string& base, const Value& value) {
  if (!value.channels_last) return &value;
  const auto known = channels_moved_.find(value.tensor);
  TensorId moved = known != channels_moved_.end() ? known->second : -1;
  if (moved < 0) {
    const auto added = graph_.add_transpose({fresh(base + "/channels_last"), "transpose"},
                                            value.tensor, {0, 2, 3, 1});
    if (!added) return added.error();
    moved = channels_moved_[value.tensor] = *added;
  }
  Value result;
  result.tensor = moved;
  result.dims = value.dims;
  return keep(std::move(result));
}

Result<TensorId> Importer::shaped(const std::string& base, const Value& value,
                                  const TensorShape& shape) {
  const auto source = plain(base, value);
  if (!source) return source.error();
  if (graph_.shape((*source)->tensor) == shape) return (*source)->tensor;
  return graph_.add_reshape({fresh(base + "/reshape"), "reshape"}, (*source)->tensor, shape);
}

Result<TensorId> Importer::image(const Node& node, const Value& value) {
  if (value.dims.size() < 2 || value.dims.size() > 4)
    return node.unsupported("an input of " + std::to_string(value.dims.size()) + " dimensions");
  return shaped(node.name(), value, natural_shape(value.dims));
}

Importer::Found Importer::as_channels_last(const Node& node, const Value& value) {
  if (value.channels_last) return &value;
  if (value.dims.size() < 2 || product(value.dims.begin() + 1, value.dims.end() - 1) != 1)
    return nullptr;
  const auto tensor =
      shaped(node.name(), value, {narrow(value.dims.front()), narrow(value.dims.back()), 1, 1});
  if (!tensor) return tensor.error();
  Value result = value;
  result.tensor = *tensor;
  result.channels_last = true;
  return keep(std::move(result));
}

Importer::Made Importer::made(Result<TensorId> tensor, Dims dims, bool channels_last) {
  if (!tensor) return tensor.error();
  Value value;
  value.tensor = *tensor;
  // With one channel or one pixel the orders are the same.
  value.channels_last = channels_last && dims.size() > 2 && dims.back() != 1 &&
                        product(dims.begin() + 1, dims.end() - 1) != 1;
  value.dims = std::move(dims);
  return value;
}

Result<Network> Importer::finish() {
  std::vector<TensorId> outputs;
  for (const ::onnx::ValueInfoProto& info : model_.graph().output()) {
    const auto value = find(info.name());
    if (!value) return value.error();
    if (*value == nullptr) return bad("nothing makes the output " + in_quotes(info.name()));
    if ((*value)->error) return *(*value)->error;
    if (!(*value)->is_tensor())
      return bad("the output " + in_quotes(info.name()) + " depends on no input");
    const auto tensor = shaped(info.name(), **value, natural_shape((*value)->dims));
    if (!tensor) return tensor.error();
    outputs.push_back(*tensor);
  }
  if (computed_ > 0)
    graph_.note_clean_up(std::to_string(computed_) + " operators computed while reading");
  for (const auto& [name, count] : patterns_)
    graph_.note_clean_up(std::to_string(count) + " patterns recognised as " + name);
  return std::move(graph_).build(outputs, DeadOperators::expected);
}

}  // namespace convopt::onnx_reader

namespace convopt {

Result<Network> load_onnx(const std::filesystem::path& path, int batch, const InputShapes& shapes) {
  std::error_code failed;
  if (!std::filesystem::is_regular_file(path, failed))
    return make_error(ErrorCode::bad_input, "cannot read " + path.string() + ": it is no file");
  std::ifstream stream(path, std::ios::binary);
  if (!stream) return make_error(ErrorCode::bad_input, "cannot read " + path.string());
  const auto folder = path.parent_path();
  auto network = read_onnx(stream, path.string(), folder.empty() ? "." : folder, batch, shapes);
  if (network && !path.stem().empty()) network->name = path.stem().string();
  return network;
}

Result<Network> read_onnx(std::istream& stream, std::string_view file_name,
                          const std::filesystem::path& folder, int batch,
                          const InputShapes& shapes) {
  const auto named = [&](const Error& error) {
    return make_error(error.code, std::string(file_name) + ": " + error.message);
  };
  ::onnx::ModelProto model;
  if (!model.ParseFromIstream(&stream) || !model.has_graph())
    return named(make_error(ErrorCode::bad_input, "this is no ONNX model, or it is cut short"));
  auto network = onnx_reader::Importer(model, folder, batch, shapes).run();
  if (!network) return named(network.error());
  return network;
}

}  // namespace convopt
