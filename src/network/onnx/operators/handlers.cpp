#include "src/network/onnx/operators/handlers.h"

#include <unordered_map>

#include "core/try.h"

namespace convopt::onnx_reader {

Result<std::vector<Value>> OperatorHandler::handle(Import& model, const Node& node) const {
  if (several != nullptr) return several(model, node);
  CONVOPT_TRY(auto value, one(model, node));
  return std::vector{std::move(value)};
}

const OperatorHandler* find_handler(std::string_view type) {
  static const auto all = [] {
    std::unordered_map<std::string_view, const OperatorHandler*> by_type;
    for (const OperatorTable table :
         {activation_operators(), arithmetic_operators(), comparison_operators(),
          convolution_operators(), indexing_operators(), matmul_operators(),
          normalisation_operators(), padding_operators(), pixel_operators(), pooling_operators(),
          recurrent_operators(), reduction_operators(), resize_operators(), shape_operators(),
          slicing_operators()})
      for (const OperatorHandler& handler : table) by_type.emplace(handler.type, &handler);
    return by_type;
  }();
  const auto found = all.find(type);
  return found != all.end() ? found->second : nullptr;
}

}  // namespace convopt::onnx_reader
