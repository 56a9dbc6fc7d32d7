#include "src/cli/cli.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>

#include "core/files.h"
#include "core/text.h"
#include "core/try.h"
#include "src/cli/interrupt.h"
#include "src/cli/values.h"
#include "src/library/context.h"

namespace convopt::cli {
int exit_code(ErrorCode code) {
  switch (code) {
    case ErrorCode::internal:
      return 1;
    case ErrorCode::usage:
      return 2;
    case ErrorCode::bad_input:
      return 3;
    case ErrorCode::environment:
      return 4;
    case ErrorCode::partial:
      return 5;
    case ErrorCode::verification_failed:
      return 6;
    case ErrorCode::interrupted:
      return 130;
  }
  return 1;
}

void ContextOptions::add_to(CLI::App& verb) {
  verb.add_option("--isa", isa,
                  "Instruction-set level. Default: $CONVOPT_ISA, else the best of this CPU.")
      ->type_name(kIsaType);
  add_count(verb, "--threads", threads,
            "Threads per primitive, at most as many as this process has processors. Default: the "
            "physical cores that it may use.",
            1, 4096);
}

Result<Context> ContextOptions::context() const {
  CONVOPT_TRY(Context context, checked_context(default_isa(), threads));
  // A level asked for by the variable is taken, or it is an error; never another one.
  const char* const variable = std::getenv("CONVOPT_ISA");
  const bool by_option = !isa.empty();
  const std::string wanted = by_option ? isa : variable != nullptr ? variable : "";
  if (wanted.empty()) return context;
  const std::string asked = (by_option ? "--isa " : "CONVOPT_ISA=") + wanted;
  const auto parsed = parse_isa(wanted);
  const auto supported = supported_isas();
  std::string names;
  for (const Isa level : supported) {
    names += (names.empty() ? "" : ", ") + std::string(to_string(level));
  }
  if (!parsed) {
    return make_error(ErrorCode::usage, asked + " is not known; this CPU has " + names);
  }
  if (std::ranges::find(supported, *parsed) == supported.end()) {
    return make_error(ErrorCode::environment,
                      asked + " is not supported by this CPU, which has " + names);
  }
  context.isa = *parsed;
  return context;
}

Result<void> write_output(const std::string& path, const std::string& content) {
  const auto print = [&] {
    return std::fwrite(content.data(), 1, content.size(), stdout) == content.size() &&
           std::fflush(stdout) == 0;
  };
  if (path.empty() || path == "-") {
    return print() ? Result<void>()
                   : make_error(ErrorCode::environment, "cannot write to standard output");
  }
  const FinishWriting finish;
  auto written = write_file_atomically(path, content);
  // Minutes of measuring may be in it.
  if (written || !print()) return written;
  return make_error(written.error().code,
                    written.error().message + "; what it should hold is on standard output");
}

}  // namespace convopt::cli
