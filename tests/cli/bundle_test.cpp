// The verb bundle, and verbs that read what it writes.
#include <memory>
#include <string>

#include "tests/cli/command_line.h"

namespace {

class BundleVerb : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    shell_ = std::make_unique<CommandLine>("bundle");
    shell_->write("tiny.json", kTinyNetwork);
    const std::string profile = file("p.jsonl");
    ASSERT_EQ(call("profile --threads 1 --quiet --network " + net() + " -o " + profile), 0)
        << err();
    ASSERT_EQ(call("select " + net() + " --threads 1 --profile " + profile + " -o " + plan()), 0)
        << err();
    ASSERT_EQ(call("bundle " + net() + " --plan " + plan() + " -o " + bundle()), 0) << err();
    summary_ = out();
    said_ = err();
  }
  static void TearDownTestSuite() { shell_.reset(); }

  static std::string file(const std::string& name) { return shell_->file(name); }
  static std::string net() { return file("tiny.json"); }
  static std::string plan() { return file("plan.json"); }
  static std::string bundle() { return file("tiny.convopt"); }
  static int call(const std::string& arguments) { return shell_->run(arguments); }
  static std::string out() { return shell_->out(); }
  static std::string err() { return shell_->err(); }

  static inline std::unique_ptr<CommandLine> shell_;
  static inline std::string summary_, said_;
};

TEST_F(BundleVerb, SaysWhatItWrote) {
  EXPECT_NE(summary_.find("tiny, 1 plan and a fall-back"), std::string::npos) << summary_;
  EXPECT_NE(said_.find("random ones are used"), std::string::npos) << said_;
  ASSERT_EQ(call("bundle " + net() + " --plan " + plan() + " --quiet -o " + file("quiet.convopt")),
            0);
  EXPECT_EQ(err(), "");
}

TEST_F(BundleVerb, RunComputesTheSameFromTheBundle) {
  ASSERT_EQ(call("run " + net() + " --repeat 1 --plan " + plan() + " --output " + file("a.npy")), 0)
      << err();
  ASSERT_EQ(call("run " + bundle() + " --repeat 1 --verify --output " + file("b.npy")), 0) << err();
  EXPECT_EQ(err().find("no plan for"), std::string::npos) << err();
  EXPECT_EQ(shell_->read("a.npy"), shell_->read("b.npy"));
  EXPECT_EQ(call("run " + bundle() + " --repeat 1 --plan " + plan()), 0) << err();
  EXPECT_EQ(call("explain " + bundle() + " c1 --threads 1 --profile " + file("p.jsonl")), 0)
      << err();
}

TEST_F(BundleVerb, OtherLevelsRunTheFallback) {
#if defined(__x86_64__)
  const std::string planned = nlohmann::json::parse(shell_->read("plan.json"))["platform"]["isa"];
  for (const std::string isa : {"sse4", "avx2", "avx512"}) {
    const int code = call("run " + bundle() + " --repeat 1 --verify --threads 1 --isa " + isa);
    if (err().find("is not supported by this CPU") != std::string::npos) continue;
    ASSERT_EQ(code, 0) << isa << err();
    const bool falls_back = err().find("the fall-back is used") != std::string::npos;
    const bool is_nearest = err().find("that for") != std::string::npos;
    EXPECT_EQ(falls_back || is_nearest, isa != planned) << isa << err();
  }
#endif
}

TEST_F(BundleVerb, RefusesWithASentence) {
  const std::string start = "bundle " + net() + " -o " + file("none.convopt") + " --plan ";
  EXPECT_EQ(call(start + file("missing.json")), 3);
  EXPECT_EQ(call(start + plan() + " --plan " + plan()), 2);
  EXPECT_NE(err().find("are both plans for"), std::string::npos) << err();
  EXPECT_EQ(call("bundle " + net() + " --batch 2 -o " + file("none.convopt") + " --plan " + plan()),
            3);
  EXPECT_NE(err().find("plan.json"), std::string::npos) << err();
  EXPECT_EQ(call("bundle " + net() + " -o " + file("none.convopt")), 2);
  EXPECT_EQ(call("bundle " + net() + " --plan " + plan() + " -o " + plan()), 2);
  EXPECT_EQ(call("bundle " + net() + " --plan " + plan() + " -o /no/such/folder/b"), 4);
  EXPECT_FALSE(std::filesystem::exists(file("none.convopt")));
  EXPECT_EQ(call("run " + bundle() + " --batch 2"), 2);
  const std::string content = shell_->read("tiny.convopt");
  shell_->write("short.convopt", content.substr(0, content.size() / 2));
  EXPECT_EQ(call("run " + file("short.convopt")), 3);
  EXPECT_NE(err().find("short.convopt is damaged"), std::string::npos) << err();
}

}  // namespace
