// The verb fleet without a queue: on this machine, and on hosts behind a program that takes the
// place of ssh. What it does on Slurm is in fleet_slurm_test.cpp.
#include "tests/cli/fleet_folder.h"

#include <memory>
#include <set>
#include <string>

#include "tests/cli/command_line.h"

namespace {

namespace fs = std::filesystem;
using nlohmann::json;

/// Runs a command here as another host would: of an older kind if it is called so, or not at all.
constexpr const char* kSsh = R"(#!/bin/sh
while [ "$1" = -o ]; do shift 2; done
host=$1
shift
case $host in
  gone) echo "ssh: connect to host gone port 22: Connection refused" >&2; exit 255 ;;
  old*) CONVOPT_ISA=sse4; export CONVOPT_ISA ;;
esac
exec sh -c "$*"
)";

class FleetVerb : public testing::Test {
 protected:
  FleetVerb() {
    shell_.write("tiny.json", kTinyNetwork);
    fs::create_directories(shell_.file("bin"));
    shell_.write("bin/ssh", kSsh);
    fs::permissions(shell_.file("bin/ssh"), fs::perms::owner_all);
    const std::string path = path_;
    setenv("PATH", (shell_.file("bin") + ":" + path).c_str(), 1);
  }
  ~FleetVerb() override { setenv("PATH", path_.c_str(), 1); }

  int run(const std::string& arguments) const { return shell_.run(arguments); }
  std::string err() const { return shell_.err(); }
  std::string plan_arguments(const std::string& more) const {
    return "fleet plan " + shell_.file("tiny.json") + " -d " + folder_word() +
           " --threads 1 --configs 0 " + more;
  }
  /// The name has a blank and a quote, and the shell of these tests is not what is tested.
  std::string folder_word() const { return "\"" + folder_.path().string() + "\""; }
  json status() const {
    EXPECT_EQ(run("fleet status " + folder_word() + " --json"), 0) << err();
    return shell_.out_json();
  }
  /// What was collected of the kind, as a plain profile.
  std::map<std::string, int> collected(const std::string& kind) const {
    const std::string plain = shell_.file("plain.jsonl");
    EXPECT_EQ(run("merge " + shell_.file("results/" + kind + ".profile.jsonl.gz") + " -o " + plain),
              0)
        << err();
    return FleetFolder::measurements(plain);
  }
  /// Nothing of any attempt is missing from what was collected, and nothing stands there twice.
  void expect_nothing_lost_nor_double(const std::string& kind) const {
    const auto kept = collected(kind);
    EXPECT_FALSE(kept.empty());
    for (const auto& [key, count] : kept) EXPECT_EQ(count, 1) << key;
    for (const auto& [key, count] : folder_.all_measurements(kind)) {
      EXPECT_TRUE(kept.contains(key)) << "lost: " << key;
    }
    const std::string isa = kind.find("-sse4-") != std::string::npos ? " --isa sse4" : "";
    EXPECT_EQ(run("profile --dry-run --threads 1 --network " + shell_.file("tiny.json") + isa +
                  " -o " + shell_.file("plain.jsonl")),
              0)
        << err();
    EXPECT_EQ(shell_.out().substr(0, 12), "0 workloads,") << shell_.out();
  }

  /// Waits until an attempt at the first task has measured a little; empty: it never did.
  std::string kind_that_is_measured() const {
    std::string kind;
    const bool begun = wait_until([&] {
      std::error_code error;
      for (const auto& entry : fs::directory_iterator(folder_.path() / "tasks", error))
        kind = entry.path().filename();
      return !kind.empty() && folder_.has_begun(kind, 1);
    });
    return begun ? kind : "";
  }

  const CommandLine shell_{"fleet"};
  const FleetFolder folder_{fs::path(shell_.file("a fleet's folder"))};
  const std::string path_ = std::getenv("PATH");
};

TEST_F(FleetVerb, ThisMachineIsMeasuredPlannedAndCollected) {
  ASSERT_EQ(run(plan_arguments("--hosts local --shards 2 --wait")), 0) << err();
  const json state = status();
  EXPECT_TRUE(state["complete"]);
  ASSERT_EQ(state["kinds"].size(), 1U);
  const json& kind = state["kinds"][0];
  EXPECT_EQ(kind["done"], 2);
  EXPECT_EQ(kind["plans"]["tiny"], "made");
  EXPECT_EQ(run("fleet status " + folder_word()), 0);
  EXPECT_NE(shell_.out().find(kind["kind"].get<std::string>()), std::string::npos);
  ASSERT_EQ(run("fleet collect " + folder_word() + " -o " + shell_.file("results")), 0) << err();
  expect_nothing_lost_nor_double(kind["kind"]);
  EXPECT_EQ(kind["times"], collected(kind["kind"]).size());
  EXPECT_TRUE(fs::exists(shell_.file("results/" + kind["kind"].get<std::string>() + ".model.ubj")));
  ASSERT_EQ(run("run " + shell_.file("results/tiny.convopt") + " --repeat 1 --verify --threads 1"),
            0)
      << err();
  // All that plans of it consist of was measured, so the plan has nothing predicted.
  const json plan =
      json::parse(shell_.read("results/tiny." + kind["kind"].get<std::string>() + ".plan.json"),
                  nullptr, false);
  for (const json& layer : plan["layers"]) EXPECT_EQ(layer["source"], "measured") << layer;
  // Nothing is left to do, and nothing is done.
  const auto before = folder_.attempts(kind["kind"], 1);
  EXPECT_EQ(run("fleet plan --wait -d " + folder_word()), 0) << err();
  EXPECT_EQ(folder_.attempts(kind["kind"], 1), before);
}

TEST_F(FleetVerb, HostsShareTheTasksOfTheirKind) {
  if (!has_older_kind()) GTEST_SKIP() << "this processor has no lower level than its own";
  shell_.write("hosts", "new1\nold1\ngone\nold2\n");
  EXPECT_EQ(run(plan_arguments("--hosts " + shell_.file("hosts") + " --shards 2 --wait")), 5);
  EXPECT_NE(err().find("gone is left out: ssh: connect to host gone"), std::string::npos) << err();
  const json state = status();
  ASSERT_EQ(state["kinds"].size(), 2U) << state;
  std::set<std::string> nodes;
  for (const json& kind : state["kinds"]) {
    EXPECT_EQ(kind["done"], 2) << kind;
    EXPECT_EQ(kind["plans"]["tiny"], "made") << kind;
    for (const json& node : kind["nodes"]) nodes.insert(node);
  }
  EXPECT_EQ(nodes, (std::set<std::string>{"new1", "old1", "old2"}));
  ASSERT_EQ(run("fleet collect " + folder_word() + " -o " + shell_.file("results")), 0) << err();
  EXPECT_NE(shell_.out().find("/sse4/t1'"), std::string::npos) << shell_.out();
  for (const json& kind : state["kinds"]) expect_nothing_lost_nor_double(kind["kind"]);
  for (const char* isa : {"", " --isa sse4"}) {
    ASSERT_EQ(run("run " + shell_.file("results/tiny.convopt") + " --repeat 1 --threads 1" + isa),
              0)
        << err();
    EXPECT_EQ(err().find("fall-back"), std::string::npos) << err();
  }
}

TEST_F(FleetVerb, AKilledTaskContinuesItsOwnProfile) {
  const pid_t runner = shell_.start(plan_arguments("--hosts local --shards 1 --wait"));
  const std::string kind = kind_that_is_measured();
  ASSERT_NE(kind, "");
  const pid_t task = folder_.process_of(kind, 1);
  ASSERT_GT(task, 0);
  kill(task, SIGKILL);
  ASSERT_EQ(CommandLine::wait(runner), 0) << err();
  EXPECT_EQ(folder_.attempts(kind, 1).size(), 2U);
  ASSERT_EQ(run("fleet collect " + folder_word() + " -o " + shell_.file("results")), 0) << err();
  expect_nothing_lost_nor_double(kind);
  // What the first attempt measured was not measured again: the second one has the same records.
  std::set<std::string> first, runs;
  for (const auto& profile : folder_.attempts(kind, 1)) {
    std::ifstream file(profile);
    std::string header;
    std::getline(file, header);
    runs.insert(json::parse(header)["run"].get<std::string>());
  }
  EXPECT_EQ(runs.size(), 1U) << "both begin with the run of the first";
}

TEST_F(FleetVerb, AnInterruptedFleetIsContinuedAndCollectedMeanwhile) {
  const pid_t runner = shell_.start(plan_arguments("--hosts local --shards 2 --wait"));
  const std::string kind = kind_that_is_measured();
  ASSERT_NE(kind, "");
  kill(runner, SIGTERM);
  EXPECT_EQ(CommandLine::wait(runner), 130) << err();
  EXPECT_FALSE(folder_.is_done(kind, 2));
  const json state = status()["kinds"][0];
  EXPECT_EQ(state["running"], 0) << state;
  EXPECT_EQ(run("fleet collect " + folder_word() + " -o " + shell_.file("results")), 5);
  EXPECT_NE(err().find("not finished"), std::string::npos) << err();
  EXPECT_FALSE(collected(kind).empty());
  ASSERT_EQ(run("fleet plan --wait -d " + folder_word()), 0) << err();
  ASSERT_EQ(run("fleet collect " + folder_word() + " -o " + shell_.file("results")), 0) << err();
  expect_nothing_lost_nor_double(kind);
}

TEST_F(FleetVerb, TheTasksOutliveTheTerminal) {
  ASSERT_EQ(run(plan_arguments("--hosts local --shards 1 --budget 20ms")), 0) << err();
  EXPECT_NE(shell_.out().find("in the background"), std::string::npos) << shell_.out();
  ASSERT_TRUE(wait_until([&] {
    std::ifstream file(folder_.path() / "runner" / "runner.json");
    const json runner = json::parse(file, nullptr, false);
    return runner.is_object() && runner["state"] == "ended";
  })) << shell_.read("a fleet's folder/logs/runner.log");
  EXPECT_TRUE(status()["complete"]) << status();
  // The budget is the user's wish: what it left out is said, and no error.
  EXPECT_EQ(run("fleet collect " + folder_word() + " -o " + shell_.file("results")), 0) << err();
  EXPECT_NE(err().find("ended by the budget"), std::string::npos) << err();
}

TEST_F(FleetVerb, TornFilesCostWhatTheyHold) {
  ASSERT_EQ(run(plan_arguments("--hosts local --shards 2 --wait")), 0) << err();
  const std::string kind = status()["kinds"][0]["kind"];
  // A marker that is cut off is none, and the last line of a profile is not the others.
  std::ofstream(folder_.task(kind, 1) / "done.json") << "{\"schema\"";
  std::ofstream(folder_.attempts(kind, 1).front(), std::ios::app) << R"({"run":"x","workl)";
  std::ofstream(folder_.path() / "nodes" / "torn.json") << "{";
  EXPECT_EQ(run("fleet status " + folder_word()), 0);
  EXPECT_NE(err().find("torn.json"), std::string::npos) << err();
  EXPECT_EQ(status()["kinds"][0]["done"], 1);
  EXPECT_EQ(run("fleet collect " + folder_word() + " -o " + shell_.file("results")), 5) << err();
  EXPECT_NE(err().find("1 of 2 tasks"), std::string::npos) << err();
  expect_nothing_lost_nor_double(kind);
  ASSERT_EQ(run("fleet plan --wait -d " + folder_word()), 0) << err();
  EXPECT_EQ(status()["kinds"][0]["done"], 2);
}

TEST_F(FleetVerb, WhatIsDamagedIsMadeAgainOrMissed) {
  ASSERT_EQ(run(plan_arguments("--hosts local --shards 2 --wait")), 0) << err();
  const std::string kind = status()["kinds"][0]["kind"];
  const fs::path made = folder_.path() / "kinds" / kind;
  const auto collect = [&] {
    return run("fleet collect " + folder_word() + " -o " + shell_.file("results"));
  };
  // A plan that cannot be read is none, and is made again by whoever is of its kind.
  ASSERT_EQ(FleetFolder::files(made, ".json").size(), 3U);  // planned.json, plan, machine
  for (const fs::path& file : FleetFolder::files(made, ".json")) {
    if (file.filename().string().find("plan.json") != std::string::npos) std::ofstream(file) << "{";
  }
  EXPECT_FALSE(status()["complete"]);
  ASSERT_EQ(run("fleet plan --wait -d " + folder_word()), 0) << err();
  EXPECT_TRUE(status()["complete"]);
  fs::resize_file(made / "model.ubj", 1000);
  ASSERT_EQ(collect(), 0) << err();
  EXPECT_EQ(run("select " + shell_.file("tiny.json") + " --threads 1 --model " +
                shell_.file("results/" + kind + ".model.ubj")),
            0)
      << err();
  // What a finished task has measured is gone for good.
  for (const fs::path& profile : folder_.attempts(kind, 1)) fs::remove(profile);
  EXPECT_EQ(collect(), 5);
  EXPECT_NE(err().find("are gone from"), std::string::npos) << err();
}

TEST_F(FleetVerb, RefusesWithASentence) {
  EXPECT_EQ(run("fleet"), 2);
  EXPECT_EQ(run("fleet pln"), 2);
  EXPECT_NE(err().find("'pln' is not a verb of convopt fleet; did you mean 'plan'?"),
            std::string::npos)
      << err();
  EXPECT_EQ(run("fleet plan --shrads 3"), 2);
  EXPECT_NE(err().find("is no option of convopt fleet plan; did you mean '--shards'?"),
            std::string::npos)
      << err();
  EXPECT_EQ(run("fleet status " + shell_.file("nowhere")), 3);
  EXPECT_NE(err().find("is no folder of a fleet"), std::string::npos) << err();
  EXPECT_EQ(run("fleet collect " + shell_.file("nowhere") + " -o " + shell_.file("results")), 3);
  EXPECT_EQ(run("fleet plan --hosts local -d " + shell_.file("nowhere")), 3);
  EXPECT_EQ(run("fleet plan " + shell_.file("tiny.json") + " --hosts local"), 2);
  EXPECT_NE(err().find("--dir"), std::string::npos) << err();
  EXPECT_EQ(run("fleet plan " + shell_.file("none.onnx") + " --hosts local -d " + folder_word()),
            3);
  EXPECT_NE(err().find("none.onnx"), std::string::npos) << err();
  EXPECT_EQ(run(plan_arguments("--hosts " + shell_.file("none"))), 3);
  EXPECT_EQ(run(plan_arguments("--hosts local --partition p")), 2);
  EXPECT_EQ(run("fleet plan --dry-run --hosts local -d " + folder_word()), 2);
  EXPECT_NE(err().find("name its networks"), std::string::npos) << err();
  EXPECT_EQ(run(plan_arguments("--hosts local --model " + shell_.file("none.ubj"))), 3);
  EXPECT_NE(err().find("none.ubj"), std::string::npos) << err();
  EXPECT_EQ(run(plan_arguments("--hosts local --precision int8")), 2);
  EXPECT_NE(err().find("has no ranges"), std::string::npos) << err();
  fs::create_directories(shell_.file("other"));
  fs::copy(shell_.file("tiny.json"), shell_.file("other/tiny.json"));
  EXPECT_EQ(run(plan_arguments("--hosts local " + shell_.file("other/tiny.json"))), 2);
  EXPECT_NE(err().find("two networks are called tiny"), std::string::npos) << err();
  EXPECT_FALSE(fs::exists(folder_.path())) << "what was refused left something";
  // Hosts that cannot be reached.
  shell_.write("hosts", "gone\n");
  EXPECT_EQ(run(plan_arguments("--wait --hosts " + shell_.file("hosts"))), 4);
  EXPECT_NE(err().find("gone is left out"), std::string::npos) << err();
  EXPECT_EQ(run("fleet collect " + folder_word() + " -o " + shell_.file("results")), 5);
  EXPECT_NE(err().find("no machine"), std::string::npos) << err();
  EXPECT_FALSE(fs::exists(shell_.file("results")));
  // What a fleet was planned with stays.
  EXPECT_EQ(run("fleet plan --wait --hosts local --budget 5s -d " + folder_word()), 2);
  EXPECT_NE(err().find("--budget is settled"), std::string::npos) << err();
  EXPECT_EQ(run(plan_arguments("--hosts local --shards 7")), 2);
  EXPECT_NE(err().find("other networks or settings"), std::string::npos) << err();
  // A network that changes is another one.
  shell_.write("tiny.json", R"({"schema":"convopt.network/1","name":"tiny","source":"a test",
    "input":{"shape":[1,3,12,12]},"operators":[{"name":"c1","op":"conv","oc":8,"kernel":3}]})");
  EXPECT_EQ(run("fleet plan --wait --hosts local -d " + folder_word()), 5);
  EXPECT_NE(err().find("is another network"), std::string::npos) << err();
}

TEST_F(FleetVerb, SaysWhatSlurmSays) {
  // Before and instead of those that may be installed.
  const auto fake = [&](const std::string& name, const std::string& body) {
    shell_.write("bin/" + name, "#!/bin/sh\n" + body + "\n");
    fs::permissions(shell_.file("bin/" + name), fs::perms::owner_all);
  };
  const std::string network = shell_.file("tiny.json");
  setenv("PATH", shell_.file("bin").c_str(), 1);
  const int without = run("fleet plan " + network + " -d " + folder_word());
  setenv("PATH", (shell_.file("bin") + ":" + path_).c_str(), 1);
  EXPECT_EQ(without, 4);
  EXPECT_NE(err().find("--hosts FILE or --hosts local"), std::string::npos) << err();
  fake("sinfo", "echo 'n1|cpu*|idle'");
  fake("squeue", "");
  EXPECT_EQ(run(plan_arguments("--partition gpu")), 2);
  EXPECT_NE(err().find("no partition 'gpu'"), std::string::npos) << err();
  EXPECT_FALSE(fs::exists(folder_.path()));
  fake("sbatch", "echo 'sbatch: error: invalid account' >&2; exit 1");
  EXPECT_EQ(run(plan_arguments("")), 4);
  EXPECT_NE(err().find("sbatch refused: sbatch: error: invalid account"), std::string::npos)
      << err();
  // The same command goes on when it is mended.
  fake("sbatch", "for a; do printf '<%s>' \"$a\" >>" + shell_.file("asked") + "; done; echo >>" +
                     shell_.file("asked") + "; echo '17;cluster'");
  EXPECT_EQ(run(plan_arguments("--sbatch=--account=vision")), 0) << err();
  const std::string asked = shell_.read("asked");
  EXPECT_NE(asked.find("<--nodelist=n1>"), std::string::npos) << asked;
  EXPECT_NE(asked.find("<--account=vision><"), std::string::npos) << asked;
  EXPECT_NE(asked.find("<--chdir=" + folder_.path().string() + ">"), std::string::npos) << asked;
  EXPECT_NE(asked.find("<--dependency=singleton>"), std::string::npos) << asked;
  fake("squeue", "echo 'slurm_load_jobs error: Unable to contact slurm controller' >&2; exit 1");
  EXPECT_EQ(run("fleet status " + folder_word()), 0);
  EXPECT_NE(err().find("Unable to contact"), std::string::npos) << err();
}

}  // namespace
