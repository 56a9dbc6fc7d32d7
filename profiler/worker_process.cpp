#include "profiler/worker_process.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <new>

#include "core/file_descriptor.h"
#include "profiler/profiler.h"

extern char** environ;

namespace convopt {
namespace {

// Above the numbers that the child's descriptors get.
constexpr int kFirst = 16;

Error cannot_start(int reason) {
  return make_error(ErrorCode::environment,
                    std::string("cannot start the measuring process: ") + std::strerror(reason));
}

}  // namespace

Result<std::unique_ptr<WorkerProcess>> WorkerProcess::start(
    const std::vector<std::string>& command) {
  std::array<int, 2> channel{-1, -1};
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, channel.data()) != 0) {
    return cannot_start(errno);
  }
  auto own_end = FileDescriptor::moved_above(channel[0], kFirst);
  auto child_end = FileDescriptor::moved_above(channel[1], kFirst);
  auto page = FileDescriptor::moved_above(memfd_create("convopt-heartbeat", MFD_CLOEXEC), kFirst);
  if (page.get() < 0 || ftruncate(page.get(), sizeof(Heartbeat)) != 0) return cannot_start(errno);
  void* const memory =
      mmap(nullptr, sizeof(Heartbeat), PROT_READ | PROT_WRITE, MAP_SHARED, page.get(), 0);
  if (memory == MAP_FAILED) return cannot_start(errno);

  std::unique_ptr<WorkerProcess> process(new WorkerProcess);
  process->heartbeat_ = new (memory) Heartbeat;
  process->heartbeat_->since_ns = monotonic_ns();

  std::vector<std::string> arguments = command;
  if (arguments.empty()) arguments = {"/proc/self/exe", kWorkerVerb};
  std::vector<char*> argv;
  for (std::string& argument : arguments) argv.push_back(argument.data());
  argv.push_back(nullptr);

  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, child_end.get(), kChannelFd);
  posix_spawn_file_actions_adddup2(&actions, page.get(), kHeartbeatFd);
  const int reason = posix_spawnp(&process->pid_, argv[0], &actions, nullptr, argv.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  if (reason != 0) {
    process->pid_ = -1;
    return cannot_start(reason);
  }
  process->channel_ = own_end.release();
  process->replies_ = LineReader(process->channel_);
  return process;
}

WorkerProcess::~WorkerProcess() {
  kill();
  if (channel_ >= 0) close(channel_);
  if (heartbeat_ != nullptr) munmap(heartbeat_, sizeof(Heartbeat));
}

WorkerProcess::Event WorkerProcess::wait(std::string& line, int milliseconds) {
  if (replies_.next(line)) return Event::line;
  pollfd descriptor{channel_, POLLIN, 0};
  const int ready = poll(&descriptor, 1, milliseconds);
  if (ready <= 0) return Event::silence;  // also after a signal to this process
  if (!replies_.fill()) return Event::ended;
  return replies_.next(line) ? Event::line : Event::silence;
}

WorkerProcess::Activity WorkerProcess::activity() const {
  return {heartbeat_->primitive, heartbeat_->step,
          1e-9 * static_cast<double>(monotonic_ns() - heartbeat_->since_ns)};
}

void WorkerProcess::kill() {
  if (pid_ < 0) return;
  ::kill(pid_, SIGKILL);
  end();
}

WorkerProcess::End WorkerProcess::end() {
  End result;
  if (pid_ < 0) return result;
  int status = 0;
  while (waitpid(pid_, &status, 0) < 0 && errno == EINTR) {
  }
  pid_ = -1;
  if (WIFSIGNALED(status)) result.signal = WTERMSIG(status);
  if (WIFEXITED(status)) result.status = WEXITSTATUS(status);
  return result;
}

bool WorkerProcess::End::from_outside() const {
  return signal == SIGKILL || signal == SIGTERM || signal == SIGINT || signal == SIGHUP ||
         signal == SIGQUIT;
}

std::string WorkerProcess::End::text() const {
  if (signal == 0) return "exit status " + std::to_string(status);
  return "signal " + std::to_string(signal) + " (" + strsignal(signal) + ")";
}

}  // namespace convopt
