#include "src/cli/log.h"

#include <spdlog/cfg/env.h>
#include <spdlog/sinks/stdout_color_sinks.h>
#include <spdlog/spdlog.h>

namespace convopt::cli {

void start_log() {
  auto logger = spdlog::stderr_color_st("convopt");
  logger->set_pattern("%^%l%$: %v");
  spdlog::set_default_logger(std::move(logger));
  spdlog::cfg::load_env_levels();
}

void note(const std::string& sentence) { spdlog::info("{}", sentence); }
void warn(const std::string& sentence) { spdlog::warn("{}", sentence); }
void warn(const std::vector<std::string>& sentences) {
  for (const std::string& sentence : sentences) warn(sentence);
}

Messages messages() {
  return {note, [](const std::string& sentence) { warn(sentence); }};
}

}  // namespace convopt::cli
