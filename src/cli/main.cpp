#include <cstdio>
#include <exception>
#include <string>

#include "src/cli/cli.h"

namespace {

int run(int argc, char** argv) {
  using namespace convopt;
  CLI::App app{
      "convopt chooses the fastest convolution primitive for every layer of a network on this "
      "CPU."};
  app.name("convopt");
  app.set_version_flag("--version", "convopt " CONVOPT_VERSION);
  app.require_subcommand(1);
  app.failure_message(CLI::FailureMessage::simple);

  cli::Action action;
  for (const auto add :
       {cli::add_select, cli::add_explain, cli::add_run, cli::add_profile, cli::add_merge,
        cli::add_train, cli::add_transfer, cli::add_evaluate, cli::add_check, cli::add_list}) {
    add(app, action);
  }
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    // The parser's own codes mean nothing to callers; help and version are no errors.
    return app.exit(error) == 0 ? 0 : static_cast<int>(ErrorCode::usage);
  }
  const auto result = action();
  // Whoever reads our output must learn that it is incomplete.
  if (result.ok() && std::fflush(stdout) != 0) {
    std::fprintf(stderr, "convopt: cannot write to standard output\n");
    return static_cast<int>(ErrorCode::environment);
  }
  if (result.ok()) return 0;
  std::fprintf(stderr, "convopt: %s\n", result.error().message.c_str());
  return static_cast<int>(result.error().code);
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
  return static_cast<int>(convopt::ErrorCode::internal);
}
