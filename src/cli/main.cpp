#include <cstdio>
#include <exception>
#include <string>
#include <string_view>
#include <vector>

#include "core/text.h"
#include "src/cli/cli.h"
#include "src/cli/log.h"
#include "src/cli/outputs.h"

namespace {

/// Refuses a first word that is no verb and suggests the nearest one.
convopt::Result<void> check_verb(const CLI::App& app, const std::string& word) {
  const auto verbs = app.get_subcommands([](const CLI::App*) { return true; });
  std::vector<std::string_view> names;
  for (const CLI::App* verb : verbs) {
    if (verb->get_name() == word) return {};
    if (!verb->get_group().empty()) names.push_back(verb->get_name());
  }
  const std::string_view meant = convopt::closest_name(word, names);
  return convopt::make_error(
      convopt::ErrorCode::usage,
      "'" + word + "' is not a verb; " +
          (meant.empty() ? "see convopt --help" : "did you mean '" + std::string(meant) + "'?"));
}

int fail(const convopt::Error& error) {
  std::fprintf(stderr, "convopt: %s\n", error.message.c_str());
  return convopt::cli::exit_code(error.code);
}

int run(int argc, char** argv) {
  using namespace convopt;
  cli::start_log();
  CLI::App app{
      "convopt chooses the fastest convolution primitive for every layer of a network on this "
      "CPU."};
  app.name("convopt");
  app.set_version_flag("--version", "convopt " CONVOPT_VERSION);
  app.require_subcommand(1);
  app.failure_message([](const CLI::App*, const CLI::Error& error) {
    return "convopt: " + std::string(error.what()) + "\n";
  });

  cli::Action action;
  for (const auto add :
       {cli::add_select, cli::add_explain, cli::add_run, cli::add_calibrate, cli::add_profile,
        cli::add_merge, cli::add_import, cli::add_import_timings, cli::add_train, cli::add_transfer,
        cli::add_evaluate, cli::add_check, cli::add_bench, cli::add_list}) {
    add(app, action);
  }
  if (argc > 1 && argv[1][0] != '-') {
    if (auto known = check_verb(app, argv[1]); !known) return fail(known.error());
  }
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    // The parser's own codes mean nothing to callers; help and version are no errors.
    return app.exit(error) == 0 ? 0 : cli::exit_code(ErrorCode::usage);
  }
  const CLI::App& verb = *app.get_subcommands().front();
  // Only a profile is joined with others into one of them.
  auto result = cli::check_outputs(verb, verb.get_name() == "merge");
  if (result) result = action();
  // A reader of the output must learn that it is incomplete.
  if (result.ok() && std::fflush(stdout) != 0) {
    return fail(make_error(ErrorCode::environment, "cannot write to standard output"));
  }
  return result.ok() ? 0 : fail(result.error());
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return run(argc, argv);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "convopt: internal error: %s\n", error.what());
  } catch (...) {
    std::fprintf(stderr, "convopt: internal error\n");
  }
  return convopt::cli::exit_code(convopt::ErrorCode::internal);
}
