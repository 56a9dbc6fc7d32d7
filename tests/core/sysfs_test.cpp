// Facts from folders that look like /proc and /sys.
#include "core/sysfs.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>

namespace convopt::sysfs {
namespace {

namespace fs = std::filesystem;

class Sysfs : public testing::Test {
 protected:
  Sysfs() : root_(fs::temp_directory_path() / ("convopt-sysfs-" + std::to_string(getpid()))) {
    fs::create_directories(root_);
  }
  ~Sysfs() override { fs::remove_all(root_); }

  void write(const std::string& path, const std::string& content) const {
    fs::create_directories((root_ / path).parent_path());
    std::ofstream(root_ / path) << content;
  }
  const fs::path& root() const { return root_; }

 private:
  fs::path root_;
};

TEST_F(Sysfs, NothingIsThere) {
  EXPECT_EQ(line_in(root() / "x"), "");
  EXPECT_FALSE(value_in<int>(root() / "x"));
  EXPECT_TRUE(first_processor(root()).empty());
  EXPECT_FALSE(data_caches(root()).l1d);
  EXPECT_FALSE(core_of(0, root()));
  EXPECT_FALSE(cpu_quota(root()).is_known);
  EXPECT_FALSE(cpu_quota(root()).processors);
}

TEST_F(Sysfs, LinesEndWithoutWhiteSpace) {
  write("x", "two words \t\nmore\n");
  EXPECT_EQ(line_in(root() / "x"), "two words");
  write("x", " \n");
  EXPECT_EQ(line_in(root() / "x"), "");
  EXPECT_EQ(split_field("model name\t:  A: B "),
            std::pair(std::string("model name"), std::string("A: B")));
  EXPECT_EQ(split_field("no colon").first, "");
}

TEST_F(Sysfs, TheFirstProcessorEndsAtAnEmptyLine) {
  write("proc/cpuinfo", "vendor_id\t: A\nflags\t\t:\n\nvendor_id\t: B\nmodel\t: 1\n");
  const auto fields = first_processor(root());
  EXPECT_EQ(fields.at("vendor_id"), "A");
  EXPECT_EQ(fields.at("flags"), "");
  EXPECT_FALSE(fields.contains("model"));
}

TEST_F(Sysfs, CachesWithoutASizeAreUnknown) {
  const std::string cache = "sys/devices/system/cpu/cpu0/cache/";
  write(cache + "index0/level", "2\n");
  write(cache + "index0/type", "Unified\n");
  write(cache + "index1/level", "3\n");
  write(cache + "index1/size", "1M\n");
  write(cache + "index3/level", "1\n");  // behind a gap
  write(cache + "index3/size", "32K\n");
  const DataCaches caches = data_caches(root());
  EXPECT_FALSE(caches.l1d || caches.l2);
  EXPECT_EQ(caches.l3, 1 << 20);
  EXPECT_TRUE(caches.l3_sharers.empty());
}

TEST_F(Sysfs, CoresHaveAPackage) {
  write("sys/devices/system/cpu/cpu5/topology/core_id", "3\n");
  EXPECT_EQ(core_of(5, root()), std::pair(0, 3));
  write("sys/devices/system/cpu/cpu5/topology/physical_package_id", "1\n");
  EXPECT_EQ(core_of(5, root()), std::pair(1, 3));
  write("sys/devices/system/cpu/cpu5/topology/core_id", "-1\n");
  EXPECT_FALSE(core_of(5, root()));
}

// The group of the controller `cpuset` has another place in the tree, and no quota.
TEST_F(Sysfs, OnlyTheControllerForTimeLimitsTime) {
  write("proc/self/cgroup", "3:cpuset:/z\n");
  write("sys/fs/cgroup/cpu/z/cpu.cfs_quota_us", "50000\n");
  write("sys/fs/cgroup/cpu/z/cpu.cfs_period_us", "100000\n");
  EXPECT_TRUE(cpu_quota(root()).is_known);
  EXPECT_FALSE(cpu_quota(root()).processors);
  write("proc/self/cgroup", "3:cpuacct,cpu:/z\n");
  EXPECT_EQ(cpu_quota(root()).processors, 0.5);
}

TEST(CpuList, IsReadOrIsNone) {
  EXPECT_EQ(parse_cpu_list("0-2,5"), (std::vector<int>{0, 1, 2, 5}));
  EXPECT_EQ(parse_cpu_list("7"), std::vector<int>{7});
  for (const char* text : {"", "x", "3-1", "1-", "1-2-3", "-1", "0-99999999"})
    EXPECT_TRUE(parse_cpu_list(text).empty()) << text;
}

}  // namespace
}  // namespace convopt::sysfs
