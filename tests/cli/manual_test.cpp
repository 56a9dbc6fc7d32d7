// Man pages and completions.
#include <memory>
#include <sstream>
#include <string>

#include "tests/cli/command_line.h"

namespace {

class Manual : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    shell_ = std::make_unique<CommandLine>("manual");
    ASSERT_EQ(shell_->run("manual " + shell_->file("share")), 0) << shell_->err();
  }
  static void TearDownTestSuite() { shell_.reset(); }

  static std::string page(const std::string& name) {
    return shell_->read("share/man/man1/" + name + ".1");
  }
  static bool has(const std::string& text, const std::string& part) {
    return text.find(part) != std::string::npos;
  }
  /// What bash offers for the last of these words.
  static std::string completed(const std::string& words, int last) {
    const std::string script = ". " + shell_->file("share/bash-completion/completions/convopt") +
                               "; COMP_WORDS=(" + words + "); COMP_CWORD=" + std::to_string(last) +
                               "; _convopt; echo \"${COMPREPLY[@]}\"";
    shell_->write("complete.sh", script);
    EXPECT_EQ(
        std::system(("bash " + shell_->file("complete.sh") + " >" + shell_->file("out")).c_str()),
        0);
    return shell_->out();
  }

  static inline std::unique_ptr<CommandLine> shell_;
};

TEST_F(Manual, EveryVerbHasAPageWithItsOptions) {
  ASSERT_EQ(shell_->run("--help"), 0);
  std::istringstream help(shell_->out());
  std::string line;
  while (std::getline(help, line) && !line.starts_with("Subcommands")) {
  }
  std::size_t verbs = 0;
  while (std::getline(help, line)) {
    if (!line.starts_with("  ") || line[2] == ' ') continue;
    const std::string verb = line.substr(2, line.find(' ', 2) - 2);
    EXPECT_TRUE(has(page("convopt-" + verb), ".SH SYNOPSIS")) << verb;
    EXPECT_TRUE(has(page("convopt-" + verb), "\\-\\-quiet")) << verb;
    ++verbs;
  }
  EXPECT_GT(verbs, 10U);
  for (const char* option :
       {"\\-\\-threads", "\\-\\-plan", "\\-o\\fR, \\fB\\-\\-output", "network"})
    EXPECT_TRUE(has(page("convopt-report"), option)) << option;
  EXPECT_TRUE(has(page("convopt"), "NO_COLOR"));
  // Hidden verbs stay hidden.
  EXPECT_FALSE(has(page("convopt"), "manual"));
}

TEST_F(Manual, PagesAreSoundRoff) {
  if (std::system("command -v groff >/dev/null") != 0) GTEST_SKIP() << "groff is not installed";
  const std::string command = "for page in " + shell_->file("share/man/man1") +
                              "/*.1; do groff -man -ww -Tutf8 -z $page || exit 1; done 2>" +
                              shell_->file("err");
  EXPECT_EQ(std::system(("bash -c '" + command + "'").c_str()), 0);
  EXPECT_EQ(shell_->err(), "");
}

TEST_F(Manual, ShellsComplete) {
  EXPECT_EQ(completed("convopt sel", 1), "select\n");
  EXPECT_EQ(completed("convopt select --max-m", 2), "--max-memory\n");
  EXPECT_EQ(completed("convopt report --mea", 2), "--measure\n");
  EXPECT_EQ(completed("convopt select --precision ''", 3), "f32 bf16 int8 auto\n");
  EXPECT_EQ(completed("convopt select --range p", 3), "percentile\n");
  EXPECT_EQ(completed("convopt profile --timing-mode c", 3), "cold_weights\n");
  EXPECT_EQ(completed("convopt select --isa avx", 3), "avx2 avx512\n");
  EXPECT_EQ(completed("convopt select --allow w", 3), "winograd\n");
  EXPECT_EQ(completed("convopt select --allow winograd,fft,o", 3), "winograd,fft,onednn\n");
  EXPECT_EQ(completed("convopt profile --ops conv,max_", 3), "conv,max_pool\n");
  EXPECT_EQ(completed("convopt evaluate --method zero", 3), "zero-shot\n");
  EXPECT_TRUE(
      has(shell_->read("share/zsh/vendor-completions/_convopt"), ":value:(f32 bf16 int8 auto)'"));
  shell_->write("13.json", "");
  EXPECT_EQ(completed("convopt report --plan " + shell_->file("13"), 3),
            shell_->file("13.json") + "\n");
  EXPECT_EQ(completed("convopt select -o " + shell_->file("13"), 3),
            shell_->file("13.json") + "\n");
  EXPECT_EQ(completed("convopt report --threads " + shell_->file("13"), 3), "\n");
  const std::string zsh = shell_->read("share/zsh/vendor-completions/_convopt");
  EXPECT_TRUE(has(zsh, ":value:_values -s , value im2col kn2row")) << zsh;
  EXPECT_TRUE(has(zsh, "]:value: '")) << "numbers are no files";
  const std::string fish = shell_->read("share/fish/vendor_completions.d/convopt.fish");
  EXPECT_TRUE(has(fish, "from report' -l measure -d "));
  EXPECT_TRUE(has(fish, "from report' -l plan -r -d "));
  EXPECT_TRUE(has(fish, "from report' -l precision -x -a 'f32 bf16 int8 auto' -d "));
  EXPECT_TRUE(has(shell_->read("share/zsh/vendor-completions/_convopt"), "'--measure["));
}

TEST_F(Manual, SaysWhereItCannotWrite) {
  shell_->write("taken", "a file");
  EXPECT_EQ(shell_->run("manual " + shell_->file("taken") + "/x"), 4);
}

TEST_F(Manual, NotesHaveNoColourWhereNobodyWantsIt) {
  if (std::system("command -v script >/dev/null") != 0) GTEST_SKIP() << "script is not installed";
  shell_->write("tiny.json", kTinyNetwork);
  const auto on_terminal = [&](const std::string& before) {
    const std::string verb = before + " " CONVOPT_BINARY " select " + shell_->file("tiny.json") +
                             " --threads 1 -o " + shell_->file("plan.json");
    return std::system(
        ("TERM=xterm script -qec '" + verb + "' /dev/null </dev/null >" + shell_->file("out"))
            .c_str());
  };
  ASSERT_EQ(on_terminal("NO_COLOR="), 0);
  EXPECT_TRUE(has(shell_->out(), "\033[")) << shell_->out();
  ASSERT_EQ(on_terminal("NO_COLOR=1"), 0);
  EXPECT_FALSE(has(shell_->out(), "\033[")) << shell_->out();
}

TEST_F(Manual, VerbsOfPartsShowThem) {
  const std::string text = page("convopt-fleet");
  EXPECT_TRUE(has(text, "convopt fleet plan"));
  EXPECT_TRUE(has(text, "\\-\\-shards"));
  EXPECT_FALSE(has(text, "convopt fleet task")) << "hidden parts stay hidden";
  EXPECT_TRUE(has(completed("convopt fleet co", 2), "collect"));
  EXPECT_FALSE(has(completed("convopt fleet ta", 2), "task"));
  EXPECT_TRUE(has(completed("convopt fleet plan --sh", 3), "--shards"));
}

}  // namespace
