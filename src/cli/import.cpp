#include <algorithm>
#include <cstdio>
#include <string>

#include "convopt/network.hpp"
#include "core/try.h"
#include "src/cli/cli.h"
#include "src/cli/log.h"
#include "src/cli/outputs.h"
#include "src/cli/planning.h"
#include "src/cli/table.h"
#include "src/cli/values.h"

namespace convopt::cli {
namespace {

struct ImportArguments {
  std::string model, output;
  std::vector<std::string> shapes, bindings;
  int batch = 0;
  bool show = false;
};

/// "1x3x?x?", with the file's words for open sizes.
std::string declared_shape(const DeclaredTensor& tensor) {
  if (!tensor.sizes) return "any";
  std::string text;
  for (const auto& [size, symbol] : *tensor.sizes) {
    if (!text.empty()) text += "x";
    text += size > 0 ? std::to_string(size) : symbol.empty() ? "?" : "<" + symbol + ">";
  }
  return text.empty() ? "single value" : text;
}

DeclaredTensor as_declared(const Tensor& tensor) {
  DeclaredTensor result{tensor.name, tensor.type, {}, false};
  result.sizes.emplace();
  for (const int size : tensor.shape.sizes()) result.sizes->push_back({size, {}});
  return result;
}

/// Whether the file leaves something open that these options do not give, so that it cannot be read
/// further.
bool is_open(const ImportArguments& request, const NetworkBorder& border) {
  if (request.batch > 0 || !request.shapes.empty() || !request.bindings.empty()) return false;
  return std::ranges::any_of(border.inputs, [](const DeclaredTensor& input) {
    return input.decides || !input.sizes ||
           std::ranges::any_of(*input.sizes, [](const auto& size) { return size.size == 0; });
  });
}

/// Shapes and types as the network has them, or as the file declares them where it cannot be read
/// without being told more.
Result<void> show_border(const ImportArguments& request, const Result<Network>& network) {
  CONVOPT_TRY(NetworkBorder border, network_border(request.model));
  if (network) {
    border = {};
    for (const Tensor& tensor : network->named_inputs())
      border.inputs.push_back(as_declared(tensor));
    if (network->rest != nullptr) border.outputs = network->rest->outputs();
    for (const Tensor& tensor :
         network->rest == nullptr ? network->named_outputs() : std::vector<Tensor>())
      border.outputs.push_back(as_declared(tensor));
  }
  Table table({{""}, {"name"}, {"type"}, {"shape"}, {""}});
  const auto add = [&](const char* kind, const DeclaredTensor& tensor) {
    table.add_row(
        {kind, tensor.name, tensor.type ? std::string(to_string(*tensor.type)) : "not supported",
         declared_shape(tensor), tensor.decides ? "to be known when the model is read" : ""});
  };
  for (const DeclaredTensor& tensor : border.inputs) add("input", tensor);
  for (const DeclaredTensor& tensor : border.outputs) add("output", tensor);
  std::printf("%s", table.text().c_str());
  if (network) return {};
  if (!is_open(request, border)) return network.error();
  note(network.error().message);
  return {};
}

Result<void> import_network(const ImportArguments& request) {
  CONVOPT_TRY(const auto shapes, parse_shapes(request.shapes));
  CONVOPT_TRY(const auto values, parse_bindings(request.bindings));
  const auto network = load_network(request.model, request.batch, shapes, values);
  if (network) warn(network->warnings);
  if (request.show) return show_border(request, network);
  if (!network) return network.error();
  for (const std::string& sentence : network->clean_up) note(sentence);
  return write_output(request.output, to_json(*network));
}

}  // namespace

void add_import(CLI::App& app, Action& action) {
  auto request = std::make_shared<ImportArguments>();
  CLI::App* verb =
      app.add_subcommand("import", "Writes the operators of an ONNX model as a network JSON.");
  verb->add_option("model", request->model, "The model, or any network.")->required();
  add_text_output(*verb, "-o,--output", request->output,
                  "The file to write. Default: standard output.");
  verb->add_flag("--show", request->show,
                 "Prints names, types and shapes of inputs and outputs instead.");
  add_input_options(*verb, request->shapes, request->bindings);
  add_batch(*verb, request->batch, "Images per batch. Default: the model's own.");
  verb->callback([&action, request] { action = [request] { return import_network(*request); }; });
}

}  // namespace convopt::cli
