#include <cstdio>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "profiler/store.h"
#include "src/cli/cli.h"
#include "src/cli/log.h"

namespace convopt::cli {

void add_merge(CLI::App& app, Action& action) {
  struct Request {
    std::vector<std::filesystem::path> inputs;
    std::filesystem::path output;
    bool fastest = false;
  };
  auto request = std::make_shared<Request>();
  CLI::App* verb = app.add_subcommand(
      "merge", "Joins profiles, without duplicates and damaged lines; a name in .gz compresses.");
  verb->add_option("profiles", request->inputs, "Profiles to join.")->required();
  verb->add_option("-o,--output", request->output, "The profile to write.")->required();
  verb->add_flag("--fastest", request->fastest,
                 "Of several times of the same keeps the lowest, since what disturbs a measurement "
                 "makes it longer.");
  verb->callback([&action, request] {
    action = [request]() -> Result<void> {
      auto warnings = merge_profiles(request->inputs, request->output, request->fastest);
      if (!warnings) return warnings.error();
      warn(*warnings);
      return {};
    };
  });
}

}  // namespace convopt::cli
