#include "src/cli/progress.h"

#include <signal.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>

namespace convopt::cli {
namespace {

std::atomic<bool> stop{false};
static_assert(std::atomic<bool>::is_always_lock_free, "set by a signal handler");

void request_stop(int signal_number) {
  stop = true;
  signal(signal_number, SIG_DFL);
}

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

Progress::Progress(bool quiet) : quiet_(quiet), terminal_(isatty(STDERR_FILENO) == 1) {}

void Progress::show(const ProfileProgress& progress) {
  const auto now = std::chrono::steady_clock::now();
  const auto pause = terminal_ ? std::chrono::milliseconds(200) : std::chrono::seconds(10);
  if (quiet_ || now - last_ < pause) return;
  last_ = now;
  std::string line = std::to_string(progress.workloads_done) + "/" +
                     std::to_string(progress.workloads_total) + " workloads, " +
                     std::to_string(progress.measurements) + " measurements, " +
                     format_duration(progress.elapsed_seconds) + " elapsed, " +
                     format_duration(progress.remaining_seconds) + " left";
  if (!terminal_) {
    std::fprintf(stderr, "%s\n", line.c_str());
    return;
  }
  line += "  " + progress.workload;
  line.resize(std::min(line.size(), terminal_width() - 1));
  std::fprintf(stderr, "\r%s\033[K", line.c_str());
  std::fflush(stderr);
  drawn_ = true;
}

void Progress::finish() {
  if (drawn_) std::fprintf(stderr, "\r\033[K");
  drawn_ = false;
}

const std::atomic<bool>& stop_on_signal() {
  struct sigaction action {};
  action.sa_handler = request_stop;
  sigemptyset(&action.sa_mask);
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
  return stop;
}

}  // namespace convopt::cli
