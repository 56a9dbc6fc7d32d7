#include "src/network/onnx/rest.h"

#include <onnx/onnx_pb.h>

#include <algorithm>
#include <cstring>
#include <list>
#include <mutex>
#include <string>
#include <unordered_map>
#include <utility>

#include "core/conversion.h"
#include "core/text.h"
#include "core/try.h"
#include "src/network/onnx/folding.h"
#include "src/network/onnx/inlining.h"
#include "src/network/onnx/node.h"
#include "src/network/onnx/operators/handlers.h"
#include "src/network/onnx/order.h"
#include "src/network/onnx/tensor.h"

namespace convopt::onnx_reader {
namespace {

/// Networks that are kept for shapes that come again.
constexpr std::size_t kMostKept = 32;
/// Operators on fewer numbers are computed one by one where that is possible at all: a network of
/// them would take longer to plan than to run.
constexpr std::size_t kMostComputed = std::size_t{1} << 16;

using Constants = std::map<std::string, ConstantPointer>;

/// Results of a network: whole numbers among them are floats inside, so that nothing is lost.
Constant constant_of(const Array& array) {
  std::vector<float> values(static_cast<std::size_t>(element_count(array.shape).value_or(0)));
  to_floats(array.data.data(), array.type, std::ssize(values), values.data());
  Constant constant = Constant::of_floats(array.shape, {});
  constant.is_float = is_real(array.type);
  constant.type = array.type;
  if (constant.is_float) {
    constant.floats = std::move(values);
  } else {
    constant.integers.assign(values.begin(), values.end());
  }
  return constant;
}

Array array_of(const std::string& name, const Constant& constant, DataType type) {
  Array array{name, type, constant.dims, {}};
  array.data.resize(constant.size() * element_bytes(type));
  if (!constant.is_float && type == DataType::s64) {
    if (constant.size() > 0)
      std::memcpy(array.data.data(), constant.integers.data(), array.data.size());
    return array;
  }
  const std::vector<float> numbers(constant.integers.begin(), constant.integers.end());
  const std::span<const float> floats = constant.is_float ? constant.floats.values() : numbers;
  from_floats(floats.data(), std::ssize(floats), type, array.data.data());
  return array;
}

/// A model that is read in stages, shared by all that is left of it at any moment.
class StagedModel {
 public:
  /// An If, by the name of its first output, and its condition.
  using Branch = std::pair<std::string, bool>;

  StagedModel(std::string_view bytes, const OnnxOptions& options)
      : bytes_(bytes), options_(options) {}

  /// Parses the model once more: the first stage took its weights.
  Result<void> open();
  /// Operators inside of an If whose condition is known follow like any others. That is another
  /// model, which the next run may not need.
  Result<std::shared_ptr<StagedModel>> with_branch(const Branch& branch);
  /// The model's outputs, if all of them are known.
  Result<std::optional<NetworkRest::Step>> finished(const Constants& known);
  /// What to run next where these values are known.
  Result<NetworkRest::Step> advance(Constants known, const std::shared_ptr<StagedModel>& self);
  void want(const std::set<std::string>& names) { wanted_.insert(names.begin(), names.end()); }
  const std::vector<DeclaredTensor>& outputs() const { return outputs_; }

 private:
  struct Built {
    std::shared_ptr<const Network> network;  ///< null: nothing to run
    Constants constants;
    std::vector<int> waiting;
    std::optional<Error> obstacle;
  };

  const ::onnx::GraphProto& graph() const { return file_->model->graph(); }
  std::string name_of_node(const ::onnx::NodeProto& node) const {
    return !node.name().empty() || node.output_size() == 0 ? node.name() : node.output(0);
  }
  std::vector<int> left(const Constants& known) const {
    return operators_left(graph(), order_,
                          [&](const std::string& name) { return known.contains(name); });
  }
  /// Null for a name that is not known.
  Result<ConstantPointer> find(const Constants& known, const std::string& name);
  Result<std::optional<Branch>> known_branch(const Constants& known);
  Result<void> compute(const std::vector<int>& operators, Constants& known, bool only_of_file);
  std::string key_of(const std::vector<int>& operators, const Constants& known) const;
  KnownValues inputs_of(const std::vector<int>& operators, const Constants& known) const;
  Result<const Built*> build(const std::vector<int>& operators, const Constants& known);

  std::string_view bytes_;
  OnnxOptions options_;
  std::optional<ModelFile> file_;
  std::vector<Branch> taken_;  ///< in the order in which they were
  int opset_ = 0;
  std::vector<int> order_;
  std::vector<DeclaredTensor> outputs_;
  std::unordered_map<std::string, const ::onnx::TensorProto*> initializers_;
  Constants of_file_;  ///< values that do not depend on inputs
  std::mutex mutex_;   ///< of all below
  std::set<std::string> wanted_;
  std::map<Branch, std::shared_ptr<StagedModel>> with_branches_;
  std::list<std::pair<std::string, Built>> built_;  ///< the last used is the first
};

class Rest final : public NetworkRest {
 public:
  Rest(std::shared_ptr<StagedModel> model, Constants known, std::vector<std::string> names)
      : model_(std::move(model)), known_(std::move(known)), names_(std::move(names)) {}

  Result<Step> next(const std::vector<Array>& outputs) const override {
    if (outputs.size() != names_.size())
      return make_error(ErrorCode::usage, "the network has " + counted(names_.size(), "output") +
                                              ", " + counted(outputs.size(), "array") + " given");
    Constants known = known_;
    for (std::size_t i = 0; i < outputs.size(); ++i)
      known[names_[i]] = std::make_shared<const Constant>(constant_of(outputs[i]));
    return model_->advance(std::move(known), model_);
  }
  const std::vector<DeclaredTensor>& outputs() const override { return model_->outputs(); }

 private:
  std::shared_ptr<StagedModel> model_;
  Constants known_;
  std::vector<std::string> names_;  ///< of the outputs of the network before this
};

Result<void> StagedModel::open() {
  CONVOPT_TRY(auto parsed, parse_model(bytes_, options_.owner));
  file_.emplace(std::move(parsed));
  for (const auto& [output, condition] : taken_)
    CONVOPT_CHECK(inline_branch(*file_->model, output, condition));
  CONVOPT_TRY(opset_, model_opset(*file_->model));
  CONVOPT_TRY(order_, execution_order(graph()));
  for (const ::onnx::TensorProto& tensor : graph().initializer())
    initializers_.emplace(tensor.name(), &tensor);
  for (const ::onnx::ValueInfoProto& info : graph().output())
    outputs_.push_back(declared_tensor(info));
  return compute(left({}), of_file_, true);
}

Result<std::shared_ptr<StagedModel>> StagedModel::with_branch(const Branch& branch) {
  auto& model = with_branches_[branch];
  if (model == nullptr) {
    auto opened = std::make_shared<StagedModel>(bytes_, options_);
    opened->taken_ = taken_;
    opened->taken_.push_back(branch);
    opened->of_file_ = of_file_;
    opened->wanted_ = wanted_;
    CONVOPT_CHECK(opened->open());
    model = std::move(opened);
  }
  return model;
}

Result<std::optional<StagedModel::Branch>> StagedModel::known_branch(const Constants& known) {
  for (const int index : left(known)) {
    const ::onnx::NodeProto& node = graph().node(index);
    if (node.op_type() != "If" || node.input_size() == 0 || node.output_size() == 0) continue;
    CONVOPT_TRY(const auto condition, find(known, node.input(0)));
    if (condition != nullptr && condition->size() == 1)
      return std::optional(Branch(node.output(0), condition->at(0) != 0));
  }
  return std::optional<Branch>();
}

Result<ConstantPointer> StagedModel::find(const Constants& known, const std::string& name) {
  for (const Constants* values : {&known, static_cast<const Constants*>(&of_file_)})
    if (const auto found = values->find(name); found != values->end()) return found->second;
  const auto stored = initializers_.find(name);
  if (stored == initializers_.end()) return ConstantPointer();
  CONVOPT_TRY(auto constant,
              read_tensor(*stored->second, options_.folder, file_->raw_of(*stored->second)));
  return of_file_[name] = std::make_shared<const Constant>(std::move(constant));
}

Result<void> StagedModel::compute(const std::vector<int>& operators, Constants& known,
                                  bool only_of_file) {
  for (const int index : operators) {
    const ::onnx::NodeProto& proto = graph().node(index);
    if (!can_fold(proto.op_type())) continue;
    const auto is_of_file = [&](const std::string& name) { return of_file_.contains(name); };
    if (std::ranges::all_of(proto.output(), is_of_file)) continue;
    const bool has_to = find_handler(proto.op_type()) == nullptr;
    std::vector<ConstantPointer> inputs;
    std::size_t numbers = 0;
    bool complete = true;
    for (const std::string& name : proto.input()) {
      if (name.empty()) {
        inputs.push_back(nullptr);
        continue;
      }
      CONVOPT_TRY(auto value, find(known, name));
      complete = value != nullptr;
      if (!complete) break;
      numbers += value->size();
      inputs.push_back(std::move(value));
    }
    if (!complete || (numbers > kMostComputed && !has_to)) continue;
    const Node node(proto, name_of_node(proto), opset_);
    auto results = fold(node, inputs, options_.folder);
    if (results.ok() && node.fault()) results = node.error(*node.fault());
    if (!results || !*results) {
      // The operators of a network know more types and forms.
      if (has_to && !only_of_file && !results) return results.error();
      continue;
    }
    for (int i = 0; i < proto.output_size() && i < std::ssize(**results); ++i)
      if (!proto.output(i).empty())
        known[proto.output(i)] =
            std::make_shared<const Constant>(std::move((**results)[static_cast<std::size_t>(i)]));
  }
  return {};
}

KnownValues StagedModel::inputs_of(const std::vector<int>& operators,
                                   const Constants& known) const {
  KnownValues inputs;
  for (const int index : operators)
    for (const std::string_view view : names_read(graph().node(index))) {
      const std::string name(view);
      if (const auto found = known.find(name); found != known.end()) {
        const bool is_constant = wanted_.contains(name) || found->second->size() == 0 ||
                                 found->second->dims.size() > kMaxRank;
        inputs.emplace(name, KnownValue{found->second, !is_constant, false});
      } else if (const auto stored = of_file_.find(name);
                 stored != of_file_.end() && !initializers_.contains(name)) {
        inputs.emplace(name, KnownValue{stored->second, false, true});
      }
    }
  return inputs;
}

/// Equal for equal networks.
std::string StagedModel::key_of(const std::vector<int>& operators, const Constants& known) const {
  std::string key;
  const auto append = [&](const auto& numbers) {
    using Number = std::decay_t<decltype(*numbers.data())>;
    key += std::to_string(numbers.size()) + ":";
    if (numbers.size() > 0)
      key.append(reinterpret_cast<const char*>(numbers.data()), numbers.size() * sizeof(Number));
  };
  append(operators);
  for (const auto& [name, value] : inputs_of(operators, known)) {
    if (of_file_.contains(name)) continue;
    append(name);
    append(value.value->dims);
    key += value.is_input ? "i" : value.value->is_float ? "f" : "n";
    key += to_string(value.value->border_type());
    if (value.is_input) continue;
    if (value.value->is_float) {
      append(value.value->floats.values());
    } else {
      append(value.value->integers);
    }
  }
  return key;
}

Result<const StagedModel::Built*> StagedModel::build(const std::vector<int>& operators,
                                                     const Constants& known) {
  for (;;) {
    std::string key = key_of(operators, known);
    const auto kept = std::ranges::find(built_, key, &decltype(built_)::value_type::first);
    if (kept != built_.end()) {
      built_.splice(built_.begin(), built_, kept);
      return &built_.front().second;
    }
    CONVOPT_TRY(auto stage, read_stage(*file_, options_, operators, inputs_of(operators, known)));
    // Numbers that are there but that the network took as its input: once more, with them.
    const std::size_t before = wanted_.size();
    for (const std::string& name : stage.wanted)
      if (known.contains(name)) wanted_.insert(name);
    if (wanted_.size() > before) continue;
    want(stage.wanted);
    Built built;
    if (stage.network) built.network = std::make_shared<const Network>(*std::move(stage.network));
    built.constants = std::move(stage.constants);
    built.waiting = std::move(stage.waiting);
    built.obstacle = std::move(stage.obstacle);
    built_.emplace_front(std::move(key), std::move(built));
    if (built_.size() > kMostKept) built_.pop_back();
    return &built_.front().second;
  }
}

Result<std::optional<NetworkRest::Step>> StagedModel::finished(const Constants& known) {
  NetworkRest::Step step;
  for (const DeclaredTensor& output : outputs_) {
    CONVOPT_TRY(const auto value, find(known, output.name));
    if (value == nullptr) return std::optional<NetworkRest::Step>();
    step.outputs.push_back(
        array_of(output.name, *value, output.type.value_or(value->border_type())));
  }
  return std::optional(std::move(step));
}

Result<NetworkRest::Step> StagedModel::advance(Constants known,
                                               const std::shared_ptr<StagedModel>& self) {
  const std::scoped_lock lock(mutex_);
  for (;;) {
    CONVOPT_CHECK(compute(left(known), known, false));
    CONVOPT_TRY(const auto branch, known_branch(known));
    if (branch) {
      CONVOPT_TRY(const auto model, with_branch(*branch));
      return model->advance(std::move(known), model);
    }
    const std::vector<int> operators = left(known);
    CONVOPT_TRY(auto end, finished(known));
    if (end) return *std::move(end);
    CONVOPT_TRY(const Built* built, build(operators, known));
    const std::size_t before = known.size();
    for (const auto& [name, value] : built->constants) known.emplace(name, value);
    if (built->network == nullptr) {
      if (known.size() > before) continue;
      return built->obstacle.value_or(
          make_error(ErrorCode::internal, "the rest of the model makes no progress"));
    }
    NetworkRest::Step step;
    step.network = built->network;
    for (const TensorId id : built->network->inputs) {
      const Tensor& input = built->network->tensors[static_cast<std::size_t>(id)];
      step.inputs.push_back(array_of(input.name, *known.at(input.name), input.type));
    }
    step.rest = std::make_shared<const Rest>(self, std::move(known), built->network->output_names);
    return step;
  }
}

}  // namespace

Result<std::shared_ptr<const NetworkRest>> make_rest(std::string_view bytes,
                                                     const OnnxOptions& options, const Stage& stage,
                                                     std::vector<std::string> outputs) {
  auto model = std::make_shared<StagedModel>(bytes, options);
  CONVOPT_CHECK(model->open());
  model->want(stage.wanted);
  return std::shared_ptr<const NetworkRest>(
      std::make_shared<const Rest>(model, stage.constants, std::move(outputs)));
}

}  // namespace convopt::onnx_reader
