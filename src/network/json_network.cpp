// Reads the JSON network format (docs/reference/network-format.md) into a GraphBuilder.
#include <algorithm>
#include <functional>
#include <queue>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "convopt/network.hpp"
#include "core/json.h"
#include "core/text.h"
#include "core/try.h"
#include "src/network/graph_builder.h"
#include "src/network/json_operators.h"

namespace convopt {
namespace {

constexpr std::string_view kSchema = "convopt.network/1";

Error bad(std::string message) { return make_error(ErrorCode::bad_input, std::move(message)); }

std::string did_you_mean(std::string_view word, const std::vector<std::string_view>& words) {
  const std::string_view match = closest_name(word, words);
  return match.empty() ? std::string() : " (did you mean " + in_quotes(match) + "?)";
}

/// The known type that an unknown one resembles; empty if there is none. Short words all resemble
/// each other (`sub`, `add`, `elu`), so they are left alone.
std::string_view misspelt_type(std::string_view type) {
  constexpr std::size_t kShortest = 6;
  if (type.size() < kShortest) return {};
  std::vector<std::string_view> types;
  for (const OperatorDescription& op : operator_descriptions()) types.push_back(op.name);
  return closest_name(type, types);
}

/// An error unless `object` is an object with no other keys than `keys`.
Result<void> check_keys(const Json& object, const std::string& what,
                        const std::vector<std::string_view>& keys) {
  if (!object.is_object()) return bad(what + " must be an object");
  for (const auto& item : object.items())
    if (std::ranges::find(keys, item.key()) == keys.end())
      return bad(what + " has the unknown attribute " + in_quotes(item.key()) +
                 did_you_mean(item.key(), keys));
  return {};
}

/// The string under `key`, which must not be empty.
Result<std::string> read_string(const Json& object, const std::string& what, const char* key) {
  const auto found = object.find(key);
  if (found == object.end()) return bad(what + " has no '" + key + "'");
  if (!found->is_string() || found->get_ref<const std::string&>().empty())
    return bad(what + ": '" + key + "' must be a string that is not empty");
  return found->get<std::string>();
}

Result<std::vector<std::string>> read_names(const Json& json, const std::string& what) {
  const Error error = bad(what + " must be an array of names, at least one");
  if (!json.is_array() || json.empty()) return error;
  std::vector<std::string> names;
  for (const Json& name : json) {
    if (!name.is_string()) return error;
    names.push_back(name.get<std::string>());
  }
  return names;
}

struct Input {
  std::string name;
  TensorShape shape;
  DataType type = DataType::f32;
};

/// An operator as it stands in the file.
struct Entry {
  Label label;
  const OperatorDescription* description = nullptr;  ///< null: the type is unknown
  Attributes attributes;
  std::vector<std::string> input_names;
  std::vector<int> inputs;  ///< network inputs first, then operators: index into NetworkFile::ids_
};

class NetworkFile {
 public:
  NetworkFile(int batch, const InputShapes& shapes) : batch_(batch), shapes_(shapes) {}
  Result<Network> read(const Json& root);

 private:
  Result<void> read_inputs(const Json& root);
  Result<void> read_input(const Json& json, const std::string& what);
  Result<void> replace_shapes();
  std::string input_names() const;
  Result<void> read_operators(const Json& root);
  Result<void> read_operator(const Json& json, std::size_t index);
  Result<void> resolve_names();
  Result<std::vector<int>> execution_order() const;
  Error cycle_error(const std::vector<int>& waiting_for) const;
  /// The end of a sentence on an operator that fits nothing: one of unknown type that it reads
  /// through others or at once, which may be the reason; empty if there is none.
  std::string unknown_before(int id) const;
  Result<Network> build(const Json& root, GraphBuilder graph, const std::vector<int>& order) const;

  bool is_input(int id) const { return id < static_cast<int>(inputs_.size()); }
  const Entry& entry(int id) const { return entries_[id - inputs_.size()]; }

  int batch_;
  const InputShapes& shapes_;
  std::vector<Input> inputs_;
  std::vector<Entry> entries_;
  std::unordered_map<std::string, int> ids_;
};

Result<Network> NetworkFile::read(const Json& root) {
  if (!root.is_object()) return bad("the file must hold one JSON object");
  // The schema comes first: nothing sensible can be said about a file of another kind.
  const auto schema = root.find("schema");
  if (schema != root.end() && *schema == "convopt.plan/1")
    return bad(
        "'schema' says that this is a plan; the network comes first, as in `convopt run NETWORK "
        "--plan PLAN`");
  if (schema == root.end() || *schema != kSchema)
    return bad("'schema' must be \"" + std::string(kSchema) + "\"");
  if (auto ok = check_keys(
          root, "the network",
          {"schema", "name", "source", "input", "inputs", "operators", "outputs", "output_names"});
      !ok)
    return ok.error();
  const auto name = read_string(root, "the network", "name");
  if (!name) return name.error();
  std::string source;
  if (root.contains("source")) {
    auto text = read_string(root, "the network", "source");
    if (!text) return text.error();
    source = std::move(*text);
  }
  if (auto ok = read_inputs(root); !ok) return ok.error();
  if (auto ok = replace_shapes(); !ok) return ok.error();
  if (auto ok = read_operators(root); !ok) return ok.error();
  if (auto ok = resolve_names(); !ok) return ok.error();
  const auto order = execution_order();
  if (!order) return order.error();
  return build(root, GraphBuilder(*name, std::move(source)), *order);
}

Result<void> NetworkFile::read_inputs(const Json& root) {
  if (root.contains("input") == root.contains("inputs"))
    return bad("the network needs either 'input' or 'inputs'");
  if (root.contains("input")) return read_input(root["input"], "'input'");
  const Json& list = root["inputs"];
  if (!list.is_array() || list.empty())
    return bad("'inputs' must be an array of inputs, at least one");
  for (std::size_t i = 0; i < list.size(); ++i)
    if (auto ok = read_input(list[i], "inputs[" + std::to_string(i) + "]"); !ok) return ok;
  return {};
}

Result<void> NetworkFile::read_input(const Json& json, const std::string& what) {
  if (auto ok = check_keys(json, what, {"name", "shape", "type"}); !ok) return ok;
  Input input{"input", {}};
  if (json.contains("name")) {
    auto name = read_string(json, what, "name");
    if (!name) return name.error();
    input.name = std::move(*name);
  }
  const auto shape = json.find("shape");
  if (shape == json.end()) return bad(what + " has no 'shape'");
  const auto value = read_attribute(*shape, {"shape", AttributeType::sizes});
  if (!value)
    return bad(what +
               ": 'shape' must be [n, c, h, w], or all sizes of a tensor that is no image: " +
               "at most eight integers from 1");
  input.shape = TensorShape(std::get<std::vector<int>>(*value));
  if (json.contains("type")) {
    CONVOPT_TRY(const std::string name, read_string(json, what, "type"));
    const auto type = parse_data_type(name);
    if (!type) return bad(what + ": 'type' is " + in_quotes(name) + ", which is no data type");
    input.type = *type;
  }
  inputs_.push_back(std::move(input));
  return {};
}

std::string NetworkFile::input_names() const {
  std::vector<std::string> names;
  for (const Input& input : inputs_) names.push_back(input.name);
  return listed(names);
}

/// What the caller wants instead of the file's shapes.
Result<void> NetworkFile::replace_shapes() {
  for (const auto& [name, sizes] : shapes_) {
    const auto input = std::ranges::find(inputs_, name, &Input::name);
    if (input == inputs_.end())
      return make_error(ErrorCode::usage, "the network has no input " + in_quotes(name) +
                                              "; its inputs are " + input_names());
    if (std::ssize(sizes) != input->shape.rank())
      return make_error(ErrorCode::usage, "the input " + in_quotes(name) + " has " +
                                              std::to_string(input->shape.rank()) + " dimensions");
    input->shape = TensorShape(sizes);
  }
  for (Input& input : inputs_)
    if (batch_ > 0 && input.shape.rank() > 0) input.shape[0] = batch_;
  return {};
}

Result<void> NetworkFile::read_operators(const Json& root) {
  const auto list = root.find("operators");
  if (list == root.end() || !list->is_array() || list->empty())
    return bad("'operators' must be an array of operators, at least one");
  for (std::size_t i = 0; i < list->size(); ++i)
    if (auto ok = read_operator((*list)[i], i); !ok) return ok;
  return {};
}

Result<void> NetworkFile::read_operator(const Json& json, std::size_t index) {
  const std::string place = "operators[" + std::to_string(index) + "]";
  if (!json.is_object()) return bad(place + " must be an object");
  const auto name = read_string(json, place, "name");
  if (!name) return name.error();
  const std::string what = "operator " + in_quotes(*name);
  const auto type = read_string(json, what, "op");
  if (!type) return type.error();

  Entry entry;
  entry.label = {*name, *type};
  if (const auto inputs = json.find("inputs"); inputs != json.end()) {
    auto names = read_names(*inputs, what + ": 'inputs'");
    if (!names) return names.error();
    entry.input_names = std::move(*names);
  }

  // Of an unknown type only the shape of its result means something to convopt.
  static const std::vector<AttributeDescription> unknown = {{"shape", AttributeType::shape}};
  entry.description = find_operator_description(*type);
  const auto& known = entry.description != nullptr ? entry.description->attributes : unknown;
  if (entry.description != nullptr) {
    std::vector<std::string_view> keys = {"name", "op", "inputs"};
    for (const AttributeDescription& attribute : known) keys.push_back(attribute.name);
    if (auto ok = check_keys(json, what, keys); !ok) return ok;
  }
  for (const AttributeDescription& attribute : known) {
    const auto found = json.find(attribute.name);
    if (found == json.end()) {
      if (attribute.required) return bad(what + " has no " + in_quotes(attribute.name));
      continue;
    }
    auto value = read_attribute(*found, attribute);
    if (!value) return bad(what + ": " + in_quotes(attribute.name) + " " + value.error().message);
    entry.attributes.set(attribute.name, std::move(*value));
  }
  entries_.push_back(std::move(entry));
  return {};
}

/// Names become numbers; an operator that names no input reads what stands before it.
Result<void> NetworkFile::resolve_names() {
  for (const Input& input : inputs_)
    if (!ids_.emplace(input.name, static_cast<int>(ids_.size())).second)
      return bad("the name " + in_quotes(input.name) + " is used by two inputs");
  for (const Entry& entry : entries_)
    if (!ids_.emplace(entry.label.name, static_cast<int>(ids_.size())).second)
      return bad("operator " + in_quotes(entry.label.name) +
                 ": its name is already that of an input or another operator");

  for (std::size_t i = 0; i < entries_.size(); ++i) {
    Entry& entry = entries_[i];
    const std::string what = "operator " + in_quotes(entry.label.name);
    for (const std::string& name : entry.input_names) {
      const auto found = ids_.find(name);
      if (found == ids_.end()) {
        std::vector<std::string_view> names;
        for (const auto& [known, id] : ids_) names.push_back(known);
        std::ranges::sort(names);  // so that the suggestion does not depend on hashing
        return bad(what + ": there is no input or operator called " + in_quotes(name) +
                   did_you_mean(name, names));
      }
      entry.inputs.push_back(found->second);
    }
    if (entry.input_names.empty() &&
        (entry.description == nullptr || entry.description->max_inputs > 0)) {
      if (i == 0 && inputs_.size() > 1)
        return bad(what + " must say which of the inputs of the network it reads");
      entry.inputs.push_back(static_cast<int>(inputs_.size() + i) - 1);
    }
    if (entry.description == nullptr) continue;
    const int count = static_cast<int>(entry.inputs.size());
    const auto [least, most] =
        std::pair(entry.description->min_inputs, entry.description->max_inputs);
    if (count < least || count > most)
      return bad(what + ": " + in_quotes(entry.label.type) + " needs " +
                 (least < most ? "at least " : "") + std::to_string(least) +
                 (least == 1 ? " input, not " : " inputs, not ") + std::to_string(count));
  }
  return {};
}

/// Topological order that keeps to the order of the file wherever that is one.
Result<std::vector<int>> NetworkFile::execution_order() const {
  const int first = static_cast<int>(inputs_.size());
  std::vector<int> waiting_for(ids_.size(), 0);
  std::vector<std::vector<int>> consumers(ids_.size());
  std::priority_queue<int, std::vector<int>, std::greater<>> ready;
  for (int id = first; id < static_cast<int>(ids_.size()); ++id) {
    for (const int input : entry(id).inputs) {
      if (is_input(input)) continue;
      consumers[input].push_back(id);
      ++waiting_for[id];
    }
    if (waiting_for[id] == 0) ready.push(id);
  }
  std::vector<int> order;
  while (!ready.empty()) {
    const int id = ready.top();
    ready.pop();
    order.push_back(id);
    for (const int consumer : consumers[id])
      if (--waiting_for[consumer] == 0) ready.push(consumer);
  }
  if (order.size() < entries_.size()) return cycle_error(waiting_for);
  return order;
}

Error NetworkFile::cycle_error(const std::vector<int>& waiting_for) const {
  const auto stuck = [&](int id) { return waiting_for[id] > 0; };
  // Whoever waits, waits for somebody who waits: following that ends in a circle.
  int id = 0;
  while (!stuck(id)) ++id;
  std::vector<int> path;
  std::vector<char> visited(ids_.size(), 0);
  while (!visited[id]) {
    visited[id] = 1;
    path.push_back(id);
    id = *std::ranges::find_if(entry(id).inputs, stuck);
  }
  path.erase(path.begin(), std::ranges::find(path, id));
  constexpr std::size_t kNamed = 6;
  std::string circle = in_quotes(entry(id).label.name);
  for (std::size_t i = 1; i < std::min(path.size(), kNamed); ++i)
    circle += " reads " + in_quotes(entry(path[i]).label.name);
  if (path.size() > kNamed) circle += " reads ...";
  return bad("operator " + in_quotes(entry(id).label.name) + " depends on itself: " + circle +
             " reads " + in_quotes(entry(id).label.name));
}

std::string NetworkFile::unknown_before(int id) const {
  std::vector<char> visited(ids_.size(), 0);
  std::vector<int> waiting = {id};
  while (!waiting.empty()) {
    const int reader = waiting.back();
    waiting.pop_back();
    for (const int input : entry(reader).inputs) {
      if (is_input(input) || std::exchange(visited[input], 1) != 0) continue;
      const Entry& op = entry(input);
      if (op.description == nullptr && !op.attributes.has("shape")) {
        const std::string_view meant = misspelt_type(op.label.type);
        return "; before it, operator " + in_quotes(op.label.name) + " is of the unknown type " +
               in_quotes(op.label.type) +
               (meant.empty() ? "" : " (perhaps meant to be " + in_quotes(meant) + ")") +
               ", whose result is taken to have its input's shape";
      }
      waiting.push_back(input);
    }
  }
  return {};
}

Result<Network> NetworkFile::build(const Json& root, GraphBuilder graph,
                                   const std::vector<int>& order) const {
  std::vector<TensorId> tensors(ids_.size(), -1);
  for (std::size_t i = 0; i < inputs_.size(); ++i) {
    const auto tensor = graph.add_input(inputs_[i].name, inputs_[i].shape, inputs_[i].type);
    if (!tensor) return tensor.error();
    tensors[i] = *tensor;
  }
  for (const int id : order) {
    const Entry& op = entry(id);
    std::vector<TensorId> inputs;
    for (const int input : op.inputs) inputs.push_back(tensors[input]);
    const auto add = [&]() -> Result<TensorId> {
      if (op.description != nullptr)
        return op.description->add(graph, op.label, inputs, op.attributes);
      if (const std::string_view meant = misspelt_type(op.label.type); !meant.empty())
        graph.warn("operator " + in_quotes(op.label.name) + ": its type " +
                   in_quotes(op.label.type) + " is perhaps meant to be " + in_quotes(meant));
      // An image, as the attribute has it, also where the input is none.
      const TensorShape& input = graph.shape(inputs[0]);
      std::vector<int> sizes(input.sizes().begin(), input.sizes().end());
      while (std::ssize(sizes) < 4) sizes.insert(sizes.begin(), 1);
      if (op.attributes.has("shape")) sizes = op.attributes.get<std::vector<int>>("shape");
      const auto shape = resolve_shape(sizes, input);
      if (!shape) return bad("operator " + in_quotes(op.label.name) + ": " + shape.error().message);
      return graph.add_opaque(op.label, inputs, *shape);
    };
    const auto tensor = add();
    if (!tensor)
      return make_error(tensor.error().code, tensor.error().message + unknown_before(id));
    tensors[id] = *tensor;
  }

  std::vector<TensorId> outputs;
  if (const auto listed = root.find("outputs"); listed != root.end()) {
    const auto names = read_names(*listed, "'outputs'");
    if (!names) return names.error();
    for (const std::string& name : *names) {
      const auto found = ids_.find(name);
      if (found == ids_.end())
        return bad("'outputs': there is no operator called " + in_quotes(name));
      outputs.push_back(tensors[found->second]);
    }
  } else {
    outputs.push_back(tensors.back());
  }
  if (const auto listed = root.find("output_names"); listed != root.end()) {
    CONVOPT_TRY(auto names, read_names(*listed, "'output_names'"));
    if (names.size() != outputs.size())
      return bad("'output_names' has " + counted(names.size(), "name") + " for " +
                 counted(outputs.size(), "output"));
    graph.name_outputs(std::move(names));
  }
  return std::move(graph).build(outputs);
}

}  // namespace

Result<Network> parse_network(std::string_view json, std::string_view file_name, int batch,
                              const InputShapes& shapes) {
  const auto root = parse_json(json, file_name);
  if (!root) return root.error();
  auto network = NetworkFile(batch, shapes).read(*root);
  if (!network)
    return make_error(network.error().code,
                      std::string(file_name) + ": " + network.error().message);
  return network;
}

}  // namespace convopt
