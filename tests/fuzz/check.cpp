#include <cstdio>
#include <cstdlib>
#include <string>

#include "tests/fuzz/fuzz.h"

namespace convopt::fuzz {
namespace {

void require(bool holds, const char* what, const std::string& text) {
  if (!holds) fail(what, text);
}

bool in_range(const Network& network, const std::vector<TensorId>& tensors) {
  for (const TensorId id : tensors)
    if (id < 0 || id >= std::ssize(network.tensors)) return false;
  return true;
}

}  // namespace

void fail(const char* what, const std::string& message) {
  std::fprintf(stderr, "%s: %s\n", what, message.c_str());
  std::abort();
}

void check(const Error& error) {
  require(error.code == ErrorCode::bad_input, "another error than a bad file", error.message);
  require(error.message.starts_with("fuzz: "), "an error that does not name the file",
          error.message);
}

void check(const Result<Network>& network) {
  if (!network) return check(network.error());
  require(!network->operators.empty(), "no operators", network->name);
  require(in_range(*network, network->inputs) && in_range(*network, network->outputs) &&
              !network->outputs.empty(),
          "inputs or outputs that do not exist", network->name);
  for (const Tensor& tensor : network->tensors)
    require(tensor.shape.elements() > 0, "a tensor without elements", tensor.name);
  std::vector<char> known(network->tensors.size(), 0);
  for (const TensorId id : network->inputs) known[id] = 1;
  for (const Operator& op : network->operators) {
    require(in_range(*network, op.inputs) && in_range(*network, op.outputs), "a missing tensor",
            op.name);
    for (const TensorId id : op.inputs) require(known[id] != 0, "an operator too early", op.name);
    for (const TensorId id : op.outputs) known[id] = 1;
    if (op.kind != OperatorKind::compute) continue;
    const std::string text = op.workload.text();
    require(Workload::parse(text).ok(), "a workload that nothing can read", text);
    if (op.weights == nullptr) continue;
    require(static_cast<std::int64_t>(op.weights->weights.size()) == op.workload.weight_elements(),
            "the wrong number of weights", op.name);
  }
  // What convopt writes it reads, with the same meaning.
  const auto again = parse_network(to_json(*network), "fuzz");
  require(again.ok(), "a network that cannot be read again",
          again.ok() ? "" : again.error().message);
  require(again->hash() == network->hash(), "a network that changes when written",
          to_json(*network));
}

}  // namespace convopt::fuzz
