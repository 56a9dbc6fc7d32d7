// Facts about processors, caches and limits that Linux states in /proc and /sys. `root` is the
// folder that holds both; tests have one of their own. What a container or virtual machine hides is
// empty.
#pragma once

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace convopt::sysfs {

/// The first line without white space at its end; empty if the file cannot be read.
std::string line_in(const std::filesystem::path& path);

/// The first word of a file as a value.
template <class T>
std::optional<T> value_in(const std::filesystem::path& path) {
  std::ifstream file(path);
  T value;
  if (file >> value) return value;
  return std::nullopt;
}

/// `key : value` of a line, both without white space around them; empty without a colon.
std::pair<std::string, std::string> split_field(std::string_view line);

/// What /proc/cpuinfo says of the first processor, by key.
std::map<std::string, std::string, std::less<>> first_processor(
    const std::filesystem::path& root = "/");

/// Where the descriptions of processors are.
std::filesystem::path processors_folder(const std::filesystem::path& root = "/");

/// Caches for data that the first processor uses, in bytes.
struct DataCaches {
  std::optional<std::int64_t> l1d, l2, l3;
  std::vector<int> l3_sharers;  ///< hardware threads that share that L3
};
DataCaches data_caches(const std::filesystem::path& root = "/");

/// Package and core of a hardware thread.
std::optional<std::pair<int, int>> core_of(int processor, const std::filesystem::path& root = "/");

/// Limit of processor time by cgroups, versions 1 and 2: the lowest from the process's own group up
/// to the root. Inside a container the path of the group may be the host's, so the container's own
/// root counts, too.
struct CpuQuota {
  bool is_known = false;             ///< the process's groups could be read
  std::optional<double> processors;  ///< 1.5: the time of one and a half; nothing: no limit
};
CpuQuota cpu_quota(const std::filesystem::path& root = "/");

/// Numbers of a list as Linux writes it, "0-3,8": 0, 1, 2, 3, 8. Empty if it is malformed.
std::vector<int> parse_cpu_list(std::string_view text);

}  // namespace convopt::sysfs
