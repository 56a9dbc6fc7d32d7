#include "tests/conformance/isolated.h"

#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>
#include <csignal>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <utility>

namespace convopt::conformance {
namespace {

// A case takes milliseconds; machines that are this busy do not exist.
constexpr int kHangsAfterSeconds = 120;

[[noreturn]] void work(const std::vector<Case>& cases, std::size_t first, int pipe,
                       const std::function<Trial()>& make_trial) {
  const Trial trial = make_trial();
  for (std::size_t i = first; i < cases.size(); ++i) {
    const Outcome outcome = trial(cases[i]);
    const std::string line = std::string(to_string(outcome.verdict)) + " " + outcome.reason + "\n";
    if (write(pipe, line.data(), line.size()) != std::ssize(line)) std::_Exit(1);
  }
  std::_Exit(0);
}

enum class Answer { line, end, silence };

Answer read_line(int pipe, std::string& buffer, std::string& line) {
  while (true) {
    if (const std::size_t end = buffer.find('\n'); end != std::string::npos) {
      line = buffer.substr(0, end);
      buffer.erase(0, end + 1);
      return Answer::line;
    }
    pollfd waiting{pipe, POLLIN, 0};
    if (poll(&waiting, 1, kHangsAfterSeconds * 1000) <= 0) return Answer::silence;
    char bytes[4096];
    const ssize_t count = read(pipe, bytes, sizeof bytes);
    if (count <= 0) return Answer::end;
    buffer.append(bytes, static_cast<std::size_t>(count));
  }
}

Outcome parse(const std::string& line) {
  const std::size_t space = line.find(' ');
  return {parse_verdict(line.substr(0, space)).value_or(Verdict::crashed), line.substr(space + 1)};
}

/// Waits for a process that gave its last answer.
std::string how_ended(pid_t child, Answer last) {
  if (last == Answer::silence) kill(child, SIGKILL);
  int status = 0;
  waitpid(child, &status, 0);
  if (last == Answer::silence) return "no end after " + std::to_string(kHangsAfterSeconds) + " s";
  if (WIFSIGNALED(status)) return strsignal(WTERMSIG(status));
  return "ended with code " + std::to_string(WEXITSTATUS(status));
}

}  // namespace

std::vector<Outcome> try_isolated(const std::vector<Case>& cases,
                                  const std::function<Trial()>& make_trial) {
  std::vector<Outcome> outcomes;
  while (outcomes.size() < cases.size()) {
    int ends[2];
    if (pipe(ends) != 0) std::abort();
    std::fflush(nullptr);
    const pid_t child = fork();
    if (child < 0) std::abort();
    if (child == 0) {
      close(ends[0]);
      work(cases, outcomes.size(), ends[1], make_trial);
    }
    close(ends[1]);
    std::string buffer, line;
    Answer answer = Answer::line;
    while (outcomes.size() < cases.size() && answer == Answer::line) {
      answer = read_line(ends[0], buffer, line);
      if (answer == Answer::line) outcomes.push_back(parse(line));
    }
    close(ends[0]);
    const std::string ending = how_ended(child, answer);
    if (answer != Answer::line) outcomes.push_back({Verdict::crashed, ending});
  }
  return outcomes;
}

}  // namespace convopt::conformance
