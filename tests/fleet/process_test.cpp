#include "src/fleet/process.h"

#include <gtest/gtest.h>

#include <atomic>
#include <string>
#include <vector>

namespace convopt::fleet {
namespace {

TEST(Process, GivesBackWhatAProgramSays) {
  const auto result = run_process({"sh", "-c", "echo one two; echo why >&2; exit 3"});
  ASSERT_TRUE(result) << result.error().message;
  EXPECT_EQ(result->code, 3);
  EXPECT_EQ(result->out, "one two\n");
  EXPECT_EQ(result->error_text(), "why");
}

TEST(Process, ArgumentsArriveAsTheyAre) {
  const std::vector<std::string> words = {"a b", "it's", "$HOME", "\"x\"", "", "*"};
  std::vector<std::string> command = {"printf", "%s|"};
  command.insert(command.end(), words.begin(), words.end());
  const auto result = run_process(command);
  ASSERT_TRUE(result);
  EXPECT_EQ(result->out, "a b|it's|$HOME|\"x\"||*|");
  // The same through a shell, as ssh has one at its other end.
  std::string line = "printf '%s|'";
  for (const std::string& word : words) line += " " + shell_word(word);
  const auto quoted = run_process({"sh", "-c", line});
  ASSERT_TRUE(quoted);
  EXPECT_EQ(quoted->out, result->out);
}

TEST(Process, ManyBytesOnBothStreamsDoNotBlock) {
  const auto result =
      run_process({"sh", "-c", "head -c 1000000 /dev/zero; head -c 1000000 /dev/zero >&2"});
  ASSERT_TRUE(result);
  EXPECT_EQ(result->out.size(), 1000000U);
  EXPECT_EQ(result->err.size(), 1000000U);
}

TEST(Process, AProgramThatIsNotThereIsAnError) {
  const auto result = run_process({"no-such-program-of-convopt"});
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, ErrorCode::environment);
  EXPECT_NE(result.error().message.find("no-such-program-of-convopt"), std::string::npos);
}

TEST(Process, StopsWhenTold) {
  std::atomic<bool> stop{true};
  const auto result = run_process({"sleep", "600"}, &stop);
  ASSERT_TRUE(result);
  EXPECT_EQ(result->code, 128 + 15);
}

TEST(Process, AGrandchildThatHoldsTheOutputIsNotWaitedFor) {
  // It reads the standard input, which ends only when run_process() does.
  const auto result =
      run_process({"sh", "-c", "exec 3<&0; echo done; cat <&3 >/dev/null & exit 0"});
  ASSERT_TRUE(result);
  EXPECT_EQ(result->out, "done\n");
}

TEST(Process, AComplaintIsTheLastLineWithoutOurName) {
  ProcessResult result;
  result.code = 4;
  EXPECT_EQ(result.error_text(), "exit status 4");
  result.err = "warning: first\nconvopt: second\n";
  EXPECT_EQ(result.error_text(), "second");
}

}  // namespace
}  // namespace convopt::fleet
