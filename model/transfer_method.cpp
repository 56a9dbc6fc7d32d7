#include "model/transfer_method.h"

#include <string_view>

namespace convopt {
namespace {

struct Text {
  std::string_view name, former_name, description;
};

Text text_of(TransferMethod method) {
  switch (method) {
    case TransferMethod::zero_shot:
      return {"zero-shot", "", "the source model as it is, with this machine's description"};
    case TransferMethod::one_factor:
      return {"one-factor", "factor", "the source times one factor for all primitives"};
    case TransferMethod::factor_per_primitive:
      return {"factor-per-primitive", "",
              "one factor for each primitive, shrunk to the common one (empirical Bayes)"};
    case TransferMethod::affine:
      return {"affine", "",
              "ridge regression on the source's logarithm and on the size, and those factors"};
    case TransferMethod::residual_gp:
      return {"residual-gp", "source-and-field",
              "one factor, and a Gaussian process over the sizes on the residuals"};
    case TransferMethod::linear_cost:
      return {"linear-cost", "law",
              "a non-negative linear cost model per primitive, the source's as prior"};
    case TransferMethod::linear_cost_scratch:
      return {"linear-cost-scratch", "law-scratch",
              "linear cost models of this machine's samples alone"};
    case TransferMethod::linear_cost_and_source:
      return {"linear-cost-and-source", "law-and-source",
              "linear-cost, and a share of what the source predicts beyond its own cost models"};
    case TransferMethod::linear_cost_gp:
      return {"linear-cost-gp", "field",
              "linear-cost-and-source, and a Gaussian process on its residuals"};
    case TransferMethod::residual_trees:
      return {"residual-trees", "residual", "affine, and boosted trees on its residuals"};
    case TransferMethod::trees_scratch:
      return {"trees-scratch", "scratch", "boosted trees of this machine's samples alone"};
    case TransferMethod::ensemble:
      return {"ensemble", "stack",
              "a weighted mean of all methods without new trees, stacked on held-out shapes"};
  }
  return {};
}

}  // namespace

std::string_view to_string(TransferMethod method) { return text_of(method).name; }

std::string_view description(TransferMethod method) { return text_of(method).description; }

std::optional<TransferMethod> method_named(std::string_view name) {
  for (const TransferMethod method : kTransferMethods) {
    const Text text = text_of(method);
    if (name == text.name || (!text.former_name.empty() && name == text.former_name)) {
      return method;
    }
  }
  return std::nullopt;
}

}  // namespace convopt
