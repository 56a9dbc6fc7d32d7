#include <cstdio>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "core/try.h"
#include "profiler/store.h"
#include "src/cli/cli.h"
#include "src/cli/log.h"
#include "src/cli/outputs.h"

namespace convopt::cli {

void add_merge(CLI::App& app, Action& action) {
  struct MergeArguments {
    std::vector<std::filesystem::path> inputs;
    std::filesystem::path output;
    bool fastest = false;
  };
  auto request = std::make_shared<MergeArguments>();
  CLI::App* verb = app.add_subcommand(
      "merge",
      "Joins profiles without duplicates and damaged lines; a name that ends in .gz compresses.");
  verb->add_option("profiles", request->inputs, "Profiles to join.")->required();
  add_output(*verb, "-o,--output", request->output, "The profile to write.")->required();
  verb->add_flag("--fastest", request->fastest,
                 "Keeps the lowest of several times of a primitive, since disturbances make times "
                 "longer.");
  verb->callback([&action, request] {
    action = [request]() -> Result<void> {
      CONVOPT_TRY(auto warnings,
                  merge_profiles(request->inputs, request->output, request->fastest));
      warn(warnings);
      return {};
    };
  });
}

}  // namespace convopt::cli
