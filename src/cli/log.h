// Notes and warnings: to standard error, as lines "info: ..." and "warning: ...", never mixed into
// results. SPDLOG_LEVEL=warn or off silences them. In
// colours on terminals, unless NO_COLOR says otherwise. Every verb has --quiet, which leaves
// warnings and errors alone on standard error.
#pragma once

#include <string>
#include <vector>

#include "convopt/profiling.hpp"

namespace convopt::cli {

void start_log();
void be_quiet();
bool is_quiet();
void note(const std::string& sentence);
void warn(const std::string& sentence);
void warn(const std::vector<std::string>& sentences);
/// Both, for what the library has to say.
Messages messages();

}  // namespace convopt::cli
