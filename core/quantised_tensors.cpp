#include "core/quantised_tensors.h"

#include <algorithm>
#include <cmath>

#include "core/quantisation.h"

namespace convopt {
namespace {

/// Operations that only move or select elements or insert zeros. Averages are new values.
bool moves(const Operator& op) {
  const Op kind = op.workload.op;
  return op.kind == OperatorKind::reshape ||
         (op.kind == OperatorKind::compute && keeps_scale(kind) && kind != Op::avg_pool_include &&
          kind != Op::avg_pool_exclude);
}

bool holds_zero(const Activation& quantise) { return quantise.beta <= 0 && quantise.beta >= -255; }

}  // namespace

std::vector<Activation> quantised_tensors(std::size_t tensors,
                                          std::span<const Operator> operators) {
  std::vector<Activation> result(tensors);
  for (const Operator& op : operators) {
    if (op.kind == OperatorKind::compute && op.workload.op == Op::activation &&
        op.workload.epilogue.activation.kind == ActivationKind::quantise) {
      result[op.outputs[0]] = op.workload.epilogue.activation;
    } else if (moves(op)) {
      const Activation& first = result[op.inputs[0]];
      const bool alike =
          std::ranges::all_of(op.inputs, [&](TensorId t) { return result[t] == first; });
      if (alike && holds_zero(first)) result[op.outputs[0]] = first;
    }
  }
  return result;
}

bool makes_needless(const Activation& quantise, const Activation& before) {
  const auto number = [&](float limit) { return std::nearbyint(limit / quantise.alpha); };
  switch (before.kind) {
    case ActivationKind::relu:
      return quantise.beta >= 0;
    case ActivationKind::clip:
      return number(before.alpha) <= quantise.beta && number(before.beta) >= quantise.beta + 255;
    default:
      return false;
  }
}

}  // namespace convopt
