// The verbs profile and merge.
#include <signal.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <set>
#include <thread>

#include "tests/cli/command_line.h"

namespace {

namespace fs = std::filesystem;
using nlohmann::json;

class ProfileVerb : public testing::Test {
 protected:
  ProfileVerb() { unsetenv("CONVOPT_TEST_FAULT"); }
  ~ProfileVerb() override { unsetenv("CONVOPT_TEST_FAULT"); }

  int run(const std::string& arguments) const { return shell_.run(arguments); }
  std::string text(const char* name) const { return shell_.read(name); }
  std::string profile_arguments(const std::string& more) const {
    return "profile --threads 1 --quiet -o " + profile_.string() + " " + more;
  }
  /// Starts it without waiting.
  pid_t start(const std::string& more) const {
    const pid_t child = fork();
    if (child == 0) {
      const std::string command = "exec " CONVOPT_BINARY " " + profile_arguments(more);
      execl("/bin/sh", "sh", "-c", command.c_str(), nullptr);
      _exit(127);
    }
    return child;
  }
  void wait_for_measurements() const {
    constexpr int kPatience = 3000;  // a minute
    for (int i = 0; i < kPatience && records().empty(); ++i) {
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
    }
    ASSERT_FALSE(records().empty()) << "nothing was measured";
  }
  /// Complete measurements; lines that cannot be read are left out.
  std::vector<json> records() const {
    std::vector<json> result;
    std::ifstream file(profile_);
    for (std::string line; std::getline(file, line);) {
      json record = json::parse(line, nullptr, false);
      if (record.is_object() && record.contains("status")) result.push_back(std::move(record));
    }
    return result;
  }
  static std::string key(const json& record) {
    return record["workload"].get<std::string>() + "|" + record["primitive"].get<std::string>();
  }

  const CommandLine shell_{"profile"};
  fs::path profile_ = shell_.file("profile.jsonl");
};

TEST_F(ProfileVerb, SurvivesKillAndResumes) {
  const std::string arguments = "--configs 40 --ops convert,add --seed 5";
  const pid_t child = start(arguments);
  wait_for_measurements();
  kill(child, SIGKILL);
  waitpid(child, nullptr, 0);
  std::ofstream(profile_, std::ios::app) << R"({"run":"x","workload":"conv:n1)";
  const auto before = records();
  ASSERT_EQ(run(profile_arguments("--budget 3s " + arguments)), 0) << text("err");
  const auto after = records();
  EXPECT_GE(after.size(), before.size());
  std::set<std::string> keys;
  for (const json& record : after) {
    EXPECT_TRUE(keys.insert(key(record)).second) << "measured twice: " << key(record);
  }
}

TEST_F(ProfileVerb, InterruptIsCleanAndResumable) {
  const pid_t child = start("--configs 2000");
  wait_for_measurements();
  kill(child, SIGINT);
  int status = 0;
  waitpid(child, &status, 0);
  ASSERT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 130);
  EXPECT_FALSE(records().empty());
}

TEST_F(ProfileVerb, ACrashingPrimitiveIsRecordedAndTheRestMeasured) {
  setenv("CONVOPT_TEST_FAULT", "crash:convert_nchw_nhwc", 1);
  ASSERT_EQ(run(profile_arguments("--configs 1 --ops convert")), 0) << text("err");
  int crashed = 0, ok = 0;
  for (const json& record : records()) {
    crashed += record["status"] == "crashed" && record["primitive"] == "convert_nchw_nhwc";
    ok += record["status"] == "ok";
  }
  EXPECT_EQ(crashed, 1);
  EXPECT_GE(ok, 1);
}

TEST_F(ProfileVerb, AHangingPrimitiveIsRecordedAndTheRestMeasured) {
  setenv("CONVOPT_TEST_FAULT", "hang:convert_nchw_nhwc", 1);
  ASSERT_EQ(run(profile_arguments("--configs 1 --ops convert --timeout 2s")), 0) << text("err");
  int hung = 0;
  for (const json& record : records()) hung += record["status"] == "timeout";
  EXPECT_EQ(hung, 1);
}

TEST_F(ProfileVerb, APrecisionAddsItsTypes) {
  const std::string arguments = "--configs 3 --ops conv,convert,add --allow onednn ";
  ASSERT_EQ(run(profile_arguments(arguments)), 0) << text("err");
  std::set<std::string> single, all;
  for (const json& record : records()) single.insert(record["workload"]);
  ASSERT_EQ(run(profile_arguments("--precision bf16 " + arguments)), 0) << text("err");
  for (const json& record : records()) {
    all.insert(record["workload"]);
    EXPECT_TRUE(record["status"] == "ok" || record["status"] == "censored" ||
                record["status"] == "inapplicable")
        << record;
  }
  const auto count = [&](const char* end) {
    return std::ranges::count_if(all, [&](const std::string& workload) {
      return workload.substr(0, workload.find(':', workload.find(':') + 1)).ends_with(end);
    });
  };
  EXPECT_EQ(single.size(), 3U);
  if (all.size() == single.size()) GTEST_SKIP() << "this processor multiplies no numbers of bf16";
  EXPECT_GE(count("_bf16"), 3);  // bf16 of each, and f32 to bf16
  EXPECT_GE(count("_bf16_f32"), 1);
  EXPECT_GE(count("_f32_bf16"), 1);
  EXPECT_EQ(run(profile_arguments("--precision bf17")), 2);
}

TEST_F(ProfileVerb, ShardsAreDisjointAndMerge) {
  for (const char* shard : {"1/2", "2/2"}) {
    profile_ = shell_.file(shard[0] == '1' ? "one.jsonl" : "two.jsonl");
    ASSERT_EQ(run(profile_arguments(
                  std::string("--configs 4 --ops convert --allow layout --shard ") + shard)),
              0)
        << text("err");
  }
  const std::string merged = shell_.file("merged.jsonl");
  ASSERT_EQ(
      run("merge " + shell_.file("one.jsonl") + " " + shell_.file("two.jsonl") + " -o " + merged),
      0)
      << text("err");
  profile_ = merged;
  std::set<std::string> workloads;
  for (const json& record : records()) workloads.insert(record["workload"]);
  EXPECT_EQ(workloads.size(), 4U);
  // Everything is there, so nothing is left to do.
  ASSERT_EQ(
      run("profile --dry-run --threads 1 --configs 4 --ops convert --allow layout -o " + merged),
      0);
  EXPECT_EQ(text("out").substr(0, 12), "0 workloads,");
}

TEST_F(ProfileVerb, DryRunsWriteNothing) {
  shell_.write("tiny.json", kTinyNetwork);
  const auto files = [&] {
    std::set<std::string> names;
    for (const auto& entry : fs::recursive_directory_iterator(shell_.file("")))
      names.insert(entry.path().filename());
    return names;
  };
  std::set<std::string> before = files();
  before.insert({"out", "err"});
  ASSERT_EQ(run("profile --dry-run --threads 1 --network " + shell_.file("tiny.json")), 0)
      << text("err");
  const testing::Matcher<std::string> estimate =
      testing::ContainsRegex(" measurements, about [0-9]+:[0-9][0-9] (min|h)\n");
  EXPECT_TRUE(estimate.Matches(text("out"))) << text("out");
  EXPECT_EQ(files(), before);
}

TEST_F(ProfileVerb, ABudgetForNothingIsAPartialResult) {
  unsetenv("CONVOPT_TEST_CLOCK");  // the simulated one stands still until something is timed
  EXPECT_EQ(run(profile_arguments("--configs 4 --budget 0.001ms")), 5) << text("err");
  EXPECT_NE(text("err").find("before anything was timed"), std::string::npos) << text("err");
}

TEST_F(ProfileVerb, BadRequestsHaveTheirExitCodes) {
  EXPECT_EQ(run(profile_arguments("--budget soon")), 2);
  EXPECT_EQ(run(profile_arguments("--shard 3/2")), 2);
  EXPECT_EQ(run(profile_arguments("--ops convolution")), 2);
  EXPECT_EQ(run(profile_arguments("--exclude no_such_primitive")), 2);
  EXPECT_NE(text("err").find("no_such_primitive"), std::string::npos);
  EXPECT_EQ(run(profile_arguments("--network /nonexistent.json")), 3);
  const std::string network = " --network " + shell_.write("tiny.json", kTinyNetwork);
  EXPECT_EQ(run(profile_arguments("--shape input=1x3x12x12 --dry-run" + network)), 0)
      << text("err");
  EXPECT_EQ(run(profile_arguments("--shape input=1x3x12x12" + network + network)), 2);
  EXPECT_NE(text("err").find("one --network, 2 are given"), std::string::npos) << text("err");
  EXPECT_EQ(run(profile_arguments("--bind input=1" + network + network)), 2);
  EXPECT_EQ(run(profile_arguments("--shape input=1x3x12x12")), 2);
  EXPECT_NE(text("err").find("none is given"), std::string::npos) << text("err");
  EXPECT_EQ(run("profile --threads 1 --configs 1 -o " + shell_.file("")), 4);
  EXPECT_EQ(run("profile-worker"), 2);
  if (fs::exists("/dev/full")) {
    EXPECT_EQ(run("profile --threads 1 --configs 1 --ops convert -o /dev/full"), 4);
    EXPECT_NE(text("err").find("No space"), std::string::npos);
  }
  std::ofstream(profile_) << "{\"name\":\"not a profile\"}\n";
  EXPECT_EQ(run(profile_arguments("--configs 1")), 3);
  EXPECT_EQ(run("merge " + profile_.string() + " -o " + shell_.file("x")), 3);
}

}  // namespace
