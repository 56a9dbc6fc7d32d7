// What Ctrl-C leaves, whatever the verb is doing.
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>

#include <chrono>
#include <memory>
#include <string>
#include <thread>

#include "tests/cli/command_line.h"

namespace {

class Interrupt : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    shell_ = std::make_unique<CommandLine>("interrupt");
    shell_->write("tiny.json", kTinyNetwork);
    ASSERT_EQ(shell_->run("profile --threads 1 --quiet --network " + net() + " -o " + profile()), 0)
        << err();
    ASSERT_EQ(shell_->run("train " + profile() + " -o " + model()), 0) << err();
    ASSERT_EQ(shell_->run(select() + " -o " + file("plan.json")), 0) << err();
  }
  static void TearDownTestSuite() { shell_.reset(); }

  static std::string file(const std::string& name) { return shell_->file(name); }
  static std::string net() { return file("tiny.json"); }
  static std::string profile() { return file("profile.jsonl"); }
  static std::string model() { return file("model.ubj"); }
  static std::string select() { return "select " + net() + " --threads 1 --model " + model(); }
  static std::string err() { return shell_->err(); }

  /// Waits until the program has said this on standard error.
  static void wait_for(const std::string& text) {
    constexpr int kPatience = 3000;  // a minute
    for (int i = 0; i < kPatience && err().find(text) == std::string::npos; ++i) {
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
    }
    ASSERT_NE(err().find(text), std::string::npos) << err();
  }
  /// The last line on standard error, after the exit code has been checked.
  static std::string last_words(pid_t child, int signal = SIGINT) {
    kill(child, signal);
    EXPECT_EQ(CommandLine::wait(child), 130) << err();
    const std::string text = err();
    const auto begin = text.rfind("convopt: ");
    if (begin == std::string::npos || text.find('\n', begin) != text.size() - 1) return text;
    return text.substr(begin, text.size() - begin - 1);
  }
  /// Started with the name of a pipe in the place of a profile, which it waits for.
  static pid_t start_waiting(const std::string& before, const std::string& after) {
    const std::string pipe = file("pipe");
    std::filesystem::remove(pipe);
    EXPECT_EQ(mkfifo(pipe.c_str(), 0600), 0);
    const pid_t child = shell_->start(before + " " + pipe + " " + after);
    const int descriptor = open(pipe.c_str(), O_WRONLY | O_CLOEXEC);
    EXPECT_GE(descriptor, 0);
    descriptor_ = descriptor;
    return child;
  }
  void TearDown() override {
    if (descriptor_ >= 0) close(descriptor_);
    descriptor_ = -1;
  }

  static inline std::unique_ptr<CommandLine> shell_;
  static inline int descriptor_ = -1;
};

TEST_F(Interrupt, RunWritesNothing) {
  const pid_t child = shell_->start("run " + net() + " --plan " + file("plan.json") +
                                    " --verify --time 1h --output " + file("y.npy"));
  wait_for("verifying");
  EXPECT_EQ(last_words(child), "convopt: interrupted; nothing was written");
  EXPECT_FALSE(std::filesystem::exists(file("y.npy")));
  EXPECT_EQ(shell_->out(), "");
}

TEST_F(Interrupt, ConfirmingWritesNothing) {
  const pid_t child =
      shell_->start(select() + " --confirm --confirm-time 1h -o " + file("confirmed.json"));
  wait_for("running the plan");
  EXPECT_EQ(last_words(child, SIGTERM), "convopt: interrupted; nothing was written");
  EXPECT_FALSE(std::filesystem::exists(file("confirmed.json")));
}

TEST_F(Interrupt, RefiningKeepsItsTimes) {
  const pid_t child = shell_->start(select() + " --refine 60s --confirm --confirm-time 1h");
  wait_for("running the plan");
  const std::string words = last_words(child);
  const std::string kept = "convopt: interrupted; the times measured so far are kept in '";
  ASSERT_EQ(words.substr(0, kept.size()), kept);
  const std::string times = words.substr(kept.size(), words.find('\'', kept.size()) - kept.size());
  EXPECT_EQ(shell_->run("merge " + times + " -o " + file("merged.jsonl")), 0) << err();
}

TEST_F(Interrupt, EndsWhateverReadsAndComputes) {
  const std::string output = " -o " + file("output");
  for (const auto& [before, after] :
       {std::pair<std::string, std::string>{"train", output},
        {"merge " + profile(), output},
        {"evaluate " + model(), "--network " + net()},
        {"transfer --threads 1 --from " + model() + " --profile", output}}) {
    const pid_t child = start_waiting(before, after);
    EXPECT_EQ(last_words(child), "convopt: interrupted; nothing was written") << before;
    EXPECT_FALSE(std::filesystem::exists(file("output"))) << before;
    TearDown();
  }
}

}  // namespace
