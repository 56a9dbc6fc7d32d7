// The verb run, as a user or a shell meets it. The plan is made from times measured in a moment; no
// test depends on what they are.
#include <memory>

#include "tests/cli/command_line.h"

namespace {

using nlohmann::json;

class RunVerb : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    shell_ = std::make_unique<CommandLine>("run");
    shell_->write("tiny.json", kTinyNetwork);
    const std::string profile = file("p.jsonl");
    ASSERT_EQ(call("profile --threads 1 --quiet --network " + net() + " -o " + profile), 0)
        << err();
    ASSERT_EQ(
        call("select " + net() + " --threads 1 --profile " + profile + " -o " + file("plan.json")),
        0)
        << err();
  }
  static void TearDownTestSuite() { shell_.reset(); }

  static std::string file(const std::string& name) { return shell_->file(name); }
  static std::string text(const std::string& name) { return shell_->read(name); }
  static std::string net() { return file("tiny.json"); }
  static int call(const std::string& arguments) { return shell_->run(arguments); }
  static int run(const std::string& arguments) {
    return call("run " + net() + " --repeat 2 " + arguments);
  }
  static int run_plan(const std::string& arguments = "") {
    return run("--plan " + file("plan.json") + " " + arguments);
  }
  static std::string out() { return shell_->out(); }
  static std::string err() { return shell_->err(); }

  static inline std::unique_ptr<CommandLine> shell_;
};

TEST_F(RunVerb, JsonHasWhatTheSchemaPromises) {
  ASSERT_EQ(run_plan("--json --verify --compare " + file("plan.json")), 0) << err();
  const json report = shell_->out_json();
  ASSERT_TRUE(report.is_object()) << out();
  EXPECT_EQ(report["schema"], "convopt.run/1");
  EXPECT_EQ(report["network"], "tiny");
  EXPECT_EQ(report["threads"], 1);
  EXPECT_EQ(report["runs"], 2);
  EXPECT_EQ(report["verified"], true);
  EXPECT_LT(report["max_relative_error"], 1e-4);
  for (const char* positive : {"median_ms", "p95_ms", "min_ms", "prepare_ms", "peak_bytes"}) {
    EXPECT_GT(report[positive], 0) << positive;
  }
  ASSERT_EQ(report["compare"].size(), 1U);
  EXPECT_GT(report["compare"][0]["median_ms"], 0);
  // Every layer and conversion of the plan is a step, in the sum that was predicted.
  const json plan = json::parse(text("plan.json"), nullptr, false);
  EXPECT_EQ(report["layers"].size(), plan["layers"].size() + plan["conversions"].size());
  double predicted_us = 0;
  for (const json& layer : report["layers"]) predicted_us += layer["predicted_us"].get<double>();
  EXPECT_NEAR(predicted_us, report["predicted_ms"].get<double>() * 1e3, 0.1);
}

TEST_F(RunVerb, TablesForPeople) {
  ASSERT_EQ(run_plan("--layers --verify"), 0) << err();
  for (const char* part : {"tiny by", "median", "verified", "c1", "sum"}) {
    EXPECT_NE(out().find(part), std::string::npos) << part << "\n" << out();
  }
}

TEST_F(RunVerb, RefusesAPlanThatNeedsMoreMemoryThanAllowed) {
  EXPECT_EQ(run_plan("--max-memory 1MB"), 0) << err();
  EXPECT_EQ(run_plan("--max-memory 1000"), 4);
  EXPECT_NE(err().find("of memory (weights"), std::string::npos) << err();
}

TEST_F(RunVerb, SelectsAPlanThatFits) {
  const std::string by_times = "--threads 1 --profile " + file("p.jsonl") + " --json ";
  ASSERT_EQ(run(by_times), 0) << err();
  const auto peak = shell_->out_json()["peak_bytes"].get<std::size_t>();
  for (const std::size_t limit : {peak, peak / 100 * 95, peak / 100 * 70}) {
    if (run(by_times + "--max-memory " + std::to_string(limit)) == 0) {
      EXPECT_LE(shell_->out_json()["peak_bytes"], limit);
    } else {
      EXPECT_NE(err().find("no plan fits into"), std::string::npos) << err();
      EXPECT_LT(limit, peak);
    }
  }
  EXPECT_EQ(call("select " + net() + " " + by_times + "--max-memory 1000"), 4);
  EXPECT_NE(err().find("no plan fits into"), std::string::npos) << err();
}

TEST_F(RunVerb, ConfirmedPlansWereRunBeforeTheyAreWritten) {
  const std::string select = "select " + net() + " --threads 1 --profile " + file("p.jsonl") +
                             " -o " + file("confirmed.json") + " ";
  ASSERT_EQ(call(select + "--confirm --confirm-time 100ms"), 0) << err();
  EXPECT_NE(err().find("measured: plan takes"), std::string::npos) << err();
  EXPECT_EQ(run("--plan " + file("confirmed.json") + " --verify"), 0) << err();
  const json plan = json::parse(text("confirmed.json"), nullptr, false);
  EXPECT_FALSE(plan["baselines"]["onednn_default_ms"].is_null());
  EXPECT_EQ(call(select + "--confirm --confirm-time soon"), 2);
  EXPECT_EQ(call(select + "--confirm-time 1s"), 2);
}

TEST_F(RunVerb, SelectsWhereNoPlanIsGiven) {
  ASSERT_EQ(run("--threads 1 --profile " + file("p.jsonl") +
                " --compare onednn_default best_single_primitive greedy"),
            0)
      << err();
  EXPECT_NE(out().find("onednn_default"), std::string::npos) << out();
}

TEST_F(RunVerb, SameSeedSameOutputAndTheOutputCanBeAnInput) {
  ASSERT_EQ(run_plan("--output " + file("a.npy")), 0) << err();
  ASSERT_EQ(run_plan("--output " + file("b.npy")), 0) << err();
  ASSERT_EQ(run_plan("--seed 2 --output " + file("c.npy")), 0) << err();
  EXPECT_EQ(text("a.npy"), text("b.npy"));
  EXPECT_NE(text("a.npy"), text("c.npy"));
  EXPECT_EQ(text("a.npy").size() % 64, 16 * 144 * sizeof(float) % 64);
  // It has 16 channels, the input has 3.
  EXPECT_EQ(run_plan("--input " + file("a.npy")), 3);
  EXPECT_NE(err().find("(1, 3, 12, 12)"), std::string::npos) << err();
}

TEST_F(RunVerb, RefusesWithTheCauseAndItsExitCode) {
  std::string other = kTinyNetwork;
  other.replace(other.find("[1,3,12,12]"), 11, "[1,3,14,14]");
  shell_->write("other.json", other);
  EXPECT_EQ(call("run " + file("other.json") + " --plan " + file("plan.json")), 3);
  EXPECT_NE(err().find("was made for another network"), std::string::npos) << err();

  json magic = json::parse(text("plan.json"), nullptr, false);
  magic["layers"][0]["primitive"] = "magic";
  shell_->write("magic.json", magic.dump());
  EXPECT_EQ(run("--plan " + file("magic.json")), 4);
  EXPECT_NE(err().find("'magic', which does not exist here"), std::string::npos) << err();

  EXPECT_EQ(run("--plan " + net()), 3);
  EXPECT_EQ(run("--plan " + file("missing.json")), 3);
  EXPECT_EQ(run_plan("--time soon"), 2);
  EXPECT_EQ(run_plan("--output x.npy --output y.npy"), 2);
  EXPECT_EQ(run_plan("--compare " + file("missing.json")), 3);
  EXPECT_EQ(run_plan("--output " + file("tiny.json") + "/y.npy"), 4);
}

}  // namespace
