// Tells the formats of networks apart by what is in the file, whatever its name ends in.
#include <fstream>
#include <memory>
#include <string>

#include "convopt/bundle.hpp"
#include "convopt/network.hpp"
#include "core/files.h"
#include "core/text.h"
#include "core/try.h"
#include "src/library/rest_runner.h"
#include "src/network/onnx/reader.h"
#include "src/session/rest.h"

namespace convopt {
namespace {

/// A JSON text of a network is an object; no ONNX file begins like one.
bool begins_like_json(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  constexpr char kByteOrderMark[] = "\xEF\xBB\xBF";
  std::string start(512, '\0');
  file.read(start.data(), static_cast<std::streamsize>(start.size()));
  start.resize(static_cast<std::size_t>(file.gcount()));
  if (start.starts_with(kByteOrderMark)) start.erase(0, 3);
  const auto first = start.find_first_not_of(" \t\r\n");
  return first != std::string::npos && (start[first] == '{' || start[first] == '[');
}

/// Its shapes are those that its plans were made for.
Result<Network> network_of_bundle(const std::filesystem::path& path, int batch,
                                  const InputShapes& shapes, const InputValues& values) {
  if (batch > 0 || !shapes.empty() || !values.empty()) {
    return make_error(ErrorCode::usage,
                      path.string() + " is a bundle, whose batch, shapes and values are settled");
  }
  CONVOPT_TRY(const Bundle bundle, Bundle::open(path));
  return bundle.network();
}

}  // namespace

Result<Network> load_network(const std::filesystem::path& path, int batch,
                             const InputShapes& shapes, const InputValues& values) {
  if (batch < 0) {
    return make_error(ErrorCode::usage,
                      "--batch " + std::to_string(batch) + " is not an integer from 1");
  }
  if (Bundle::is_bundle(path)) return network_of_bundle(path, batch, shapes, values);
  if (!begins_like_json(path)) {
    plug_in_rest_execution([](const Registry& registry, const Platform& platform) {
      return std::unique_ptr<RestExecution>(new RestRunner(registry, platform));
    });
    return load_onnx(path, {{}, batch, shapes, values, nullptr});
  }
  if (!values.empty())
    return make_error(ErrorCode::usage, path.string() + ": the values of an input, " +
                                            in_quotes(values.front().first) +
                                            ", can be bound in ONNX models only");
  CONVOPT_TRY(const auto content, read_file(path));
  return parse_network(content, path.string(), batch, shapes);
}

Result<NetworkBorder> network_border(const std::filesystem::path& path) {
  if (!Bundle::is_bundle(path) && !begins_like_json(path)) return onnx_border(path);
  CONVOPT_TRY(const auto network, load_network(path));
  NetworkBorder border;
  for (const auto& [tensors, declared] : {std::pair(network.named_inputs(), &border.inputs),
                                          std::pair(network.named_outputs(), &border.outputs)}) {
    for (const Tensor& tensor : tensors) {
      DeclaredTensor& entry = declared->emplace_back();
      entry.name = tensor.name;
      entry.type = tensor.type;
      entry.sizes.emplace();
      for (const int size : tensor.shape.sizes()) entry.sizes->push_back({size, {}});
    }
  }
  return border;
}

}  // namespace convopt
