// The command line: one file per verb. The only module that prints or exits.
#pragma once

#include <CLI/CLI.hpp>
#include <functional>
#include <memory>
#include <string>

#include "convopt/error.hpp"
#include "convopt/primitive.hpp"
#include "core/text.h"

namespace convopt::cli {

/// The process's exit code for an error, as README.md lists them.
int exit_code(ErrorCode code);

/// The chosen verb's work, run after all options are parsed.
using Action = std::function<Result<void>()>;

/// Options that all computing verbs share.
struct ContextOptions {
  std::string isa;  ///< empty: default_isa()
  int threads = 0;  ///< 0: default_threads()
  void add_to(CLI::App& verb);
  Result<Context> context() const;
};

// Each function adds its verb to `app` and sets `action` when that verb is the one called.
void add_list(CLI::App& app, Action& action);
void add_explain(CLI::App& app, Action& action);
void add_calibrate(CLI::App& app, Action& action);
void add_profile(CLI::App& app, Action& action);
void add_merge(CLI::App& app, Action& action);
void add_import(CLI::App& app, Action& action);
void add_import_timings(CLI::App& app, Action& action);
void add_train(CLI::App& app, Action& action);
void add_transfer(CLI::App& app, Action& action);
void add_evaluate(CLI::App& app, Action& action);
void add_check(CLI::App& app, Action& action);
void add_select(CLI::App& app, Action& action);
void add_run(CLI::App& app, Action& action);
void add_bench(CLI::App& app, Action& action);
void add_bundle(CLI::App& app, Action& action);
void add_report(CLI::App& app, Action& action);
void add_fleet(CLI::App& app, Action& action);
void add_doctor(CLI::App& app, Action& action);
/// After all others, which it describes.
void add_manual(CLI::App& app, Action& action);

/// Types of values whose words completions know: an instruction-set level, operations, families or
/// primitives, methods of transfer.
inline constexpr const char* kIsaType = "sse4|avx2|avx512|neon";
inline constexpr const char* kOperationType = "OPERATION";
inline constexpr const char* kFamilyType = "FAMILY";
inline constexpr const char* kMethodType = "METHOD";
/// Of values that are no files and of which nothing is known.
inline constexpr const char* kWordType = "WORD";

/// Writes to `path`, or to standard output if it is empty or "-".
Result<void> write_output(const std::string& path, const std::string& content);

}  // namespace convopt::cli
