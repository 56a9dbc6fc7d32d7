#include "src/cli/log.h"

#include <spdlog/cfg/env.h>
#include <spdlog/sinks/stdout_color_sinks.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <cstdlib>

namespace convopt::cli {
namespace {

bool warns_only = false;

}  // namespace

void start_log() {
  // https://no-color.org: any value but an empty one.
  const char* const no_colour = std::getenv("NO_COLOR");
  const bool is_plain = no_colour != nullptr && *no_colour != '\0';
  auto logger = spdlog::stderr_color_mt(
      "convopt", is_plain ? spdlog::color_mode::never : spdlog::color_mode::automatic);
  logger->set_pattern("%^%l%$: %v");
  spdlog::set_default_logger(std::move(logger));
  spdlog::cfg::load_env_levels();
}

void be_quiet() {
  warns_only = true;
  spdlog::set_level(std::max(spdlog::get_level(), spdlog::level::warn));
}

bool is_quiet() { return warns_only; }

void note(const std::string& sentence) { spdlog::info("{}", sentence); }
void warn(const std::string& sentence) { spdlog::warn("{}", sentence); }
void warn(const std::vector<std::string>& sentences) {
  for (const std::string& sentence : sentences) warn(sentence);
}

Messages messages() {
  return {note, [](const std::string& sentence) { warn(sentence); }};
}

}  // namespace convopt::cli
