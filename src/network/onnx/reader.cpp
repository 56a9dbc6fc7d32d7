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
#include "src/network/onnx/rest.h"
#include "src/network/onnx/stage.h"
#include "src/network/onnx/tensor.h"

namespace convopt {
namespace onnx_reader {
namespace {

/// Operators that pass their input on. Cast does so where nothing is lost.
constexpr std::array<std::string_view, 3> kPassing = {"Identity", "Dropout", "Cast"};

/// Operators with graphs inside of them.
constexpr std::array<std::string_view, 3> kWithGraph = {"If", "Loop", "Scan"};

/// Most repetitions of such a graph, and operators in all.
constexpr std::int64_t kMostRepeated = 4096;
constexpr std::size_t kMostOperators = std::size_t{1} << 18;

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

/// The value of an operator that can be read when more numbers are known.
Value waiting(Error error) {
  Value value = failed(std::move(error));
  value.waits = true;
  return value;
}

bool has_inner_graph(std::string_view type) {
  return std::ranges::find(kWithGraph, type) != kWithGraph.end();
}

bool is_supported(std::string_view type) {
  return find_handler(type) != nullptr || can_fold(type) || has_inner_graph(type) ||
         std::ranges::find(kPassing, type) != kPassing.end();
}

class ModelReader {
 public:
  /// `known` is null for the first stage.
  ModelReader(ModelFile& file, const OnnxOptions& options, const KnownValues* known)
      : model_(*file.model),
        options_(options),
        known_(known),
        import_(file,
                model_.producer_name() + (model_.producer_version().empty() ? "" : " ") +
                    model_.producer_version(),
                options.folder, known != nullptr) {}

  /// Reads these operators, in an order in which they can be executed.
  Result<Stage> run(const std::vector<int>& order);

 private:
  Result<void> read_inputs();
  Result<void> define_known();
  /// The network's input of that name, as the model sees it.
  Result<void> add_input(const std::string& name, Value value);
  Result<void> read_input(const ::onnx::ValueInfoProto& info);
  Result<Dims> input_dims(const ::onnx::ValueInfoProto& info) const;
  /// The size of an open dimension of that name in an input whose shape is given; 0: none has it.
  std::int64_t size_of(const std::string& symbol) const;
  /// "x=1x3x48x224": the sizes that the model says, and usual ones where it leaves them open.
  std::string shape_example(const ::onnx::ValueInfoProto& info) const;
  Result<void> check_names() const;
  Result<void> read_operators(const ::onnx::GraphProto& graph, const std::vector<int>& order);
  bool is_known(const std::string& name) const {
    return known_ != nullptr && known_->contains(name);
  }
  bool is_of_file(const Node& node);
  /// Whether operators may wait for numbers: not for those that the user can bind.
  bool may_wait();
  /// Whether an operator failed because it has to wait. It did not if `wants` is the number of
  /// wishes before it was read and its inputs are there.
  bool has_to_wait(const Node& node, int wants);
  Result<void> read_node(const Node& node);
  // Operators with graphs inside of them, whose operators become those of the network: of an If,
  // the branch that its known condition takes; of Loop and Scan, one copy for every repetition.
  using Values = Result<std::vector<const Value*>>;
  Result<void> read_inner_graph(const Node& node);
  Values branch_results(const Node& node);
  Values loop_results(const Node& node);
  Values scan_results(const Node& node);
  Result<const ::onnx::GraphProto*> taken_branch(const Node& node);
  /// The outputs of the graph for these inputs.
  Values read_body(const Node& node, const ::onnx::GraphProto& body,
                   const std::vector<const Value*>& inputs);
  /// Values of one shape along a new axis; `declared` says their shape where there are none.
  Import::Found stacked(const Node& node, const std::vector<const Value*>& parts, std::int64_t axis,
                        const ::onnx::ValueInfoProto& declared);
  /// What an operator reads has to be known, so that all inside of it is.
  void want_all(const Node& node);
  Error not_known(const Node& node, const std::string& what);
  /// The results of an operator whose inputs are all known; nothing for others.
  Result<std::optional<std::vector<Constant>>> compute_now(const Node& node);
  std::vector<Value> outputs_of(const Node& node);
  /// Results of an operator that reads tensors without elements, if they have none either. Their
  /// sizes follow from those with two and with three elements in place of none: nothing for an
  /// operator of which that cannot be said.
  std::vector<Value> outputs_without_elements(const Node& node);
  /// The results if the sizes of 0 of these inputs were `size`.
  std::vector<Value> outputs_with(const Node& node, const std::set<std::string>& names,
                                  std::int64_t size);
  /// Those from `first` on; outputs beyond `values` are not supported.
  Result<void> define_outputs(const Node& node, std::vector<Value> values, int first);
  /// The value that an operator only passes on, or null.
  const Value* passed_on(const Node& node);
  /// The mask of a Dropout that drops nothing, where the model names it.
  std::vector<Value> mask_of(const Node& node, const Value& passed);
  Result<Stage> finish(const std::vector<int>& order);
  Result<void> add_output(const std::string& name, const Value& value, DataType type);
  Result<Network> network();

  ::onnx::ModelProto& model_;
  const OnnxOptions& options_;
  const KnownValues* known_;
  Import import_;
  int opset_ = 0;
  std::optional<bool> may_wait_;
  std::vector<TensorId> outputs_;
  std::vector<std::string> output_names_;
  std::deque<Node> nodes_;  // of stable address: values name their makers
  std::deque<::onnx::GraphProto> bodies_;
  int depth_ = 0;
  bool narrows_ = false;
  std::int64_t computed_elements_ = 0;
  int computed_ = 0;
};

Result<Stage> ModelReader::run(const std::vector<int>& order) {
  std::string guess;
  CONVOPT_TRY(opset_, model_opset(model_, &guess));
  if (!guess.empty()) import_.graph().warn(std::move(guess));
  const ::onnx::GraphProto& graph = model_.graph();
  if (graph.node_size() == 0) return bad("the model has no operators");
  for (::onnx::TensorProto& tensor : *model_.mutable_graph()->mutable_initializer())
    CONVOPT_CHECK(import_.add_initializer(tensor));
  if (known_ == nullptr) {
    CONVOPT_CHECK(read_inputs());
  } else {
    CONVOPT_CHECK(define_known());
  }
  CONVOPT_CHECK(read_operators(graph, order));
  return finish(order);
}

/// The newest opset that came with a version of the format.
int newest_opset(std::int64_t format) {
  constexpr std::array kOpsets = {1, 1, 1, 8, 9, 10, 12, 14, 18, 20, 21};
  const std::int64_t last = std::ssize(kOpsets) - 1;
  return kOpsets[static_cast<std::size_t>(std::clamp<std::int64_t>(format, 0, last))];
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

Result<void> ModelReader::define_known() {
  for (const auto& [name, known] : *known_) {
    Value value;
    value.type = known.value->border_type();
    if (known.is_input) {
      value.dims = known.value->dims;
      CONVOPT_CHECK(add_input(name, std::move(value)));
    } else {
      value.constant = known.value;
      value.of_file = known.of_file;
      CONVOPT_CHECK(import_.define(name, import_.keep(std::move(value))));
    }
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
  return add_input(name, std::move(value));
}

Result<void> ModelReader::add_input(const std::string& name, Value value) {
  GraphBuilder& graph = import_.graph();
  CONVOPT_TRY(value.tensor, graph.add_input(name, ranked_shape(value.dims), value.type));
  CONVOPT_TRY(value.tensor,
              graph.add_cast({import_.fresh(name + "/f32"), "Cast"}, value.tensor, DataType::f32));
  CONVOPT_TRY(value.tensor, graph.add_reshape({import_.fresh(name + "/image"), "reshape"},
                                              value.tensor, natural_shape(value.dims)));
  return import_.define(name, import_.keep(std::move(value)));
}

std::int64_t ModelReader::size_of(const std::string& symbol) const {
  if (symbol.empty()) return 0;
  for (const auto& info : model_.graph().input()) {
    const auto given =
        std::ranges::find(options_.shapes, info.name(), &InputShapes::value_type::first);
    if (given == options_.shapes.end()) continue;
    const auto& declared = info.type().tensor_type().shape().dim();
    for (int i = 0; i < declared.size() && i < std::ssize(given->second); ++i)
      if (declared[i].dim_param() == symbol) return given->second[static_cast<std::size_t>(i)];
  }
  return 0;
}

std::string ModelReader::shape_example(const ::onnx::ValueInfoProto& info) const {
  const auto& type = info.type().tensor_type();
  if (!type.has_shape()) return info.name() + "=1x3x224x224";
  const auto& declared = type.shape().dim();
  constexpr std::int64_t kSide = 224, kLength = 64;
  Dims dims;
  for (int i = 0; i < declared.size(); ++i) {
    const std::int64_t same = size_of(declared[i].dim_param());
    dims.push_back(declared[i].has_dim_value() && declared[i].dim_value() > 0
                       ? declared[i].dim_value()
                   : same > 0             ? same
                   : i == 0               ? 1
                   : declared.size() == 4 ? (i == 1 ? 3 : kSide)
                                          : kLength);
  }
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
                   " is open; give it a size, such as with --shape " + shape_example(info) +
                   " (a verb without that option takes what convopt import writes with it)");
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

Result<void> ModelReader::read_operators(const ::onnx::GraphProto& graph,
                                         const std::vector<int>& order) {
  for (const int index : order) {
    const ::onnx::NodeProto& proto = graph.node(index);
    if (nodes_.size() >= kMostOperators) return bad("the model has too many operators");
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
  const int wants = import_.wants();
  if (!is_supported(node.type())) {
    values = {failed(node.error("operators of this type are not supported"))};
  } else if (auto computed = compute_now(node); !computed) {
    // What folding cannot do, the network perhaps can, unless it is too large for either.
    if (computed_elements_ <= kMaxComputed) values = outputs_of(node);
    if (values.empty() || values.front().error)
      values.assign(static_cast<std::size_t>(node.output_count()), failed(computed.error()));
  } else if (computed->has_value()) {
    ++computed_;
    for (Constant& constant : **computed) {
      Value& value = values.emplace_back();
      value.constant = std::make_shared<const Constant>(std::move(constant));
      value.of_file = is_of_file(node);
    }
  } else if (has_inner_graph(node.type())) {
    return read_inner_graph(node);
  } else if (const Value* value = passed_on(node)) {
    CONVOPT_CHECK(import_.define(node.output(0), value));
    return define_outputs(node, mask_of(node, *value), 1);
  } else {
    values = outputs_of(node);
  }
  if (!values.empty() && values.front().error) {
    std::vector<Value> empty;
    if (!has_to_wait(node, wants)) empty = outputs_without_elements(node);
    if (!empty.empty()) {
      values = std::move(empty);
    } else if (has_to_wait(node, wants)) {  // perhaps for the sizes of what has no elements
      values.assign(static_cast<std::size_t>(node.output_count()), waiting(*values.front().error));
    }
  }
  return define_outputs(node, std::move(values), 0);
}

std::vector<Value> ModelReader::outputs_with(const Node& node, const std::set<std::string>& names,
                                             std::int64_t size) {
  import_.enter_graph();
  std::vector<Value> values;
  for (const std::string& name : names) {
    const Value& empty = *import_.find(name);
    Dims dims = empty.constant->dims;
    std::ranges::replace(dims, 0, size);
    auto value = made(import_.graph().add_constant({import_.fresh(name + "/sized"), "Constant"},
                                                   natural_shape(dims)),
                      dims);
    if (!value) values = {failed(value.error())};
    if (!values.empty()) break;
    value->type = empty.constant->border_type();
    if (!import_.define(name, import_.keep(*std::move(value)))) break;
  }
  if (values.empty()) values = outputs_of(node);
  import_.leave_graph();
  return values;
}

std::vector<Value> ModelReader::outputs_without_elements(const Node& node) {
  // Of the file are such as say that an input is left out, unless there are no others.
  std::set<std::string> names, of_file;
  for (int i = 0; i < node.input_count(); ++i) {
    const Value* value = node.has_input(i) ? import_.find(node.input(i)) : nullptr;
    if (value != nullptr && value->constant != nullptr && value->constant->size() == 0)
      (value->of_file ? of_file : names).emplace(node.input(i));
  }
  if (names.empty()) names = std::move(of_file);
  if (names.empty()) return {};
  const std::vector<Value> two = outputs_with(node, names, 2);
  const std::vector<Value> three = outputs_with(node, names, 3);
  std::vector<Value> values;
  for (std::size_t i = 0; i < two.size() && i < three.size(); ++i) {
    if (two[i].error || three[i].error) return {};
    Dims dims = two[i].sizes();
    if (three[i].sizes().size() != dims.size()) return {};
    for (std::size_t d = 0; d < dims.size(); ++d)
      dims[d] = std::max<std::int64_t>(3 * dims[d] - 2 * three[i].sizes()[d], 0);
    if (element_count(dims) != 0) return {};
    values.push_back(no_elements(std::move(dims), two[i]));
  }
  return values;
}

bool ModelReader::is_of_file(const Node& node) {
  for (int i = 0; i < node.input_count(); ++i)
    if (node.has_input(i) && !import_.find(node.input(i))->of_file) return false;
  return true;
}

bool ModelReader::may_wait() {
  if (known_ != nullptr) return true;
  if (!may_wait_)
    may_wait_ = std::ranges::all_of(deciding_inputs(model_.graph()), [&](const std::string& name) {
      return std::ranges::find(options_.values, name, &InputValues::value_type::first) !=
             options_.values.end();
    });
  return *may_wait_;
}

bool ModelReader::has_to_wait(const Node& node, int wants) {
  if (!is_supported(node.type()) || !may_wait()) return false;
  return import_.wants() > wants ||
         std::ranges::any_of(names_read(node.proto()), [&](std::string_view name) {
           const Value* value = import_.find(name);
           return value != nullptr && value->waits;
         });
}

Error ModelReader::not_known(const Node& node, const std::string& what) {
  const auto inputs = deciding_inputs(model_.graph());
  return node.error(what + " is not known when the model is read" +
                    (inputs.empty() ? ""
                                    : "; the values of inputs that it depends on can be bound, "
                                      "such as with --bind " +
                                          *inputs.begin() + "=1"));
}

Result<const ::onnx::GraphProto*> ModelReader::taken_branch(const Node& node) {
  CONVOPT_TRY(const Value* value, import_.input(node, 0));
  const ConstantPointer& condition = value->constant;
  if (condition == nullptr) {
    if (element_count(value->dims) != 1)
      return node.error("its condition must be a single truth value");
    import_.want(node.input(0));
    return not_known(node, "its condition");
  }
  if (condition->size() != 1) return node.error("its condition must be a single truth value");
  const auto* branch = node.graph(condition->at(0) != 0 ? "then_branch" : "else_branch");
  if (branch == nullptr || branch->output_size() < node.output_count())
    return node.error("its branch does not have its outputs");
  return branch;
}

ModelReader::Values ModelReader::read_body(const Node& node, const ::onnx::GraphProto& body,
                                           const std::vector<const Value*>& inputs) {
  if (depth_ >= kMostNested) return node.error("it is nested too deeply");
  if (body.input_size() != std::ssize(inputs))
    return node.error("the graph inside of it does not have its inputs");
  ::onnx::GraphProto& graph = bodies_.emplace_back(body);
  import_.enter_graph();
  ++depth_;
  for (::onnx::TensorProto& tensor : *graph.mutable_initializer())
    CONVOPT_CHECK(import_.add_initializer(tensor));
  for (std::size_t i = 0; i < inputs.size(); ++i)
    CONVOPT_CHECK(import_.define(graph.input(static_cast<int>(i)).name(), inputs[i]));
  CONVOPT_TRY(const auto order, execution_order(graph));
  CONVOPT_CHECK(read_operators(graph, order));
  std::vector<const Value*> results;
  for (const ::onnx::ValueInfoProto& output : graph.output()) {
    results.push_back(import_.find(output.name()));
    if (results.back() == nullptr)
      return node.error("nothing makes the output " + in_quotes(output.name()) +
                        " of the graph inside of it");
  }
  --depth_;
  import_.leave_graph();
  return results;
}

ModelReader::Values ModelReader::branch_results(const Node& node) {
  CONVOPT_TRY(const auto* branch, taken_branch(node));
  return read_body(node, *branch, {});
}

/// A value without error, or the error.
Result<void> check(const Value& value) {
  if (value.error) return *value.error;
  return {};
}

ModelReader::Values ModelReader::loop_results(const Node& node) {
  const ::onnx::GraphProto* body = node.graph("body");
  const int carried_count = std::max(0, node.input_count() - 2);
  if (body == nullptr || body->output_size() < 1 + carried_count ||
      body->output_size() - 1 < node.output_count())
    return node.error("it has no graph with its outputs");
  const auto decides = [&](int index) -> Result<std::optional<std::int64_t>> {
    if (!node.has_input(index)) return std::optional<std::int64_t>();
    CONVOPT_TRY(const Value* value, import_.input(node, index));
    if (value->is_tensor()) {
      import_.want(node.input(index));
      return not_known(node, index == 0 ? "its number of repetitions" : "its condition");
    }
    return import_.whole_number_input(node, index);
  };
  CONVOPT_TRY(const auto most, decides(0));
  CONVOPT_TRY(const auto begins, decides(1));
  std::vector<const Value*> carried;
  for (int i = 0; i < carried_count; ++i) {
    CONVOPT_TRY(const Value* value, import_.input_of_any_kind(node, 2 + i));
    carried.push_back(value);
  }
  bool goes_on = begins.value_or(1) != 0;
  std::vector<std::vector<const Value*>> lists(
      static_cast<std::size_t>(body->output_size() - 1 - carried_count));
  for (std::int64_t i = 0; goes_on && (!most || i < *most); ++i) {
    if (i >= kMostRepeated) return node.unsupported("more repetitions");
    std::vector<const Value*> inputs = {
        import_.keep(constant_value(Constant::of_integers({}, {i}))),
        import_.keep(constant_value(Constant::of_integers({}, {1})))};
    inputs.insert(inputs.end(), carried.begin(), carried.end());
    CONVOPT_TRY(const auto results, read_body(node, *body, inputs));
    for (const Value* result : results) CONVOPT_CHECK(check(*result));
    if (results[0]->constant == nullptr || results[0]->constant->size() != 1) {
      want_all(node);
      return not_known(node, "its condition");
    }
    goes_on = results[0]->constant->at(0) != 0;
    const auto first_list = results.begin() + 1 + carried_count;
    carried.assign(results.begin() + 1, first_list);
    for (std::size_t list = 0; list < lists.size(); ++list)
      lists[list].push_back(first_list[static_cast<std::ptrdiff_t>(list)]);
  }
  for (std::size_t list = 0; list < lists.size(); ++list) {
    CONVOPT_TRY(
        const Value* stack,
        stacked(node, lists[list], 0, body->output(static_cast<int>(list) + 1 + carried_count)));
    carried.push_back(stack);
  }
  return carried;
}

ModelReader::Values ModelReader::scan_results(const Node& node) {
  const ::onnx::GraphProto* body = node.graph("body");
  const auto count = static_cast<std::ptrdiff_t>(node.integer("num_scan_inputs", 0));
  const std::ptrdiff_t states = node.input_count() - count;
  if (node.opset() < 9) return node.unsupported("Scan over batches");
  if (body == nullptr || count < 1 || states < 0 || body->output_size() < states ||
      body->output_size() < node.output_count())
    return node.error("it has no graph with its outputs");
  const auto given = [&](const char* attribute, std::ptrdiff_t i) {
    const auto numbers = node.integers(attribute);
    return i < std::ssize(numbers) ? numbers[static_cast<std::size_t>(i)] : 0;
  };
  std::vector<const Value*> carried, sources;
  std::vector<std::size_t> axes;
  std::int64_t steps = -1;
  for (int i = 0; i < node.input_count(); ++i) {
    CONVOPT_TRY(const Value* value, import_.input(node, i));
    (i < states ? carried : sources).push_back(value);
    if (i < states) continue;
    const auto axis = resolve_axis(given("scan_input_axes", i - states), value->sizes().size());
    if (!axis || (steps >= 0 && value->sizes()[*axis] != steps))
      return node.error("its inputs do not have the same length");
    axes.push_back(*axis);
    steps = value->sizes()[*axis];
  }
  if (steps > kMostRepeated) return node.unsupported("more repetitions");
  std::vector<std::vector<const Value*>> lists(
      static_cast<std::size_t>(body->output_size() - states));
  for (std::int64_t step = 0; step < steps; ++step) {
    std::vector<const Value*> inputs = carried;
    for (std::size_t i = 0; i < sources.size(); ++i) {
      const bool backwards = given("scan_input_directions", static_cast<std::ptrdiff_t>(i)) != 0;
      CONVOPT_TRY(auto part, part_of(import_, node, *sources[i], axes[i],
                                     backwards ? steps - 1 - step : step, 1, false));
      inputs.push_back(import_.keep(std::move(part)));
    }
    CONVOPT_TRY(const auto results, read_body(node, *body, inputs));
    for (const Value* result : results) CONVOPT_CHECK(check(*result));
    carried.assign(results.begin(), results.begin() + states);
    for (std::size_t list = 0; list < lists.size(); ++list)
      lists[list].push_back(results[static_cast<std::size_t>(states) + list]);
  }
  for (std::size_t list = 0; list < lists.size(); ++list) {
    const auto i = static_cast<std::ptrdiff_t>(list);
    if (given("scan_output_directions", i) != 0) std::ranges::reverse(lists[list]);
    CONVOPT_TRY(const Value* stack, stacked(node, lists[list], given("scan_output_axes", i),
                                            body->output(static_cast<int>(states + i))));
    carried.push_back(stack);
  }
  return carried;
}

Import::Found ModelReader::stacked(const Node& node, const std::vector<const Value*>& parts,
                                   std::int64_t axis, const ::onnx::ValueInfoProto& declared) {
  if (!parts.empty()) {
    CONVOPT_TRY(auto stack, put_together(import_, node, parts, axis, true));
    return import_.keep(std::move(stack));
  }
  const auto& type = declared.type().tensor_type();
  Dims dims = {0};
  for (const auto& dim : type.shape().dim()) dims.push_back(dim.dim_value());
  Value none;
  none.tensor = 0;
  none.type = data_type(type.elem_type()).value_or(DataType::f32);
  return import_.keep(no_elements(std::move(dims), none));
}

void ModelReader::want_all(const Node& node) {
  for (const std::string_view name : names_read(node.proto())) {
    const Value* value = import_.find(name);
    if (value != nullptr && value->is_tensor()) import_.want(name);
  }
}

Result<void> ModelReader::read_inner_graph(const Node& node) {
  const int wants = import_.wants();
  auto results = node.type() == "If"     ? branch_results(node)
                 : node.type() == "Loop" ? loop_results(node)
                                         : scan_results(node);
  if (results && node.fault()) results = node.error(*node.fault());
  // An operator inside that waits has a name that nobody knows outside, but depends on these.
  const bool waits =
      results ? std::ranges::any_of(*results, &Value::waits) : has_to_wait(node, wants);
  // What a branch needs is seen once it is taken.
  if (waits && node.type() != "If") want_all(node);
  for (int i = 0; i < node.output_count(); ++i) {
    if (depth_ == 0 && is_known(node.output(i))) continue;
    const Value* value = nullptr;
    if (results) {
      value = (*results)[static_cast<std::size_t>(i)];
    } else {
      value = import_.keep(waits ? waiting(results.error()) : failed(results.error()));
    }
    CONVOPT_CHECK(import_.define(node.output(i), value));
  }
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
  const auto read = !passes                     ? Import::Found(nullptr)
                    : node.type() == "Identity" ? import_.input_of_any_kind(node, 0)
                                                : import_.input(node, 0);
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
  if (handler == nullptr) {
    if (!node.has_input(0)) return {failed(node.error("it has no input 0"))};
    for (int i = 0; i < node.input_count(); ++i) {
      if (!node.has_input(i)) continue;
      const auto read = import_.input(node, i);
      if (!read) return {failed(read.error())};
      if ((*read)->is_tensor()) import_.want(node.input(i));
    }
    return {
        failed(node.unsupported("an input whose numbers are not known when the model is read"))};
  }
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
    if (depth_ > 0 || !is_known(node.output(i)))
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
    CONVOPT_TRY(const Value* value, import_.input_of_any_kind(node, i));
    if (value->is_sequence()) return Nothing();
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

Result<void> ModelReader::add_output(const std::string& name, const Value& value, DataType type) {
  GraphBuilder& graph = import_.graph();
  if (value.sizes().size() > kMaxRank)
    return bad("the output " + in_quotes(name) + " has more than " + std::to_string(kMaxRank) +
               " dimensions");
  CONVOPT_TRY(const Value* result, import_.as_tensor(name, value));
  CONVOPT_TRY(TensorId tensor, import_.ranked(name, *result));
  CONVOPT_TRY(tensor, graph.add_cast({import_.fresh(name + "/cast"), "Cast"}, tensor, type));
  // An output of a network is a tensor of its own.
  if (graph.is_input(tensor) || std::ranges::find(outputs_, tensor) != outputs_.end()) {
    const Activation identity{ActivationKind::leaky_relu, 1};
    CONVOPT_TRY(tensor, graph.add_activation({import_.fresh(name + "/copy"), "Identity"}, tensor,
                                             identity));
  }
  outputs_.push_back(tensor);
  output_names_.push_back(name);
  return {};
}

Result<Network> ModelReader::network() {
  GraphBuilder& graph = import_.graph();
  graph.name_outputs(std::move(output_names_));
  if (computed_ > 0)
    graph.note_clean_up(counted(static_cast<std::size_t>(computed_), "operator") +
                        " computed while reading");
  import_.note_patterns();
  return std::move(graph).build(outputs_, DeadOperators::expected);
}

Result<Stage> ModelReader::finish(const std::vector<int>& order) {
  const ::onnx::GraphProto& graph = model_.graph();
  bool waits = known_ != nullptr;
  for (const ::onnx::ValueInfoProto& info : graph.output()) {
    const Value* value = import_.find(info.name());
    if (value == nullptr) {
      // What is not made now was made before.
      if (known_ != nullptr) continue;
      return bad("nothing makes the output " + in_quotes(info.name()));
    }
    if (value->error && !value->waits) return *value->error;
    if (value->is_sequence())
      return bad(
          "the output " + in_quotes(info.name()) +
          " is a sequence of tensors, which is not supported; an operator ConcatFromSequence "
          "or SequenceAt makes a tensor of it");
    // A network has no tensors without elements.
    waits = waits || value->waits || (!value->is_tensor() && value->constant->size() == 0);
  }
  Stage stage;
  if (!waits) {
    for (const ::onnx::ValueInfoProto& info : graph.output()) {
      const Value& value = *import_.find(info.name());
      const auto type = data_type(info.type().tensor_type().elem_type());
      CONVOPT_CHECK(add_output(info.name(), value, type.value_or(value.type)));
    }
    CONVOPT_TRY(stage.network, network());
    return stage;
  }

  // What is there and is read by operators that wait, or is an output of the model. Sequences are
  // made anew in every stage.
  const auto is_there = [&](const std::string& name) {
    const Value* value = import_.find(name);
    return value != nullptr && !value->error && !value->is_sequence();
  };
  stage.waiting = operators_left(graph, order, is_there);
  stage.wanted = import_.wanted();
  std::set<std::string> border;
  for (const ::onnx::ValueInfoProto& info : graph.output()) border.insert(info.name());
  for (const int index : stage.waiting)
    for (const std::string_view name : names_read(graph.node(index))) border.emplace(name);
  for (const std::string& name : border) {
    if (is_known(name)) continue;
    const Value* value = import_.find(name);
    // Of a graph around this one, or made anew.
    if (value == nullptr || value->is_sequence()) continue;
    if (value->error && !value->waits) return *value->error;
    if (value->waits) {
      if (!stage.obstacle) stage.obstacle = value->error;
    } else if (value->is_tensor()) {
      CONVOPT_CHECK(add_output(name, *value, value->is_integer() ? value->type : DataType::f32));
    } else if (!value->of_file) {
      stage.constants.emplace(name, value->constant);
    }
  }
  if (!outputs_.empty()) {
    CONVOPT_TRY(stage.network, network());
  }
  return stage;
}

/// What the user is told of operators that wait.
std::string left_over(const ::onnx::GraphProto& graph, const Stage& stage) {
  const std::string count = counted(stage.waiting.size(), "operator");
  const ::onnx::NodeProto& first = graph.node(stage.waiting.front());
  const std::string& name = first.name().empty() ? first.output(0) : first.name();
  return "shapes depend on numbers that the network computes, first in operator " +
         in_quotes(name) + " of type " + in_quotes(first.op_type()) + ": " + count +
         " from there " +
         "on follow the network, are not part of a plan, and read anew for every shape";
}

Error in_file(std::string_view name, const Error& error) {
  return make_error(error.code, std::string(name) + ": " + error.message);
}

}  // namespace

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

Result<int> model_opset(const ::onnx::ModelProto& model, std::string* guess) {
  std::optional<std::int64_t> named;
  for (const auto& entry : model.opset_import())
    if (entry.domain().empty() || entry.domain() == "ai.onnx") named = entry.version();
  const std::int64_t opset = named.value_or(newest_opset(model.ir_version()));
  if (opset < kOldestOpset || opset > kNewestOpset)
    return bad("the model uses opset " + std::to_string(opset) + "; those from " +
               std::to_string(kOldestOpset) + " to " + std::to_string(kNewestOpset) +
               " are supported");
  if (!named && guess != nullptr)
    *guess = "the model does not say which opset it uses; it is read as opset " +
             std::to_string(opset) + ", by its version of the format";
  return static_cast<int>(opset);
}

Result<Stage> read_first_stage(ModelFile& file, const OnnxOptions& options) {
  CONVOPT_TRY(const auto order, execution_order(file.model->graph()));
  CONVOPT_TRY(auto stage, ModelReader(file, options, nullptr).run(order));
  if (stage.network && stage.network->inputs.empty()) return bad("the network has no input");
  return stage;
}

/// The first stage, and in its network what follows.
Result<Network> read_with_rest(std::string_view bytes, ModelFile& file,
                               const OnnxOptions& options) {
  CONVOPT_TRY(auto stage, read_first_stage(file, options));
  if (!stage.network)
    return stage.obstacle.value_or(bad("its outputs have no elements, so there is nothing to run"));
  Network network = *std::move(stage.network);
  if (!stage.waiting.empty() || !stage.constants.empty()) {
    CONVOPT_TRY(network.rest, make_rest(bytes, options, stage, network.output_names));
  }
  if (!stage.waiting.empty()) network.warnings.push_back(left_over(file.model->graph(), stage));
  return network;
}

Result<Stage> read_stage(ModelFile& file, const OnnxOptions& options,
                         const std::vector<int>& operators, const KnownValues& known) {
  return ModelReader(file, options, &known).run(operators);
}

}  // namespace onnx_reader

std::vector<std::string_view> onnx_operators() {
  std::vector<std::string_view> types = onnx_reader::handled_types();
  const auto folded = onnx_reader::folded_types();
  types.insert(types.end(), folded.begin(), folded.end());
  types.insert(types.end(), onnx_reader::kPassing.begin(), onnx_reader::kPassing.end());
  types.insert(types.end(), onnx_reader::kWithGraph.begin(), onnx_reader::kWithGraph.end());
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
  OnnxOptions owned = options;
  if (owned.owner == nullptr) {
    const auto copy = std::make_shared<const std::string>(bytes);
    bytes = *copy;
    owned.owner = copy;
  }
  auto file = onnx_reader::parse_model(bytes, owned.owner);
  if (!file) return onnx_reader::in_file(file_name, file.error());
  auto network = onnx_reader::read_with_rest(bytes, *file, owned);
  if (!network) return onnx_reader::in_file(file_name, network.error());
  return network;
}

Result<NetworkBorder> onnx_border(const std::filesystem::path& path) {
  CONVOPT_TRY(const auto mapped, MappedFile::open(path));
  const auto file = onnx_reader::parse_model(mapped->bytes(), mapped);
  if (!file) return onnx_reader::in_file(path.string(), file.error());
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
  const ::onnx::ModelProto& model = *file->model;
  border.metadata = {graph.name(),       model.producer_name(), model.domain(),
                     model.doc_string(), model.model_version(), {}};
  for (const ::onnx::StringStringEntryProto& entry : model.metadata_props())
    border.metadata.properties[entry.key()] = entry.value();
  return border;
}

}  // namespace convopt
