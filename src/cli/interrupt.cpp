#include "src/cli/interrupt.h"

#include <signal.h>
#include <unistd.h>

#include <deque>

#include "src/cli/cli.h"

namespace convopt::cli {
namespace {

std::atomic<bool> stop{false};
std::atomic<bool> waits{false};  ///< the verb polls `stop`, or a file is being written
std::atomic<const std::string*> farewell{nullptr};
static_assert(std::atomic<bool>::is_always_lock_free, "used by a signal handler");
static_assert(std::atomic<const std::string*>::is_always_lock_free, "used by a signal handler");

/// Does nothing that a signal handler may not do.
[[noreturn]] void leave() {
  const std::string& text = *farewell.load();
  [[maybe_unused]] const ssize_t written = write(STDERR_FILENO, text.data(), text.size());
  _exit(exit_code(ErrorCode::interrupted));
}

void take_signal(int) {
  const bool is_second = stop.exchange(true);
  if (is_second || !waits) leave();
}

void say_farewell(const std::string& sentence) {
  // A handler may still be reading an earlier one.
  static std::deque<std::string> sentences;
  // Over the line that a terminal shows, with its ^C.
  const bool terminal = isatty(STDERR_FILENO) == 1;
  farewell = &sentences.emplace_back((terminal ? "\r\033[K" : "") +
                                     ("convopt: interrupted; " + sentence + "\n"));
  struct sigaction action {};
  action.sa_handler = take_signal;
  sigemptyset(&action.sa_mask);
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
}

constexpr const char* kWritten = "what was written is complete";

}  // namespace

void exit_on_signal(const std::string& sentence) {
  say_farewell(sentence);
  waits = false;
  if (stop) leave();
}

const std::atomic<bool>& stop_on_signal() {
  waits = true;
  say_farewell(kWritten);
  return stop;
}

FinishWriting::FinishWriting() : waited_before_(waits.exchange(true)) { say_farewell(kWritten); }

FinishWriting::~FinishWriting() {
  waits = waited_before_;
  if (stop && !waits) leave();
}

Result<ProfileSummary> profile_first(const std::vector<Workload>& workloads,
                                     ProfileOptions options) {
  options.stop = &stop_on_signal();
  auto summary = profile(workloads, options);
  if (summary) {
    exit_on_signal("the times measured so far are kept in '" + options.output.string() +
                   "', the same command resumes");
  }
  return summary;
}

}  // namespace convopt::cli
