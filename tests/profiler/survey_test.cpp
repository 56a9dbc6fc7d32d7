// What the system says, from folders that look like /proc and /sys.
#include "profiler/survey.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>

namespace convopt {
namespace {

namespace fs = std::filesystem;

class SurveyOf : public testing::Test {
 protected:
  SurveyOf() : root_(fs::temp_directory_path() / ("convopt-survey-" + std::to_string(getpid()))) {
    fs::create_directories(root_);
  }
  ~SurveyOf() override { fs::remove_all(root_); }

  void write(const std::string& path, const std::string& content) const {
    fs::create_directories((root_ / path).parent_path());
    std::ofstream(root_ / path) << content;
  }
  Survey found() const { return survey(root_); }

 private:
  fs::path root_;
};

TEST_F(SurveyOf, NothingIsUnknownNotGuessed) {
  const Survey s = found();
  EXPECT_EQ(s.name, "");
  EXPECT_EQ(s.hypervisor, "");
  EXPECT_EQ(s.governor, "");
  EXPECT_TRUE(s.features.empty());
  EXPECT_FALSE(s.family || s.l1d_bytes || s.online || s.allowed || s.smt || s.quota || s.turbo ||
               s.load || s.steal || s.memory_bytes || s.throttled);
  EXPECT_FALSE(s.quota_known);
}

TEST_F(SurveyOf, ReadsTheProcessor) {
  write("proc/cpuinfo",
        "processor\t: 0\nvendor_id\t: GenuineIntel\ncpu family\t: 6\nmodel\t\t: 106\n"
        "model name\t: A CPU @ 2.80GHz\nstepping\t: 6\nmicrocode\t: 0x1\n"
        "flags\t\t: fpu sse4_1 avx2 avx512f avx512_vnni hypervisor\n\nprocessor\t: 1\n"
        "vendor_id\t: other\n");
  write("sys/devices/system/cpu/cpu0/cache/index0/level", "1\n");
  write("sys/devices/system/cpu/cpu0/cache/index0/type", "Data\n");
  write("sys/devices/system/cpu/cpu0/cache/index0/size", "48K\n");
  write("sys/devices/system/cpu/cpu0/cache/index1/level", "1\n");
  write("sys/devices/system/cpu/cpu0/cache/index1/type", "Instruction\n");
  write("sys/devices/system/cpu/cpu0/cache/index1/size", "32K\n");
  write("sys/devices/system/cpu/cpu0/cache/index2/level", "3\n");
  write("sys/devices/system/cpu/cpu0/cache/index2/type", "Unified\n");
  write("sys/devices/system/cpu/cpu0/cache/index2/size", "48M\n");
  write("sys/devices/system/cpu/cpu0/cache/index2/shared_cpu_list", "0-3\n");
  const Survey s = found();
  EXPECT_EQ(s.vendor, "GenuineIntel");
  EXPECT_EQ(s.name, "A CPU @ 2.80GHz");
  EXPECT_EQ(s.family, 6);
  EXPECT_EQ(s.model, 106);
  EXPECT_EQ(s.features, (std::vector<std::string>{"sse4_1", "avx2", "avx512f", "avx512_vnni"}));
  EXPECT_EQ(s.hypervisor, "yes");
  EXPECT_EQ(s.l1d_bytes, 48 << 10);
  EXPECT_FALSE(s.l2_bytes);
  EXPECT_EQ(s.l3_bytes, 48 << 20);
  EXPECT_EQ(s.l3_sharers, 4);
  write("sys/class/dmi/id/sys_vendor", "QEMU\n");
  EXPECT_EQ(found().hypervisor, "QEMU");
}

TEST_F(SurveyOf, CountsWhatTheProcessMayUse) {
  write("sys/devices/system/cpu/online", "0-3\n");
  write("proc/self/status", "Name:\tx\nCpus_allowed_list:\t0-1,3,64-127\n");
  for (const char* cpu : {"0", "1", "3"}) {
    const std::string topology = "sys/devices/system/cpu/cpu" + std::string(cpu) + "/topology/";
    write(topology + "core_id", std::string(cpu) == "3" ? "1" : "0");
    write(topology + "physical_package_id", "0");
  }
  write("sys/devices/system/cpu/smt/active", "1\n");
  const Survey s = found();
  EXPECT_EQ(s.online, 4);
  EXPECT_EQ(s.allowed, 3);
  EXPECT_EQ(s.allowed_cores, 2);
  EXPECT_EQ(s.smt, true);
}

TEST_F(SurveyOf, TakesTheLowestQuotaOfBothKindsOfGroups) {
  write("proc/self/cgroup", "0::/a/b\n");
  write("sys/fs/cgroup/a/cpu.max", "150000 100000\n");
  write("sys/fs/cgroup/a/b/cpu.max", "max 100000\n");
  EXPECT_EQ(found().quota, 1.5);
  write("proc/self/cgroup", "4:cpu,cpuacct:/a\n3:cpuset:/z\n");
  write("sys/fs/cgroup/cpu/a/cpu.cfs_quota_us", "-1\n");
  write("sys/fs/cgroup/cpu/a/cpu.cfs_period_us", "100000\n");
  EXPECT_TRUE(found().quota_known);
  EXPECT_FALSE(found().quota);
  write("sys/fs/cgroup/cpu/a/cpu.cfs_quota_us", "50000\n");
  EXPECT_EQ(found().quota, 0.5);
}

TEST_F(SurveyOf, ReadsClockAndLoad) {
  write("sys/devices/system/cpu/cpu0/cpufreq/scaling_governor", "powersave\n");
  write("sys/devices/system/cpu/intel_pstate/no_turbo", "1\n");
  write("proc/loadavg", "1.50 1 1 1/2 3\n");
  write("proc/stat", "cpu  10 0 10 70 0 0 0 10 5 0\ncpu0 1\n");
  write("proc/meminfo", "MemTotal:  1024 kB\nMemFree: 1 kB\nMemAvailable:  512 kB\n");
  const Survey s = found();
  EXPECT_EQ(s.governor, "powersave");
  EXPECT_EQ(s.turbo, false);
  EXPECT_EQ(s.load, 1.5);
  EXPECT_DOUBLE_EQ(s.steal.value_or(0), 0.1);
  EXPECT_EQ(s.memory_bytes, 1 << 20);
  EXPECT_EQ(s.available_bytes, 1 << 19);
  write("proc/stat", "cpu  10 0\n");
  EXPECT_FALSE(found().steal);
}

}  // namespace
}  // namespace convopt
