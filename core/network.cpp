#include "convopt/network.hpp"

#include <array>
#include <charconv>

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
