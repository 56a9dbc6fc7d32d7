#include <cstdio>
#include <filesystem>
#include <memory>
#include <string>

#include "core/files.h"
#include "core/try.h"
#include "profiler/timings.h"
#include "src/cli/cli.h"
#include "src/cli/log.h"
#include "src/cli/outputs.h"
#include "src/cli/values.h"

namespace convopt::cli {
namespace {

struct ImportTimingsArguments {
  std::filesystem::path table, output;
  TimingsOptions options;
  std::string isa;
};

Result<void> import_action(const ImportTimingsArguments& request) {
  TimingsOptions options = request.options;
  if (!request.isa.empty()) {
    options.isa = parse_isa(request.isa);
    if (!options.isa) {
      return make_error(ErrorCode::usage, "--isa " + request.isa +
                                              " is not known; there are scalar, sse4, avx2, avx512 "
                                              "and neon");
    }
  }
  CONVOPT_TRY(const auto imported, import_timings(request.table, options));
  warn(imported.warnings);
  return write_output(request.output.string(), profile_text(imported.profile));
}

}  // namespace

void add_import_timings(CLI::App& app, Action& action) {
  auto request = std::make_shared<ImportTimingsArguments>();
  CLI::App* verb = app.add_subcommand(
      "import-timings",
      "Turns a table of matrix-product timings (kernel,mr,nr,m,k,n,seconds) into a profile.");
  verb->add_option("table", request->table, "The table, as comma-separated values.")->required();
  add_text_output(*verb, "-o,--output", request->output,
                  "The profile to write (.jsonl). Default: standard output.");
  verb->add_option("--vendor", request->options.vendor, "Vendor of the processor.")
      ->type_name(kWordType);
  verb->add_option("--name", request->options.name,
                   "Name of the processor. Default: the name of the file.")
      ->type_name(kWordType);
  verb->add_option("--isa", request->isa,
                   "Instruction-set level. Default: the highest level in a kernel's name.")
      ->type_name(kIsaType);
  add_count(*verb, "--threads", request->options.threads,
            "Threads of the timed kernels. Default: 1.", 1, 4096);
  add_timing_mode(*verb, request->options.timing_mode, "Timing mode of the table. Default: warm.");
  verb->callback([&action, request] { action = [request] { return import_action(*request); }; });
}

}  // namespace convopt::cli
