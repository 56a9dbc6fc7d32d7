#include <csignal>
#include <cstdio>
#include <exception>
#include <new>
#include <string>
#include <string_view>
#include <vector>

#include "core/text.h"
#include "core/try.h"
#include "profiler/profiler.h"
#include "src/cli/cli.h"
#include "src/cli/interrupt.h"
#include "src/cli/log.h"
#include "src/cli/outputs.h"

namespace {

/// How a verb, or a part of one, is called: "convopt fleet plan".
std::string called(const CLI::App& app) {
  return app.get_parent() == nullptr ? "convopt" : called(*app.get_parent()) + " " + app.get_name();
}

/// The verb that was given, or its part; convopt itself where none was.
const CLI::App& parsed_part(const CLI::App& app) {
  const auto given = app.get_subcommands();
  return given.empty() ? app : parsed_part(*given.front());
}

/// Refuses a word that is no verb, or no part of one that has parts, and suggests the nearest one.
convopt::Result<void> check_verb(const CLI::App& app, const std::string& word) {
  const auto verbs = app.get_subcommands([](const CLI::App*) { return true; });
  std::vector<std::string_view> names;
  for (const CLI::App* verb : verbs) {
    if (verb->get_name() == word) return {};
    if (!verb->get_group().empty()) names.push_back(verb->get_name());
  }
  const std::string_view meant = convopt::closest_name(word, names);
  return convopt::make_error(convopt::ErrorCode::usage,
                             "'" + word + "' is not a verb" +
                                 (app.get_parent() == nullptr ? "" : " of " + called(app)) + "; " +
                                 (meant.empty() ? "see " + called(app) + " --help"
                                                : "did you mean '" + std::string(meant) + "'?"));
}

/// Options with two dashes, without these.
std::vector<std::string> long_options(const CLI::App& app) {
  std::vector<std::string> names;
  for (const CLI::Option* option : app.get_options()) {
    for (const std::string& name : option->get_lnames()) names.push_back(name);
  }
  return names;
}

/// Refuses the first option that the verb does not have and suggests the nearest one, which says
/// more than what the parser misses for want of it.
convopt::Result<void> check_options(const CLI::App& app) {
  const bool is_verb = app.get_parent() != nullptr;
  for (const std::string& word : app.remaining()) {
    // Not `-`, `--` and negative numbers.
    const auto first = word.find_first_not_of('-');
    if (first == 0 || first == std::string::npos || (word[first] >= '0' && word[first] <= '9'))
      continue;
    const std::string given = word.substr(0, word.find('='));
    const std::vector<std::string> names = long_options(app);
    const std::string_view meant =
        convopt::closest_name(std::string_view(given).substr(first), {names.begin(), names.end()});
    return convopt::make_error(convopt::ErrorCode::usage,
                               convopt::in_quotes(given) + " is no option of " + called(app) +
                                   "; " +
                                   (!meant.empty() ? "did you mean '--" + std::string(meant) + "'?"
                                    : is_verb      ? "see " + called(app) + " --help"
                                                   : "options of a verb stand behind it"));
  }
  for (const CLI::App* verb : app.get_subcommands()) CONVOPT_CHECK(check_options(*verb));
  return {};
}

/// Its verbs, or those of a verb, hidden ones too.
std::vector<CLI::App*> parts_of(CLI::App& app) {
  return app.get_subcommands([](const CLI::App*) { return true; });
}

int fail(const convopt::Error& error) {
  std::fprintf(stderr, "convopt: %s\n", error.message.c_str());
  return convopt::cli::exit_code(error.code);
}

int run(int argc, char** argv) {
  using namespace convopt;
  // A file that may not grow is an error where it is written, as a full disk is.
  std::signal(SIGXFSZ, SIG_IGN);
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
       {cli::add_select, cli::add_explain, cli::add_report, cli::add_run, cli::add_calibrate,
        cli::add_profile, cli::add_merge, cli::add_import, cli::add_import_timings, cli::add_train,
        cli::add_transfer, cli::add_evaluate, cli::add_check, cli::add_doctor, cli::add_fleet,
        cli::add_bench, cli::add_bundle, cli::add_list, cli::add_manual}) {
    add(app, action);
  }
  bool quiet = false;
  for (CLI::App* verb : parts_of(app)) {
    const auto parts = parts_of(*verb);
    for (CLI::App* with_options : parts.empty() ? std::vector{verb} : parts) {
      with_options->add_flag("--quiet", quiet,
                             "Shows nothing but warnings and errors on standard error.");
    }
  }
  if (argc > 1 && argv[1][0] != '-') {
    if (auto known = check_verb(app, argv[1]); !known) return fail(known.error());
    CLI::App& verb = *app.get_subcommand(argv[1]);
    if (!parts_of(verb).empty() && argc > 2 && argv[2][0] != '-') {
      if (auto known = check_verb(verb, argv[2]); !known) return fail(known.error());
    }
  }
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    // Help and version are no errors.
    const bool is_error = error.get_exit_code() != 0;
    if (auto known = check_options(app); is_error && !known) return fail(known.error());
    if (error.get_name() == "RequiredError") {
      return fail(make_error(ErrorCode::usage, std::string(error.what()) + "; see " +
                                                   called(parsed_part(app)) + " --help"));
    }
    // The parser's own codes mean nothing to callers.
    return app.exit(error) == 0 ? 0 : cli::exit_code(ErrorCode::usage);
  }
  if (quiet) cli::be_quiet();
  const CLI::App& verb = *app.get_subcommands().front();
  // The measuring process leaves signals to its parent.
  if (verb.get_name() != kWorkerVerb) cli::exit_on_signal("nothing was written");
  // Only a profile is joined with others into one of them.
  auto result = cli::check_outputs(verb, verb.get_name() == "merge");
  if (result) result = action();
  // A reader of the output must learn that it is incomplete.
  if (result.ok() && (std::fflush(stdout) != 0 || std::ferror(stdout) != 0)) {
    return fail(make_error(ErrorCode::environment, "cannot write to standard output"));
  }
  return result.ok() ? 0 : fail(result.error());
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return run(argc, argv);
  } catch (const std::bad_alloc&) {
    return fail(convopt::make_error(convopt::ErrorCode::environment, "there is not enough memory"));
  } catch (const std::exception& error) {
    std::fprintf(stderr, "convopt: internal error: %s\n", error.what());
  } catch (...) {
    std::fprintf(stderr, "convopt: internal error\n");
  }
  return convopt::cli::exit_code(convopt::ErrorCode::internal);
}
