#include <memory>

#include "convopt/profiling.hpp"
#include "src/cli/cli.h"
#include "src/cli/log.h"
#include "src/cli/outputs.h"

namespace convopt::cli {

void add_merge(CLI::App& app, Action& action) {
  auto request = std::make_shared<MergeSettings>();
  CLI::App* verb = app.add_subcommand(
      "merge",
      "Joins profiles without duplicates and damaged lines; a name that ends in .gz compresses.");
  verb->add_option("profiles", request->profiles, "Profiles to join.")->required();
  add_output(*verb, "-o,--output", request->output, "The profile to write.")->required();
  verb->add_flag("--fastest", request->fastest,
                 "Keeps the lowest of several times of a primitive, since disturbances make times "
                 "longer.");
  verb->callback([&action, request] {
    action = [request] {
      request->messages = messages();
      return merge_profiles(*request);
    };
  });
}

}  // namespace convopt::cli
