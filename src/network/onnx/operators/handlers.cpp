#include "src/network/onnx/operators/handlers.h"

#include <unordered_map>

#include "core/try.h"

namespace convopt::onnx_reader {

Result<std::vector<Value>> OperatorHandler::handle(Import& model, const Node& node) const {
  if (several != nullptr) return several(model, node);
  CONVOPT_TRY(auto value, one(model, node));
  return std::vector{std::move(value)};
}

namespace {

const auto& handlers() {
  static const auto all = [] {
    std::unordered_map<std::string_view, const OperatorHandler*> by_type;
    for (const OperatorTable table :
         {activation_operators(),    arithmetic_operators(),   comparison_operators(),
          convolution_operators(),   indexing_operators(),     matmul_operators(),
          normalisation_operators(), padding_operators(),      pixel_operators(),
          pooling_operators(),       quantisation_operators(), recurrent_operators(),
          reduction_operators(),     resize_operators(),       sampling_operators(),
          scattering_operators(),    sequence_operators(),     shape_operators(),
          slicing_operators(),       spectrum_operators()})
      for (const OperatorHandler& handler : table) by_type.emplace(handler.type, &handler);
    return by_type;
  }();
  return all;
}

}  // namespace

const OperatorHandler* find_handler(std::string_view type) {
  const auto found = handlers().find(type);
  return found != handlers().end() ? found->second : nullptr;
}

std::vector<std::string_view> handled_types() {
  std::vector<std::string_view> types;
  for (const auto& [type, handler] : handlers()) types.push_back(type);
  return types;
}

}  // namespace convopt::onnx_reader
