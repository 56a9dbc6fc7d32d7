#include <string>

#include "convopt/network.hpp"
#include "core/try.h"
#include "src/cli/cli.h"
#include "src/cli/log.h"
#include "src/cli/planning.h"
#include "src/cli/values.h"

namespace convopt::cli {

void add_import(CLI::App& app, Action& action) {
  struct ImportArguments {
    std::string model, output;
    std::vector<std::string> shapes;
    int batch = 0;
  };
  auto request = std::make_shared<ImportArguments>();
  CLI::App* verb =
      app.add_subcommand("import", "Writes the operators of an ONNX model as a network JSON.");
  verb->add_option("model", request->model, "The model, or any network.")->required();
  verb->add_option("-o,--output", request->output, "The file to write. Default: standard output.");
  verb->add_option("--shape", request->shapes, kShapeHelp)->allow_extra_args(false);
  add_batch(*verb, request->batch, "Images per batch. Default: the model's own.");
  verb->callback([&action, request] {
    action = [request]() -> Result<void> {
      CONVOPT_TRY(const auto shapes, parse_shapes(request->shapes));
      CONVOPT_TRY(const auto network, load_network(request->model, request->batch, shapes));
      warn(network.warnings);
      for (const std::string& sentence : network.clean_up) note(sentence);
      return write_output(request->output, to_json(network));
    };
  });
}

}  // namespace convopt::cli
