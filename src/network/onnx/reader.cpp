// Walks through an ONNX model: its inputs, then its operators in their order. An operator on
// constants is computed at once; the others are added to the network by their handlers. An operator
// that convopt cannot compute is an error only if an output depends on it: operators that a pattern
// replaces are not read.
#include "src/network/onnx/reader.h"

#include <onnx/onnx_pb.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <deque>
#include <limits>
#include <utility>

#include "core/files.h"
#include "core/text.h"
#include "core/try.h"
#include "src/network/onnx/deciding_inputs.h"
#include "src/network/onnx/folding.h"
#include "src/network/onnx/import.h"
#include "src/network/onnx/model_file.h"
#include "src/network/onnx/operators/handlers.h"
#include "src/network/onnx/operators/parts.h"
#include "src/network/onnx/order.h"
#include "src/network/onnx/tensor.h"

namespace convopt {
namespace onnx_reader {
namespace {

/// Operators that pass their input on. Cast does so where nothing is lost.
constexpr std::array<std::string_view, 3> kPassing = {"Identity", "Dropout", "Cast"};

constexpr int kOldestOpset = 1, kNewestOpset = 22;
/// Deepest nesting of graphs.
constexpr int kMostNested = 16;
/// Most elements that folding may hold in all, 1 GiB: chains of operators that double their input
/// end here.
constexpr std::int64_t kMaxComputed = std::int64_t{1} << 28;

Error bad(std::string message) { return make_error(ErrorCode::bad_input, std::move(message)); }

Value failed(Error error) {
  Value value;
  value.error = std::move(error);
  return value;
}

class ModelReader {
 public:
  ModelReader(ModelFile& file, const OnnxOptions& options)
      : model_(*file.model),
        options_(options),
        import_(file,
                model_.producer_name() + (model_.producer_version().empty() ? "" : " ") +
                    model_.producer_version(),
                options.folder) {}

  Result<Network> run();

 private:
  Result<void> read_opset();
  Result<void> read_inputs();
  Result<void> read_input(const ::onnx::ValueInfoProto& info);
  Result<Dims> input_dims(const ::onnx::ValueInfoProto& info) const;
  Result<void> check_names() const;
  Result<void> read_graph(::onnx::GraphProto& graph);
  Result<void> read_node(const Node& node);
  /// An If whose condition is known: the operators of that branch.
  Result<void> read_branch(const Node& node);
  Result<const ::onnx::GraphProto*> taken_branch(const Node& node);
  /// The results of an operator whose inputs are all known; nothing for others.
  Result<std::optional<std::vector<Constant>>> compute_now(const Node& node);
  std::vector<Value> outputs_of(const Node& node);
  /// Those from `first` on; outputs beyond `values` are not supported.
  Result<void> define_outputs(const Node& node, std::vector<Value> values, int first);
  /// The value that an operator only passes on, or null.
  const Value* passed_on(const Node& node);
  /// The mask of a Dropout that drops nothing, where the model names it.
  std::vector<Value> mask_of(const Node& node, const Value& passed);
  Result<Network> finish();

  ::onnx::ModelProto& model_;
  const OnnxOptions& options_;
  Import import_;
  int opset_ = 0;
  std::deque<Node> nodes_;  // of stable address: values name their makers
  std::deque<::onnx::GraphProto> branches_;
  int depth_ = 0;
  bool narrows_ = false;
  std::int64_t computed_elements_ = 0;
  int computed_ = 0;
};

Result<Network> ModelReader::run() {
  CONVOPT_CHECK(read_opset());
  if (model_.graph().node_size() == 0) return bad("the model has no operators");
  for (::onnx::TensorProto& tensor : *model_.mutable_graph()->mutable_initializer())
    CONVOPT_CHECK(import_.add_initializer(tensor));
  CONVOPT_CHECK(read_inputs());
  CONVOPT_CHECK(read_graph(*model_.mutable_graph()));
  return finish();
}

/// The newest opset that came with a version of the format.
int newest_opset(std::int64_t format) {
  constexpr std::array kOpsets = {1, 1, 1, 8, 9, 10, 12, 14, 18, 20, 21};
  const std::int64_t last = std::ssize(kOpsets) - 1;
  return kOpsets[static_cast<std::size_t>(std::clamp<std::int64_t>(format, 0, last))];
}

Result<void> ModelReader::read_opset() {
  std::optional<std::int64_t> named;
  for (const auto& entry : model_.opset_import())
    if (entry.domain().empty() || entry.domain() == "ai.onnx") named = entry.version();
  const std::int64_t opset = named.value_or(newest_opset(model_.ir_version()));
  if (opset < kOldestOpset || opset > kNewestOpset)
    return bad("the model uses opset " + std::to_string(opset) + "; those from " +
               std::to_string(kOldestOpset) + " to " + std::to_string(kNewestOpset) +
               " are supported");
  opset_ = static_cast<int>(opset);
  if (!named)
    import_.graph().warn("the model does not say which opset it uses; it is read as opset " +
                         std::to_string(opset_) + ", by its version of the format");
  return {};
}

std::string names_of(const google::protobuf::RepeatedPtrField<::onnx::ValueInfoProto>& tensors) {
  std::vector<std::string> names;
  for (const ::onnx::ValueInfoProto& info : tensors) names.push_back(info.name());
  return listed(names);
}

Result<void> ModelReader::check_names() const {
  const auto& inputs = model_.graph().input();
  const auto check = [&](const auto& given) -> Result<void> {
    for (const auto& [name, what] : given)
      if (std::ranges::find(inputs, name, &::onnx::ValueInfoProto::name) == inputs.end())
        return make_error(ErrorCode::usage, "the model has no input " + in_quotes(name) +
                                                "; its inputs are " + names_of(inputs));
    return {};
  };
  CONVOPT_CHECK(check(options_.shapes));
  return check(options_.values);
}

Result<void> ModelReader::read_inputs() {
  CONVOPT_CHECK(check_names());
  for (const ::onnx::ValueInfoProto& info : model_.graph().input()) {
    // Before version 4 of the format, every initializer was an input, too.
    if (!import_.is_initializer(info.name())) CONVOPT_CHECK(read_input(info));
  }
  return {};
}

/// The constant that an input of those sizes becomes.
Result<Constant> bound_input(const std::string& name, const Dims& dims, bool is_float,
                             const std::vector<double>& given) {
  const auto count = static_cast<std::size_t>(element_count(dims).value_or(0));
  if (given.size() != count && given.size() != 1)
    return make_error(ErrorCode::usage, "the input " + in_quotes(name) + " of the shape " +
                                            dims_text(dims) + " is bound to " +
                                            counted(given.size(), "value"));
  Constant constant;
  constant.dims = dims;
  constant.is_float = is_float;
  std::vector<float>& floats = constant.floats.own();
  for (std::size_t i = 0; i < count; ++i) {
    const double value = given[given.size() == 1 ? 0 : i];
    if (constant.is_float) {
      floats.push_back(static_cast<float>(value));
    } else if (constexpr double kLargest = 1LL << 53;
               std::abs(value) <= kLargest && value == std::trunc(value)) {
      constant.integers.push_back(static_cast<std::int64_t>(value));
    } else {
      return make_error(ErrorCode::usage, "the input " + in_quotes(name) +
                                              " takes whole numbers, " + significant(value, 6) +
                                              " is none");
    }
  }
  return constant;
}

Result<void> ModelReader::read_input(const ::onnx::ValueInfoProto& info) {
  const std::string& name = info.name();
  if (!is_utf8(name)) return bad("the name " + in_quotes(name) + " is not UTF-8");
  Value value;
  const auto& type = info.type().tensor_type();
  const auto known = info.type().has_tensor_type() ? data_type(type.elem_type()) : std::nullopt;
  if (!known) {
    value.error = bad("input " + in_quotes(name) +
                      " is no tensor of real numbers, whole numbers up to 64 bits or truth values");
    return import_.define(name, import_.keep(std::move(value)));
  }
  CONVOPT_TRY(value.dims, input_dims(info));
  if (value.dims.size() > kMaxRank)
    return bad("input " + in_quotes(name) + " has more than " + std::to_string(kMaxRank) +
               " dimensions");
  value.type = *known;
  if (const auto given = std::ranges::find(options_.values, name, &InputValues::value_type::first);
      given != options_.values.end()) {
    CONVOPT_TRY(
        auto constant,
        bound_input(name, value.dims, is_real(type.elem_type()) || type.elem_type() == kBfloat16,
                    given->second));
    Value bound = constant_value(std::move(constant));
    return import_.define(name, import_.keep(std::move(bound)));
  }
  GraphBuilder& graph = import_.graph();
  CONVOPT_TRY(value.tensor, graph.add_input(name, ranked_shape(value.dims), *known));
  CONVOPT_TRY(value.tensor,
              graph.add_cast({import_.fresh(name + "/f32"), "Cast"}, value.tensor, DataType::f32));
  CONVOPT_TRY(value.tensor, graph.add_reshape({import_.fresh(name + "/image"), "reshape"},
                                              value.tensor, natural_shape(value.dims)));
  return import_.define(name, import_.keep(std::move(value)));
}

/// "x=1x3x48x224": the sizes that the model says, and usual ones where it leaves them open.
std::string shape_example(const ::onnx::ValueInfoProto& info) {
  const auto& type = info.type().tensor_type();
  if (!type.has_shape()) return info.name() + "=1x3x224x224";
  const auto& declared = type.shape().dim();
  constexpr std::int64_t kSide = 224, kLength = 64;
  Dims dims;
  for (int i = 0; i < declared.size(); ++i)
    dims.push_back(declared[i].has_dim_value() && declared[i].dim_value() > 0
                       ? declared[i].dim_value()
                   : i == 0               ? 1
                   : declared.size() == 4 ? (i == 1 ? 3 : kSide)
                                          : kLength);
  return info.name() + "=" + dims_text(dims);
}

Result<Dims> ModelReader::input_dims(const ::onnx::ValueInfoProto& info) const {
  const std::string what = "input " + in_quotes(info.name());
  const auto given =
      std::ranges::find(options_.shapes, info.name(), &InputShapes::value_type::first);
  const auto& declared = info.type().tensor_type().shape().dim();
  Dims dims;
  if (given != options_.shapes.end()) {
    dims.assign(given->second.begin(), given->second.end());
    bool fits = !info.type().tensor_type().has_shape() || std::ssize(dims) == declared.size();
    for (int i = 0; fits && i < declared.size(); ++i)
      fits = !declared[i].has_dim_value() || declared[i].dim_value() == dims[i] || i == 0;
    if (!fits) return bad(what + ": the shape " + dims_text(dims) + " is not what the model takes");
  } else {
    if (!info.type().tensor_type().has_shape())
      return bad(what + " has no shape; say it, such as with --shape " + shape_example(info));
    for (int i = 0; i < declared.size(); ++i) {
      if (declared[i].has_dim_value()) {
        dims.push_back(declared[i].dim_value());
      } else if (i == 0) {
        dims.push_back(1);  // the batch
      } else {
        const std::string& symbol = declared[i].dim_param();
        return bad(what + ": its dimension " + std::to_string(i) +
                   (symbol.empty() ? "" : ", " + in_quotes(symbol) + ",") +
                   " is open; bind it, such as with --shape " + shape_example(info));
      }
    }
  }
  if (options_.batch > 0 && !dims.empty()) dims[0] = options_.batch;
  const auto count = element_count(dims);
  if (!count || *count == 0)
    return bad(what + ": the shape " + dims_text(dims) +
               " has a size that is not positive or more than 2^31 - 1 elements");
  return dims;
}

Result<void> ModelReader::read_graph(::onnx::GraphProto& graph) {
  CONVOPT_TRY(const auto order, execution_order(graph));
  for (const int index : order) {
    const ::onnx::NodeProto& proto = graph.node(index);
    std::string name = proto.name();
    if (name.empty() && proto.output_size() > 0) name = proto.output(0);
    // A name that no plan could repeat is as good as none.
    if (name.empty() || !is_utf8(name))
      name = is_utf8(proto.op_type()) ? proto.op_type() : "operator";
    nodes_.emplace_back(proto, import_.fresh(std::move(name)), opset_);
    CONVOPT_CHECK(read_node(nodes_.back()));
  }
  return {};
}

Result<void> ModelReader::read_node(const Node& node) {
  for (int i = 0; i < node.input_count(); ++i)
    if (node.has_input(i) && import_.find(node.input(i)) == nullptr)
      return node.error("it reads " + in_quotes(node.input(i)) +
                        ", which is no input and which no operator makes");
  if (node.output_count() == 0) return {};
  std::vector<Value> values;
  if (auto computed = compute_now(node); !computed) {
    // What folding cannot do, the network perhaps can, unless it is too large for either.
    if (computed_elements_ <= kMaxComputed) values = outputs_of(node);
    if (values.empty() || values.front().error)
      values.assign(static_cast<std::size_t>(node.output_count()), failed(computed.error()));
  } else if (computed->has_value()) {
    ++computed_;
    for (Constant& constant : **computed)
      values.emplace_back().constant = std::make_shared<const Constant>(std::move(constant));
  } else if (node.type() == "If") {
    return read_branch(node);
  } else if (const Value* value = passed_on(node)) {
    CONVOPT_CHECK(import_.define(node.output(0), value));
    return define_outputs(node, mask_of(node, *value), 1);
  } else {
    values = outputs_of(node);
  }
  return define_outputs(node, std::move(values), 0);
}

Result<const ::onnx::GraphProto*> ModelReader::taken_branch(const Node& node) {
  CONVOPT_TRY(const Value* value, import_.input(node, 0));
  const ConstantPointer& condition = value->constant;
  if (condition == nullptr) {
    const auto inputs = deciding_inputs(model_.graph());
    return node.error("its condition is not known when the model is read" +
                      (inputs.empty()
                           ? std::string(", and branches are taken only then")
                           : "; the values of inputs that it depends on can be bound, such as "
                             "with --bind " +
                                 *inputs.begin() + "=1"));
  }
  if (condition->size() != 1) return node.error("its condition must be a single truth value");
  const auto* branch = node.graph(condition->at(0) != 0 ? "then_branch" : "else_branch");
  if (branch == nullptr || branch->output_size() < node.output_count())
    return node.error("its branch does not have its outputs");
  if (depth_ >= kMostNested) return node.error("it is nested too deeply");
  return branch;
}

Result<void> ModelReader::read_branch(const Node& node) {
  const auto taken = taken_branch(node);
  if (!taken)
    return define_outputs(
        node, std::vector(static_cast<std::size_t>(node.output_count()), failed(taken.error())), 0);
  ::onnx::GraphProto& branch = branches_.emplace_back(**taken);
  import_.enter_graph();
  ++depth_;
  for (::onnx::TensorProto& tensor : *branch.mutable_initializer())
    CONVOPT_CHECK(import_.add_initializer(tensor));
  CONVOPT_CHECK(read_graph(branch));
  std::vector<const Value*> results;
  for (int i = 0; i < node.output_count(); ++i) {
    results.push_back(import_.find(branch.output(i).name()));
    if (results.back() == nullptr)
      return node.error("nothing makes the output " + in_quotes(branch.output(i).name()) +
                        " of its branch");
  }
  --depth_;
  import_.leave_graph();
  for (int i = 0; i < node.output_count(); ++i)
    CONVOPT_CHECK(import_.define(node.output(i), results[static_cast<std::size_t>(i)]));
  return {};
}

const Value* ModelReader::passed_on(const Node& node) {
  bool passes = std::ranges::find(kPassing, node.type()) != kPassing.end();
  if (node.type() == "Cast") {
    const int to = static_cast<int>(node.integer("to", 0));
    const auto read = import_.input(node, 0);
    passes = (is_real(to) || to == kBfloat16) && read && !(*read)->is_integer();
    if (passes && to != kFloat && !std::exchange(narrows_, true))
      import_.graph().warn(
          "values that the model casts to other types of real numbers stay in"
          " single precision");
  }
  const auto read = passes ? import_.input(node, 0) : Import::Found(nullptr);
  return read ? *read : nullptr;
}

std::vector<Value> ModelReader::mask_of(const Node& node, const Value& passed) {
  if (node.type() != "Dropout" || node.output_count() < 2 || node.output(1).empty()) return {};
  auto mask = made(broadcast_to(import_, node, number_value(1), passed.sizes()), passed.sizes());
  if (!mask) return {failed(mask.error())};
  mask->type = DataType::boolean;
  return {*std::move(mask)};
}

/// The type of a result as the model sees it, where its handler has not said it: that of the first
/// input.
DataType type_like_input(Import& import, const Node& node) {
  const Value* first = node.has_input(0) ? import.find(node.input(0)) : nullptr;
  if (first == nullptr || first->error) return DataType::f32;
  return first->is_tensor() ? first->type : first->is_integer() ? DataType::s64 : DataType::f32;
}

std::vector<Value> ModelReader::outputs_of(const Node& node) {
  const OperatorHandler* handler = find_handler(node.type());
  if (handler == nullptr) return {failed(node.error("operators of this type are not supported"))};
  auto values = handler->handle(import_, node);
  if (values.ok() && node.fault()) values = node.error(*node.fault());
  if (values) {
    for (Value& value : *values)
      if (value.is_tensor() && value.type == DataType::f32 && !handler->names_types)
        value.type = type_like_input(import_, node);
    return *std::move(values);
  }
  return std::vector(static_cast<std::size_t>(node.output_count()), failed(values.error()));
}

Result<void> ModelReader::define_outputs(const Node& node, std::vector<Value> values, int first) {
  for (int i = first; i < node.output_count(); ++i) {
    Value value = i - first < std::ssize(values)
                      ? std::move(values[static_cast<std::size_t>(i - first)])
                      : failed(node.unsupported("its output " + std::to_string(i)));
    value.maker = &node;
    CONVOPT_CHECK(import_.define(node.output(i), import_.keep(std::move(value))));
  }
  return {};
}

/// The result of an operator that reads the shape of its input only: known even where the elements
/// are not.
Result<std::optional<Constant>> made_of_shape(const Node& node, const Value& x) {
  const Dims& dims = x.dims;
  if (node.type() == "EyeLike") {
    CONVOPT_TRY(auto matrix, identity_matrix(node, dims, !x.is_integer()));
    return std::optional(std::move(matrix));
  }
  if (node.type() == "Size")
    return std::optional(Constant::of_integers({}, {element_count(dims).value_or(0)}));
  if (node.type() == "Shape") return std::optional(shape_part(node, dims));
  return std::optional<Constant>();
}

Result<std::optional<std::vector<Constant>>> ModelReader::compute_now(const Node& node) {
  using Nothing = std::optional<std::vector<Constant>>;
  std::vector<ConstantPointer> inputs;
  for (int i = 0; i < node.input_count(); ++i) {
    if (!node.has_input(i)) {
      inputs.push_back(nullptr);
      continue;
    }
    CONVOPT_TRY(const Value* value, import_.input(node, i));
    if (value->is_tensor()) {
      if (i > 0) return Nothing();
      CONVOPT_TRY(auto result, made_of_shape(node, *value));
      return result ? Nothing({*std::move(result)}) : Nothing();
    }
    inputs.push_back(value->constant);
  }
  CONVOPT_TRY(auto folded, fold(node, inputs, import_.folder()));
  if (node.fault()) return node.error(*node.fault());
  if (folded) {
    for (const Constant& constant : *folded)
      computed_elements_ += static_cast<std::int64_t>(constant.size());
    if (computed_elements_ > kMaxComputed) return node.error("the model's constants are too large");
  }
  return folded;
}

Result<Network> ModelReader::finish() {
  GraphBuilder& graph = import_.graph();
  std::vector<TensorId> outputs;
  std::vector<std::string> names;
  for (const ::onnx::ValueInfoProto& info : model_.graph().output()) {
    names.push_back(info.name());
    const Value* value = import_.find(info.name());
    if (value == nullptr) return bad("nothing makes the output " + in_quotes(info.name()));
    if (value->error) return *value->error;
    if (value->sizes().size() > kMaxRank)
      return bad("the output " + in_quotes(info.name()) + " has more than " +
                 std::to_string(kMaxRank) + " dimensions");
    CONVOPT_TRY(const Value* result, import_.as_tensor(info.name(), *value));
    CONVOPT_TRY(TensorId tensor, import_.ranked(info.name(), *result));
    const auto type = data_type(info.type().tensor_type().elem_type());
    CONVOPT_TRY(tensor, graph.add_cast({import_.fresh(info.name() + "/cast"), "Cast"}, tensor,
                                       type.value_or(value->type)));
    // An output of a network is a tensor of its own.
    if (graph.is_input(tensor) || std::ranges::find(outputs, tensor) != outputs.end()) {
      const Activation identity{ActivationKind::leaky_relu, 1};
      CONVOPT_TRY(tensor, graph.add_activation({import_.fresh(info.name() + "/copy"), "Identity"},
                                               tensor, identity));
    }
    outputs.push_back(tensor);
  }
  graph.name_outputs(std::move(names));
  if (computed_ > 0)
    graph.note_clean_up(counted(static_cast<std::size_t>(computed_), "operator") +
                        " computed while reading");
  import_.note_patterns();
  return std::move(graph).build(outputs, DeadOperators::expected);
}

DeclaredTensor declared_tensor(const ::onnx::ValueInfoProto& info) {
  DeclaredTensor tensor;
  tensor.name = info.name();
  if (!info.type().has_tensor_type()) return tensor;
  const auto& type = info.type().tensor_type();
  tensor.type = data_type(type.elem_type());
  if (!type.has_shape()) return tensor;
  tensor.sizes.emplace();
  for (const auto& dim : type.shape().dim()) {
    const bool is_known = dim.has_dim_value() && dim.dim_value() > 0 &&
                          dim.dim_value() <= std::numeric_limits<int>::max();
    tensor.sizes->push_back({is_known ? static_cast<int>(dim.dim_value()) : 0, dim.dim_param()});
  }
  return tensor;
}

Error no_model() {
  return bad("it is neither an ONNX model nor a network in JSON, or it is cut short");
}

Error in_file(std::string_view name, const Error& error) {
  return make_error(error.code, std::string(name) + ": " + error.message);
}

}  // namespace
}  // namespace onnx_reader

std::vector<std::string_view> onnx_operators() {
  std::vector<std::string_view> types = onnx_reader::handled_types();
  const auto folded = onnx_reader::folded_types();
  types.insert(types.end(), folded.begin(), folded.end());
  types.insert(types.end(), onnx_reader::kPassing.begin(), onnx_reader::kPassing.end());
  types.emplace_back("If");
  std::ranges::sort(types);
  types.erase(std::unique(types.begin(), types.end()), types.end());
  return types;
}

Result<Network> load_onnx(const std::filesystem::path& path, OnnxOptions options) {
  CONVOPT_TRY(auto file, MappedFile::open(path));
  const std::string_view bytes = file->bytes();
  const auto folder = path.parent_path();
  options.folder = folder.empty() ? "." : folder;
  options.owner = std::move(file);
  auto network = read_onnx(bytes, path.string(), options);
  if (network && !path.stem().empty()) network->name = path.stem().string();
  return network;
}

Result<Network> read_onnx(std::string_view bytes, std::string_view file_name,
                          const OnnxOptions& options) {
  // Without an owner, large values would be asked for when the bytes are gone.
  const auto owner =
      options.owner != nullptr ? options.owner : std::make_shared<std::string>(bytes);
  if (options.owner == nullptr) bytes = *std::static_pointer_cast<const std::string>(owner);
  auto file = onnx_reader::parse_model(bytes, owner);
  if (!file) return onnx_reader::in_file(file_name, onnx_reader::no_model());
  auto network = onnx_reader::ModelReader(*file, options).run();
  if (!network) return onnx_reader::in_file(file_name, network.error());
  return network;
}

Result<NetworkBorder> onnx_border(const std::filesystem::path& path) {
  CONVOPT_TRY(const auto mapped, MappedFile::open(path));
  const auto file = onnx_reader::parse_model(mapped->bytes(), mapped);
  if (!file) return onnx_reader::in_file(path.string(), onnx_reader::no_model());
  const ::onnx::GraphProto& graph = file->model->graph();
  const auto deciding = onnx_reader::deciding_inputs(graph);
  NetworkBorder border;
  for (const ::onnx::ValueInfoProto& info : graph.input()) {
    const auto& constants = graph.initializer();
    if (std::ranges::find(constants, info.name(), &::onnx::TensorProto::name) != constants.end())
      continue;
    border.inputs.push_back(onnx_reader::declared_tensor(info));
    border.inputs.back().decides = deciding.contains(info.name());
  }
  for (const ::onnx::ValueInfoProto& info : graph.output())
    border.outputs.push_back(onnx_reader::declared_tensor(info));
  return border;
}

}  // namespace convopt
