#include "src/cli/progress.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>

#include "profiler/timer.h"
#include "src/cli/log.h"

namespace convopt::cli {
namespace {

std::size_t terminal_width() {
  winsize size{};
  constexpr std::size_t kUsual = 80;
  return ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : kUsual;
}

}  // namespace

std::string format_duration(double seconds) {
  const auto total = static_cast<long>(std::lround(std::max(0.0, seconds)));
  constexpr long kMinute = 60, kHour = 3600;
  std::array<char, 48> text{};
  if (total < kHour) {
    std::snprintf(text.data(), text.size(), "%ld:%02ld", total / kMinute, total % kMinute);
  } else {
    std::snprintf(text.data(), text.size(), "%ld:%02ld:%02ld", total / kHour,
                  total % kHour / kMinute, total % kMinute);
  }
  return text.data();
}

Progress::Progress() : terminal_(isatty(STDERR_FILENO) == 1) {
  if (!terminal_) last_ = std::chrono::steady_clock::now();
}

bool Progress::is_due() const {
  if (is_quiet()) return false;
  // What tests see does not depend on how long it takes.
  if (times_are_simulated()) return true;
  const auto pause = terminal_ ? std::chrono::milliseconds(200) : std::chrono::seconds(10);
  return std::chrono::steady_clock::now() - last_ >= pause;
}

void Progress::show(const ProfileProgress& progress) {
  if (!is_due()) return;
  show(std::to_string(progress.workloads_done) + "/" + std::to_string(progress.workloads_total) +
           " workloads, " + std::to_string(progress.measurements) + " measurements, " +
           format_duration(progress.elapsed_seconds) + " elapsed, " +
           format_duration(progress.remaining_seconds) + " left",
       progress.workload);
}

void Progress::show(std::string line, const std::string& detail) {
  if (!is_due()) return;
  last_ = std::chrono::steady_clock::now();
  if (!terminal_) {
    std::fprintf(stderr, "%s\n", line.c_str());
    return;
  }
  line += "  " + detail;
  line.resize(std::min(line.size(), terminal_width() - 1));
  std::fprintf(stderr, "\r%s\033[K", line.c_str());
  std::fflush(stderr);
  drawn_ = true;
}

void Progress::finish() {
  if (drawn_) std::fprintf(stderr, "\r\033[K");
  drawn_ = false;
}

}  // namespace convopt::cli
