#include "src/fleet/fleet.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>

#include "src/fleet/attempt.h"
#include "src/fleet/hosts.h"
#include "src/fleet/slurm.h"
#include "src/fleet/status.h"

namespace convopt::fleet {
namespace {

namespace fs = std::filesystem;

class FleetFolder : public testing::Test {
 protected:
  FleetFolder() { fs::create_directories(folder_); }
  ~FleetFolder() override { fs::remove_all(folder_); }

  static Settings some_settings() {
    Settings settings;
    FleetNetwork network;
    network.name = "net";
    network.path = "/nets/net.onnx";
    network.hash = "0123456789abcdef";
    network.batch = 2;
    network.shapes = {{"input", {1, 3, 8, 8}}};
    network.values = {{"rate", {16000}}};
    settings.networks = {network};
    settings.shards = 3;
    settings.budget = 90;
    settings.program = "/opt/convopt";
    settings.slurm = Slurm{"cpu", {"--account=a"}, 60};
    return settings;
  }
  Fleet made(const Settings& settings) const {
    auto fleet = create(folder_, settings);
    EXPECT_TRUE(fleet) << fleet.error().message;
    return *fleet;
  }
  void write(const std::string& name, const std::string& text) const {
    fs::create_directories((folder_ / name).parent_path());
    std::ofstream(folder_ / name) << text;
  }
  static Node node(const std::string& name, const std::string& kind) {
    Node node;
    node.name = name;
    node.kind = kind;
    node.platform.isa = Isa::avx2;
    return node;
  }

  fs::path folder_ = fs::temp_directory_path() / ("convopt fleet's " + std::to_string(getpid()));
};

TEST_F(FleetFolder, TheDescriptionComesBack) {
  const Settings settings = some_settings();
  const Fleet fleet = made(settings);
  EXPECT_EQ(fleet.id.size(), 8U);
  EXPECT_EQ(to_json(fleet.settings), to_json(settings));
  // Found again, with its name.
  EXPECT_EQ(made(settings).id, fleet.id);
}

TEST_F(FleetFolder, ItMayGoOnElsewhereButNotMeasureSomethingElse) {
  Settings settings = some_settings();
  const std::string id = made(settings).id;
  settings.slurm.reset();
  settings.hosts = {"a", "b"};
  EXPECT_EQ(made(settings).id, id);
  EXPECT_EQ(load(folder_)->settings.hosts, settings.hosts);
  EXPECT_FALSE(load(folder_)->settings.slurm);
  settings.shards = 4;
  const auto other = create(folder_, settings);
  ASSERT_FALSE(other);
  EXPECT_EQ(other.error().code, ErrorCode::usage);
}

TEST_F(FleetFolder, DamagedDescriptionsAreRefused) {
  EXPECT_EQ(load(folder_).error().code, ErrorCode::bad_input);
  for (const char* text : {"", "{", "[]", R"({"schema":1})", R"({"schema":"convopt.fleet/1"})",
                           R"({"schema":"convopt.fleet/1","id":"x","networks":3})"}) {
    write("fleet.json", text);
    const auto fleet = load(folder_);
    ASSERT_FALSE(fleet) << text;
    EXPECT_EQ(fleet.error().code, ErrorCode::bad_input) << text;
  }
}

TEST_F(FleetFolder, NodesAreGroupedAndTornFilesLeftOut) {
  const Fleet fleet = made(some_settings());
  for (const char* name : {"n2", "n1"}) ASSERT_TRUE(write_node(fleet, node(name, "old")));
  ASSERT_TRUE(write_node(fleet, node("n3", "new")));
  write("nodes/n4.json", R"({"schema":"convopt.fleet_node/1","no)");
  // A kind is a name of folders.
  write("nodes/n5.json", R"({"schema":"convopt.fleet_node/1","node":"n5","kind":"../x",
                             "platform":{"isa":"avx2","threads":1}})");
  std::vector<std::string> warnings;
  const auto kinds = nodes_by_kind(fleet, &warnings);
  ASSERT_EQ(kinds.size(), 2U);
  EXPECT_EQ(kinds.at("old").size(), 2U);
  EXPECT_EQ(kinds.at("old").front().name, "n1");
  EXPECT_EQ(kinds.at("new").front().platform.isa, Isa::avx2);
  EXPECT_EQ(warnings.size(), 2U);
}

TEST_F(FleetFolder, TheSameMachineIsAlwaysOfOneKind) {
  const auto one = describe_this_machine("a", 1, false),
             other = describe_this_machine("b", 1, true);
  ASSERT_TRUE(one) << one.error().message;
  ASSERT_TRUE(other);
  EXPECT_EQ(one->kind, other->kind);
  EXPECT_EQ(one->kind.find_first_of("/ "), std::string::npos);
}

TEST_F(FleetFolder, AttemptsTellHowTheyStand) {
  const Fleet fleet = made(some_settings());
  const fs::path task = fleet.task("kind", 2);
  {
    AttemptWriter attempt(task, "n1");
    ProfileProgress progress;
    progress.measurements = 7;
    attempt.progress(progress);
    EXPECT_EQ(attempts(task).front().state, "running");
    attempt.end("failed", "no room");
  }
  write("tasks/kind/2/20990101T000000Z-torn.json", "{\"sch");
  const auto all = attempts(task);
  ASSERT_EQ(all.size(), 1U);
  EXPECT_EQ(all.front().state, "failed");
  EXPECT_EQ(all.front().reason, "no room");
  EXPECT_EQ(all.front().times, 7U);
  EXPECT_LT(all.front().age, 1000);
  EXPECT_FALSE(done(task));
  write("tasks/kind/2/done.json", "{}");
  EXPECT_FALSE(done(task)) << "half a marker is none";
  ASSERT_TRUE(write_done(task, {"x", "n1", 3, 9, 1.5, true}));
  EXPECT_EQ(done(task)->times, 9U);
  EXPECT_TRUE(done(task)->budget_exhausted);
}

TEST_F(FleetFolder, ProfilesWithoutAWholeHeaderAreLeftOut) {
  const Fleet fleet = made(some_settings());
  write("tasks/kind/1/a.jsonl", "");
  write("tasks/kind/1/b.jsonl", R"({"schema":"convopt.profile/1","ru)");
  write("tasks/kind/1/c.jsonl", "{}\n");
  EXPECT_TRUE(attempt_profiles(fleet.task("kind", 1)).empty());
}

TEST_F(FleetFolder, StatesFollowFromMarkersBeforeAnythingElse) {
  Settings settings = some_settings();
  settings.slurm.reset();
  const Fleet fleet = made(settings);
  ASSERT_TRUE(write_node(fleet, node("n1", "kind")));
  ASSERT_TRUE(write_done(fleet.task("kind", 1), {"x", "n1", 3, 9, 10, false}));
  AttemptWriter(fleet.task("kind", 2), "n1").end("failed", "no room");
  AttemptWriter running(fleet.task("kind", 3), "n1");
  const auto status = status_of(fleet);
  ASSERT_EQ(status.kinds.size(), 1U);
  const auto& tasks = status.kinds.front().tasks;
  EXPECT_EQ(tasks[0].state, TaskState::done);
  EXPECT_EQ(tasks[1].state, TaskState::failed);
  EXPECT_EQ(tasks[1].reason, "no room");
  EXPECT_EQ(tasks[2].state, TaskState::running);
  EXPECT_FALSE(status.complete());
  // Two tasks of ten seconds on one node.
  ASSERT_TRUE(status.kinds.front().left);
  EXPECT_DOUBLE_EQ(*status.kinds.front().left, 20);
}

TEST(Slurm, ReadsTheQueue) {
  const Queue queue = parse_queue(
      "12|1|RUNNING|task amd-x\n12|3|PENDING|task amd-x\n13|N/A|PENDING|plan amd-x\n"
      "9|N/A|PENDING|describe n7\n10|N/A|PENDING|submit\nnoise\n");
  EXPECT_EQ(queue.tasks.size(), 2U);
  EXPECT_EQ(queue.tasks.at({"amd-x", 1}), "RUNNING");
  EXPECT_EQ(queue.arrays.at("amd-x"), std::vector<std::string>{"12"});
  EXPECT_TRUE(queue.plans.contains("amd-x"));
  EXPECT_TRUE(queue.describes.contains("n7"));
  EXPECT_TRUE(queue.submitting);
  EXPECT_TRUE(parse_queue("").tasks.empty());
}

TEST(Slurm, ReadsThePartition) {
  const std::string text =
      "n1|cpu*|idle\nn2|cpu*|down*\nn3|cpu*|mixed\nn4|cpu*|allocated*\nn5|gpu|idle\nn6|cpu*|"
      "drained\n";
  const Partition standard = parse_partition(text, "");
  EXPECT_EQ(standard.usable, (std::vector<std::string>{"n1", "n3"}));
  EXPECT_EQ(standard.all.size(), 5U);
  EXPECT_EQ(parse_partition(text, "gpu").usable, std::vector<std::string>{"n5"});
  EXPECT_EQ(parse_partition(text, "cpu").all.size(), 5U);
  EXPECT_TRUE(parse_partition(text, "none").all.empty());
}

TEST_F(FleetFolder, HostsAreReadAndReached) {
  write("hosts", "# rack 1\nuser@a.example  # the first\n\nb\nb\n");
  const auto hosts = read_hosts(folder_ / "hosts");
  ASSERT_TRUE(hosts);
  EXPECT_EQ(*hosts, (std::vector<std::string>{"user@a.example", "b"}));
  for (const char* text : {"", "# nobody\n", "-oProxyCommand=x\n", "a b\n"}) {
    write("hosts", text);
    EXPECT_EQ(read_hosts(folder_ / "hosts").error().code, ErrorCode::bad_input) << text;
  }
  EXPECT_EQ(read_hosts(folder_ / "missing").error().code, ErrorCode::bad_input);
  const Fleet fleet = made(some_settings());
  const auto command = command_on(fleet, "b", {"plan", "kind"});
  EXPECT_EQ(command.front(), "ssh");
  EXPECT_EQ(command[command.size() - 2], "b");
  // The name of the folder has a blank and a quote.
  EXPECT_NE(command.back().find("fleet'\\''s"), std::string::npos) << command.back();
  EXPECT_EQ(command_on(fleet, "", {"plan", "kind"}).front(), "/opt/convopt");
}

}  // namespace
}  // namespace convopt::fleet
