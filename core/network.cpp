#include "convopt/network.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <mutex>

#include "core/files.h"
#include "core/ops/descriptor.h"

namespace convopt {
namespace {

/// The shortest text that reads back as the same number, whatever the locale.
std::string exact(float value) {
  std::array<char, 32> digits;
  const auto written = std::to_chars(digits.data(), digits.data() + digits.size(), value);
  return {digits.data(), written.ptr};
}

}  // namespace

struct FloatArray::State {
  std::vector<float> values;
  std::function<std::vector<float>()> make;  ///< null: the values are there
  std::size_t count = 0;                     ///< of values to be made
  std::once_flag made;
};

FloatArray::FloatArray(std::vector<float> values) : state_(std::make_shared<State>()) {
  state_->values = std::move(values);
}

FloatArray::FloatArray(std::shared_ptr<const void> owner, std::span<const float> values)
    : owner_(std::move(owner)), borrowed_(values) {}

FloatArray FloatArray::deferred(std::size_t count, std::function<std::vector<float>()> make) {
  FloatArray array;
  array.state_ = std::make_shared<State>();
  array.state_->count = count;
  array.state_->make = std::move(make);
  return array;
}

std::size_t FloatArray::size() const {
  if (state_ == nullptr) return borrowed_.size();
  return state_->make != nullptr ? state_->count : state_->values.size();
}

std::span<const float> FloatArray::values() const {
  if (state_ == nullptr) return borrowed_;
  if (state_->make != nullptr)
    std::call_once(state_->made, [this] { state_->values = state_->make(); });
  return state_->values;
}

bool FloatArray::operator==(const FloatArray& other) const {
  return std::ranges::equal(values(), other.values());
}

std::vector<float>& FloatArray::own() {
  const bool is_own = state_ != nullptr && state_->make == nullptr && state_.use_count() == 1;
  if (!is_own) {
    const std::span<const float> shared = values();
    *this = FloatArray(std::vector<float>(shared.begin(), shared.end()));
  }
  return state_->values;
}

std::vector<Tensor> Network::named_inputs() const {
  std::vector<Tensor> named;
  for (const TensorId id : inputs) named.push_back(tensors[id]);
  return named;
}

std::vector<Tensor> Network::named_outputs() const {
  std::vector<Tensor> named;
  for (std::size_t i = 0; i < outputs.size(); ++i) {
    named.push_back(tensors[outputs[i]]);
    if (i < output_names.size()) named.back().name = output_names[i];
  }
  return named;
}

std::string Network::hash() const {
  // Operator names are part of the graph because a plan refers to operators by them.
  std::string text = "convopt.network/1";
  const auto add_ids = [&text](char mark, const std::vector<TensorId>& ids) {
    text += mark;
    for (const TensorId id : ids) text += std::to_string(id) + ",";
  };
  for (const Tensor& tensor : tensors) {
    for (const int size : tensor.shape.sizes()) text += "," + std::to_string(size);
    if (tensor.type != DataType::f32) text += "," + std::string(to_string(tensor.type));
  }
  add_ids('<', inputs);
  add_ids('>', outputs);
  for (const Operator& op : operators) {
    text += "\n" + std::to_string(op.name.size()) + ":" + op.name + " ";
    switch (op.kind) {
      case OperatorKind::compute:
        text += op.workload.text();
        // The workload's text leaves these out because they change no time.
        for (const OpConstant& constant : descriptor(op.workload.op).constants)
          text += "," + exact(op.workload.*constant.member);
        break;
      case OperatorKind::reshape:
        text += "reshape";
        break;
      case OperatorKind::constant:
        text += "constant";
        break;
      case OperatorKind::opaque:
        text += "opaque " + op.type;
        break;
    }
    add_ids('<', op.inputs);
    add_ids('>', op.outputs);
  }
  return hex16(hash64(text));
}

}  // namespace convopt
