#include "core/sysfs.h"

#include <algorithm>

#include "core/text.h"

namespace convopt::sysfs {
namespace {

namespace fs = std::filesystem;

std::string trimmed(std::string_view text) {
  const auto first = text.find_first_not_of(" \t\r");
  if (first == std::string_view::npos) return "";
  return std::string(text.substr(first, text.find_last_not_of(" \t\r") - first + 1));
}

/// Version 2: "150000 100000", or "max 100000" without a limit.
std::optional<double> unified_quota(const fs::path& group) {
  std::ifstream file(group / "cpu.max");
  std::string limit;
  double period = 0;
  if (!(file >> limit >> period) || !(period > 0)) return std::nullopt;
  const auto time = parse_number<double>(limit);
  return time ? std::optional(*time / period) : std::nullopt;
}

/// Version 1, where -1 means no limit.
std::optional<double> cfs_quota(const fs::path& group) {
  const auto time = value_in<double>(group / "cpu.cfs_quota_us");
  const auto period = value_in<double>(group / "cpu.cfs_period_us");
  if (!time || !period || !(*time > 0) || !(*period > 0)) return std::nullopt;
  return *time / *period;
}

}  // namespace

std::string line_in(const fs::path& path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  return line.substr(0, line.find_last_not_of(" \t\r") + 1);
}

std::pair<std::string, std::string> split_field(std::string_view line) {
  const auto colon = line.find(':');
  if (colon == std::string_view::npos) return {};
  return {trimmed(line.substr(0, colon)), trimmed(line.substr(colon + 1))};
}

std::map<std::string, std::string, std::less<>> first_processor(const fs::path& root) {
  std::map<std::string, std::string, std::less<>> fields;
  std::ifstream file(root / "proc/cpuinfo");
  for (std::string line; std::getline(file, line) && !line.empty();) {
    auto [key, value] = split_field(line);
    if (!key.empty()) fields[std::move(key)] = std::move(value);
  }
  return fields;
}

fs::path processors_folder(const fs::path& root) { return root / "sys/devices/system/cpu"; }

DataCaches data_caches(const fs::path& root) {
  DataCaches caches;
  for (int index = 0;; ++index) {
    const fs::path cache =
        processors_folder(root) / "cpu0/cache" / ("index" + std::to_string(index));
    const auto level = value_in<int>(cache / "level");
    if (!level) return caches;
    if (line_in(cache / "type") == "Instruction") continue;
    const auto size = parse_bytes(line_in(cache / "size"));
    if (!size) continue;
    const auto bytes = static_cast<std::int64_t>(*size);
    if (*level == 1) caches.l1d = bytes;
    if (*level == 2) caches.l2 = bytes;
    if (*level != 3) continue;
    caches.l3 = bytes;
    caches.l3_sharers = parse_cpu_list(line_in(cache / "shared_cpu_list"));
  }
}

std::optional<std::pair<int, int>> core_of(int processor, const fs::path& root) {
  const fs::path topology =
      processors_folder(root) / ("cpu" + std::to_string(processor)) / "topology";
  const auto core = value_in<int>(topology / "core_id");
  if (!core || *core < 0) return std::nullopt;
  return std::pair(value_in<int>(topology / "physical_package_id").value_or(0), *core);
}

CpuQuota cpu_quota(const fs::path& root) {
  CpuQuota quota;
  std::ifstream groups(root / "proc/self/cgroup");
  // "0::/a/b" of version 2, "4:cpu,cpuacct:/a" of version 1.
  for (std::string line; std::getline(groups, line);) {
    quota.is_known = true;
    const auto parts = split(line, ':');
    if (parts.size() < 3) continue;
    const bool is_unified = parts[1].empty();
    const auto controllers = split(parts[1], ',');
    if (!is_unified && std::ranges::find(controllers, "cpu") == controllers.end()) continue;
    const std::string mount = is_unified ? "sys/fs/cgroup" : "sys/fs/cgroup/cpu";
    std::string group = line.substr(parts[0].size() + parts[1].size() + 2);
    for (;;) {
      const fs::path folder = root / (mount + group);
      if (const auto limit = is_unified ? unified_quota(folder) : cfs_quota(folder))
        quota.processors = std::min(quota.processors.value_or(*limit), *limit);
      const auto slash = group.rfind('/');
      if (slash == std::string::npos) break;
      group.resize(slash);
    }
  }
  return quota;
}

std::vector<int> parse_cpu_list(std::string_view text) {
  std::vector<int> cpus;
  for (const std::string_view part : split(text, ',')) {
    const auto ends = split(part, '-');
    const auto first = parse_number<int>(ends.front()), last = parse_number<int>(ends.back());
    constexpr int kMost = 1 << 16;
    if (ends.size() > 2 || !first || !last || *first < 0 || *last < *first || *last > kMost)
      return {};
    for (int cpu = *first; cpu <= *last; ++cpu) cpus.push_back(cpu);
  }
  return cpus;
}

}  // namespace convopt::sysfs
