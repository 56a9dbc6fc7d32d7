#include "src/fleet/process.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

#include "core/file_descriptor.h"
#include "core/text.h"
#include "core/try.h"

extern char** environ;

namespace convopt::fleet {
namespace {

/// No other child inherits its ends. They lie above the standard streams.
struct Pipe {
  FileDescriptor reader, writer;

  Pipe() {
    std::array<int, 2> ends{-1, -1};
    if (pipe2(ends.data(), O_CLOEXEC) != 0) return;
    constexpr int kFirst = 3;
    reader = FileDescriptor::moved_above(ends[0], kFirst);
    writer = FileDescriptor::moved_above(ends[1], kFirst);
  }
  bool ok() const { return reader.ok() && writer.ok(); }
};

Error cannot_start(const std::string& program, int reason) {
  return make_error(ErrorCode::environment,
                    "cannot start " + in_quotes(program) + ": " + std::strerror(reason));
}

struct SpawnSetup {
  posix_spawn_file_actions_t actions;
  posix_spawnattr_t attributes;

  SpawnSetup() {
    posix_spawn_file_actions_init(&actions);
    posix_spawnattr_init(&attributes);
  }
  ~SpawnSetup() {
    posix_spawn_file_actions_destroy(&actions);
    posix_spawnattr_destroy(&attributes);
  }
  SpawnSetup(const SpawnSetup&) = delete;
  SpawnSetup& operator=(const SpawnSetup&) = delete;

  Result<pid_t> start(std::vector<std::string> arguments) {
    std::vector<char*> argv;
    for (std::string& argument : arguments) argv.push_back(argument.data());
    argv.push_back(nullptr);
    pid_t child = -1;
    const int reason = posix_spawnp(&child, argv[0], &actions, &attributes, argv.data(), environ);
    if (reason != 0) return cannot_start(arguments.front(), reason);
    return child;
  }
};

/// Adds what is there to read; false at the end.
bool read_some(int descriptor, std::string& text) {
  std::array<char, 4096> block;
  const ssize_t count = read(descriptor, block.data(), block.size());
  if (count < 0) return errno == EINTR || errno == EAGAIN;
  text.append(block.data(), static_cast<std::size_t>(count));
  return count > 0;
}

}  // namespace

std::string ProcessResult::error_text() const {
  const auto end = err.find_last_not_of("\n\r ");
  if (end == std::string::npos) return "exit status " + std::to_string(code);
  const auto begin = err.find_last_of("\n\r", end);
  const std::string line = err.substr(begin == std::string::npos ? 0 : begin + 1,
                                      end - (begin == std::string::npos ? 0 : begin + 1) + 1);
  constexpr std::string_view kOwnName = "convopt: ";
  return line.starts_with(kOwnName) ? line.substr(kOwnName.size()) : line;
}

Result<ProcessResult> run_process(const std::vector<std::string>& arguments,
                                  const std::atomic<bool>* stop) {
  Pipe in, out, err;
  if (!in.ok() || !out.ok() || !err.ok()) return cannot_start(arguments.front(), errno);
  SpawnSetup setup;
  posix_spawn_file_actions_adddup2(&setup.actions, in.reader.get(), STDIN_FILENO);
  posix_spawn_file_actions_adddup2(&setup.actions, out.writer.get(), STDOUT_FILENO);
  posix_spawn_file_actions_adddup2(&setup.actions, err.writer.get(), STDERR_FILENO);
  // Ctrl-C is for this process, which hands it on by `stop`.
  posix_spawnattr_setflags(&setup.attributes, POSIX_SPAWN_SETPGROUP);
  posix_spawnattr_setpgroup(&setup.attributes, 0);
  CONVOPT_TRY(const pid_t child, setup.start(arguments));
  in.reader.close();
  out.writer.close();
  err.writer.close();

  ProcessResult result;
  int status = 0;
  bool told_to_stop = false;
  std::array<pollfd, 2> streams{pollfd{out.reader.get(), POLLIN, 0},
                                pollfd{err.reader.get(), POLLIN, 0}};
  const auto drain = [&](int milliseconds) {
    if (poll(streams.data(), streams.size(), milliseconds) <= 0) return false;
    for (std::size_t i = 0; i < streams.size(); ++i) {
      if (streams[i].revents == 0) continue;
      // A negative descriptor is left out from now on.
      if (!read_some(streams[i].fd, i == 0 ? result.out : result.err)) streams[i].fd = -1;
    }
    return streams[0].fd >= 0 || streams[1].fd >= 0;
  };
  for (;;) {
    constexpr int kTickMilliseconds = 50;
    if (streams[0].fd >= 0 || streams[1].fd >= 0) drain(kTickMilliseconds);
    if (stop != nullptr && stop->load() && !told_to_stop) {
      told_to_stop = true;
      kill(child, SIGTERM);
    }
    const pid_t ended = waitpid(child, &status, WNOHANG);
    if (ended == child || (ended < 0 && errno != EINTR)) break;
    // Most programs end as soon as they have closed these.
    constexpr int kMicroseconds = 1000;
    if (streams[0].fd < 0 && streams[1].fd < 0) usleep(kMicroseconds);
  }
  // A grandchild may hold the pipes open for ever, as ssh does where it keeps connections.
  while (drain(0)) {
  }
  result.code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  return result;
}

Result<void> start_detached(const std::vector<std::string>& arguments,
                            const std::filesystem::path& log) {
  SpawnSetup setup;
  posix_spawn_file_actions_addopen(&setup.actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_addopen(&setup.actions, STDOUT_FILENO, log.c_str(),
                                   O_WRONLY | O_CREAT | O_APPEND, 0644);
  posix_spawn_file_actions_adddup2(&setup.actions, STDOUT_FILENO, STDERR_FILENO);
  posix_spawnattr_setflags(&setup.attributes, POSIX_SPAWN_SETSID);
  CONVOPT_CHECK(setup.start(arguments));
  return {};
}

std::string shell_word(const std::string& text) {
  std::string word = "'";
  for (const char c : text) word += c == '\'' ? "'\\''" : std::string(1, c);
  return word + "'";
}

std::filesystem::path own_program() {
  std::error_code error;
  return std::filesystem::read_symlink("/proc/self/exe", error);
}

}  // namespace convopt::fleet
