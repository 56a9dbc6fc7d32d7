// The verb doctor, on machines that are folders.
#include <filesystem>
#include <memory>
#include <string>

#include "tests/cli/command_line.h"

namespace {

using nlohmann::json;

class DoctorVerb : public testing::Test {
 protected:
  void SetUp() override {
    shell_ = std::make_unique<CommandLine>("doctor");
    std::filesystem::create_directories(file("root"));
  }

  std::string file(const std::string& name) const { return shell_->file(name); }
  void put(const std::string& path, const std::string& content) const {
    std::filesystem::create_directories(std::filesystem::path(file("root/" + path)).parent_path());
    shell_->write("root/" + path, content);
  }
  int run(const std::string& arguments) const { return shell_->run(arguments); }
  std::string out() const { return shell_->out(); }
  std::string err() const { return shell_->err(); }
  int doctor(const std::string& more = "") const {
    return run("doctor --threads 1 --root " + file("root") + " " + more);
  }
  json found() const {
    EXPECT_EQ(doctor("--json"), 0) << err();
    return shell_->out_json();
  }
  /// Whether some warning or hint speaks of it; each says what to do.
  static bool speaks_of(const json& advices, const std::string& what) {
    bool found = false;
    for (const json& advice : advices) {
      EXPECT_FALSE(advice["remedy"].get<std::string>().empty());
      found = found || advice["finding"].get<std::string>().find(what) != std::string::npos;
    }
    return found;
  }

  std::unique_ptr<CommandLine> shell_;
};

TEST_F(DoctorVerb, SaysUnknownWhereNothingIsSaid) {
  ASSERT_EQ(doctor(), 0) << err();
  for (const char* part : {"processor", "unknown", "nothing is wrong", "(shipped)", "not there"})
    EXPECT_NE(out().find(part), std::string::npos) << part << "\n" << out();
  const json diagnosis = found();
  EXPECT_EQ(diagnosis["schema"], "convopt.doctor/1");
  for (const char* fact : {"name", "family", "quota", "smt", "turbo", "load", "hypervisor"})
    EXPECT_TRUE(diagnosis["machine"][fact].is_null()) << fact;
  EXPECT_TRUE(diagnosis["libraries"].contains("onednn"));
  EXPECT_TRUE(diagnosis["warnings"].empty());
  // It measures nothing and writes nothing.
  EXPECT_FALSE(std::filesystem::exists(file("convopt")));
}

TEST_F(DoctorVerb, WarnsOfWhatDisturbsAndStillSucceeds) {
  put("sys/devices/system/cpu/online", "0-3\n");
  put("proc/self/status", "Cpus_allowed_list:\t0-3\n");
  put("proc/self/cgroup", "0::/\n");
  put("sys/fs/cgroup/cpu.max", "150000 100000\n");
  put("sys/devices/system/cpu/cpu0/cpufreq/scaling_governor", "powersave\n");
  put("sys/devices/system/cpu/cpufreq/boost", "1\n");
  put("proc/loadavg", "3.00 1 1 1/2 3\n");
  put("proc/stat", "cpu  10 0 10 70 0 0 0 10\n");
  put("proc/cpuinfo", "model name : X\nflags : avx2 hypervisor\n");
  const json diagnosis = found();
  for (const char* what : {"1.5 processors", "powersave", "busy", "hypervisor has kept 10.0 %"})
    EXPECT_TRUE(speaks_of(diagnosis["warnings"], what)) << what;
  for (const char* what : {"virtual machine", "clock is raised", "not known yet", "no profile"})
    EXPECT_TRUE(speaks_of(diagnosis["hints"], what)) << what;
  ASSERT_EQ(doctor(), 0) << err();
  EXPECT_NE(out().find("--threads 1 at most"), std::string::npos) << out();
}

TEST_F(DoctorVerb, KnowsModelAndProfileOfThisMachine) {
  shell_->write("tiny.json", kTinyNetwork);
  ASSERT_EQ(run("profile --threads 1 --quiet --network " + file("tiny.json")), 0) << err();
  json diagnosis = found();
  EXPECT_TRUE(diagnosis["profile"]["exists"].get<bool>());
  EXPECT_EQ(diagnosis["profile"]["runs_here"], 1);
  EXPECT_TRUE(diagnosis["model"]["shipped"].get<bool>());
  EXPECT_TRUE(diagnosis["warnings"].empty()) << diagnosis["warnings"];
  const std::string profile = diagnosis["profile"]["path"];

  // Another build of the library.
  ASSERT_EQ(
      std::system(("sed -i 's/\"onednn\":\"[^\"]*\"/\"onednn\":\"0.0+old\"/' " + profile).c_str()),
      0);
  EXPECT_TRUE(speaks_of(found()["warnings"], "0.0+old"));
  // Damage.
  std::ofstream(profile) << "nothing\n";
  EXPECT_TRUE(speaks_of(found()["warnings"], "no header"));
}

TEST_F(DoctorVerb, DoubtsRatesThatCannotBe) {
  shell_->write("tiny.json", kTinyNetwork);
  ASSERT_EQ(run("profile --threads 1 --quiet --network " + file("tiny.json")), 0) << err();
  const std::string path = found()["description"]["path"];
  EXPECT_TRUE(found()["warnings"].empty());
  ASSERT_EQ(std::system(("sed -i 's/\"l3_gbps\": [0-9.]*/\"l3_gbps\": 0.5/' " + path).c_str()), 0);
  EXPECT_TRUE(speaks_of(found()["warnings"], "L3 is slower than memory"));
}

TEST_F(DoctorVerb, RefusesAnUnknownLevel) {
  EXPECT_EQ(run("doctor --isa mmx"), 2);
  EXPECT_EQ(run("doctor --threads 4000"), 2);
}

}  // namespace
