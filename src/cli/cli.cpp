#include "src/cli/cli.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>

#include "core/files.h"
#include "profiler/profiler.h"

namespace convopt::cli {
namespace {

struct Unit {
  double size;
  const char* name;
};

/// Three significant digits in the largest unit of which there is at least one.
template <std::size_t N>
std::string scaled(double value, const std::array<Unit, N>& units) {
  const auto unit =
      std::ranges::find_if(units, [&](const Unit& candidate) { return value >= candidate.size; });
  const Unit& chosen = unit == units.end() ? units.back() : *unit;
  const double scaled_value = value / chosen.size;
  const int decimals = scaled_value >= 99.95 ? 0 : scaled_value >= 9.995 ? 1 : 2;
  std::array<char, 64> text;
  std::snprintf(text.data(), text.size(), "%.*f %s", decimals, scaled_value, chosen.name);
  return text.data();
}

}  // namespace

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
                  "Instruction-set level: sse4, avx2, avx512 or neon. Default: $CONVOPT_ISA, else "
                  "the best of this CPU.");
  verb.add_option("--threads", threads,
                  "Threads per primitive. Default: the physical cores this process may use.")
      ->check(CLI::Range(1, 1024));
}

Result<Context> ContextOptions::context() const {
  Context context;
  context.threads = threads > 0 ? threads : default_threads();
  // Whoever asks for a level by the variable wants that level or an error, not another one.
  const char* const variable = std::getenv("CONVOPT_ISA");
  const bool by_option = !isa.empty();
  const std::string wanted = by_option ? isa : variable != nullptr ? variable : "";
  context.isa = default_isa();
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
  if (!path.empty() && path != "-") return write_file_atomically(path, content);
  if (std::fwrite(content.data(), 1, content.size(), stdout) != content.size()) {
    return make_error(ErrorCode::environment, "cannot write to standard output");
  }
  return {};
}

Result<double> parse_time(const std::string& option, const std::string& text) {
  const auto seconds = parse_duration(text);
  if (!seconds || !(*seconds > 0)) {
    return make_error(ErrorCode::usage,
                      option + " '" + text + "' is not a time like 500ms, 30s, 5m or 1h");
  }
  return *seconds;
}

std::string format_time(double ns) {
  return scaled(ns, std::array{Unit{1e9, "s"}, Unit{1e6, "ms"}, Unit{1e3, "us"}, Unit{1, "ns"}});
}

std::string format_bytes(double bytes) {
  return scaled(bytes, std::array{Unit{1 << 30, "GiB"}, Unit{1 << 20, "MiB"}, Unit{1 << 10, "KiB"},
                                  Unit{1, "B"}});
}

}  // namespace convopt::cli
