#include "profiler/survey.h"

#include <algorithm>
#include <array>
#include <fstream>
#include <set>
#include <sstream>
#include <string_view>
#include <utility>

#include "core/text.h"

namespace convopt {
namespace {

namespace fs = std::filesystem;

template <class T>
std::optional<T> value_in(const fs::path& path) {
  std::ifstream file(path);
  T value;
  if (file >> value) return value;
  return std::nullopt;
}

std::string line_of(const fs::path& path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  const auto last = line.find_last_not_of(" \t\r");
  return line.substr(0, last == std::string::npos ? 0 : last + 1);
}

std::string without_blanks(std::string_view text) {
  const auto first = text.find_first_not_of(" \t");
  if (first == std::string_view::npos) return "";
  return std::string(text.substr(first, text.find_last_not_of(" \t") - first + 1));
}

/// The value of `key : value`.
std::string value_of(const std::string& line, std::string_view key) {
  const auto colon = line.find(':');
  if (colon == std::string::npos || without_blanks(line.substr(0, colon)) != key) return "";
  return without_blanks(std::string_view(line).substr(colon + 1));
}

void read_processor(const fs::path& path, Survey& survey) {
  // What own kernels and oneDNN ask for.
  constexpr std::array<std::string_view, 12> kFeatures = {
      "sse4_1",      "avx",         "avx2",     "fma",      "avx512f",  "avx512bw",
      "avx512_vnni", "avx512_bf16", "avx_vnni", "amx_tile", "amx_bf16", "amx_int8"};
  std::ifstream file(path);
  bool has_flags = false, is_guest = false;
  for (std::string line; std::getline(file, line) && !line.empty();) {
    const auto take = [&](std::string_view key, std::string& target) {
      if (std::string value = value_of(line, key); !value.empty()) target = std::move(value);
    };
    const auto take_number = [&](std::string_view key, std::optional<int>& target) {
      if (const std::string value = value_of(line, key); !value.empty())
        target = parse_number<int>(value);
    };
    take("vendor_id", survey.vendor);
    take("model name", survey.name);
    take("microcode", survey.microcode);
    take_number("cpu family", survey.family);
    take_number("model", survey.model);
    take_number("stepping", survey.stepping);
    const std::string flags = value_of(line, "flags");
    if (flags.empty()) continue;
    has_flags = true;
    std::istringstream words(flags);
    std::set<std::string> known;
    for (std::string word; words >> word;) known.insert(std::move(word));
    for (const std::string_view feature : kFeatures) {
      if (known.contains(std::string(feature))) survey.features.emplace_back(feature);
    }
    is_guest = known.contains("hypervisor");
  }
  if (has_flags) survey.hypervisor = is_guest ? "yes" : "none";
}

void read_caches(const fs::path& folder, Survey& survey) {
  for (int index = 0;; ++index) {
    const fs::path cache = folder / ("index" + std::to_string(index));
    const auto level = value_in<int>(cache / "level");
    if (!level) return;
    if (line_of(cache / "type") == "Instruction") continue;
    const auto bytes = parse_bytes(line_of(cache / "size"));
    if (!bytes) continue;
    const auto size = static_cast<std::int64_t>(*bytes);
    if (*level == 1) survey.l1d_bytes = size;
    if (*level == 2) survey.l2_bytes = size;
    if (*level != 3) continue;
    survey.l3_bytes = size;
    const auto sharers = parse_cpu_list(line_of(cache / "shared_cpu_list"));
    if (!sharers.empty()) survey.l3_sharers = static_cast<int>(sharers.size());
  }
}

void read_processors(const fs::path& root, Survey& survey) {
  const fs::path cpus = root / "sys/devices/system/cpu";
  const std::vector<int> online = parse_cpu_list(line_of(cpus / "online"));
  if (!online.empty()) survey.online = static_cast<int>(online.size());
  std::vector<int> allowed;
  std::ifstream status(root / "proc/self/status");
  for (std::string line; std::getline(status, line);) {
    const std::string list = value_of(line, "Cpus_allowed_list");
    if (!list.empty()) allowed = parse_cpu_list(list);
  }
  // The mask may name processors that there are not.
  if (!online.empty()) {
    std::erase_if(allowed, [&](int cpu) { return std::ranges::find(online, cpu) == online.end(); });
  }
  if (!allowed.empty()) survey.allowed = static_cast<int>(allowed.size());
  std::set<std::pair<int, int>> cores;
  for (const int cpu : allowed) {
    const fs::path topology = cpus / ("cpu" + std::to_string(cpu)) / "topology";
    const auto core = value_in<int>(topology / "core_id");
    if (core) cores.emplace(value_in<int>(topology / "physical_package_id").value_or(0), *core);
  }
  if (!cores.empty()) survey.allowed_cores = static_cast<int>(cores.size());
  if (const auto active = value_in<int>(cpus / "smt/active")) survey.smt = *active == 1;
}

/// The lowest limit from the process's own group up to the root. Inside a container the path may be
/// the host's, so its own root counts, too.
void read_quota(const fs::path& root, Survey& survey) {
  std::ifstream groups(root / "proc/self/cgroup");
  const auto lower = [&](double limit) {
    survey.quota = std::min(survey.quota.value_or(limit), limit);
  };
  for (std::string line; std::getline(groups, line);) {
    survey.quota_known = true;
    const auto parts = split(line, ':');
    if (parts.size() < 3) continue;
    const auto controllers = split(parts[1], ',');
    const bool unified = parts[1].empty();
    if (!unified && std::ranges::find(controllers, "cpu") == controllers.end()) continue;
    std::string path(line.substr(line.find(':', line.find(':') + 1) + 1));
    for (;;) {
      if (unified) {
        std::ifstream file(root / ("sys/fs/cgroup" + path) / "cpu.max");
        std::string limit;
        double period = 0;
        if (file >> limit >> period && period > 0) {
          if (const auto time = parse_number<double>(limit)) lower(*time / period);
        }
      } else {
        const fs::path folder = root / ("sys/fs/cgroup/cpu" + path);
        const auto time = value_in<double>(folder / "cpu.cfs_quota_us");
        const auto period = value_in<double>(folder / "cpu.cfs_period_us");
        if (time && period && *time > 0 && *period > 0) lower(*time / *period);
      }
      const auto slash = path.rfind('/');
      if (path.empty() || slash == std::string::npos) break;
      path.resize(slash);
    }
  }
}

void read_clock(const fs::path& cpus, Survey& survey) {
  survey.governor = line_of(cpus / "cpu0/cpufreq/scaling_governor");
  survey.driver = line_of(cpus / "cpu0/cpufreq/scaling_driver");
  if (const auto off = value_in<int>(cpus / "intel_pstate/no_turbo")) survey.turbo = *off == 0;
  if (const auto boost = value_in<int>(cpus / "cpufreq/boost")) survey.turbo = *boost == 1;
  survey.throttled = value_in<int>(cpus / "cpu0/thermal_throttle/core_throttle_count");
}

void read_load(const fs::path& proc, Survey& survey) {
  survey.load = value_in<double>(proc / "loadavg");
  std::ifstream stat(proc / "stat");
  std::string word;
  // user nice system idle iowait irq softirq steal; guests are part of user.
  constexpr std::size_t kSteal = 7;
  std::vector<double> ticks;
  if (stat >> word && word == "cpu") {
    for (double value = 0; ticks.size() <= kSteal && stat >> value;) ticks.push_back(value);
  }
  double all = 0;
  for (const double value : ticks) all += value;
  if (ticks.size() > kSteal && all > 0) survey.steal = ticks[kSteal] / all;
  std::ifstream memory(proc / "meminfo");
  for (std::string line; std::getline(memory, line);) {
    const auto take = [&](std::string_view key, std::optional<std::int64_t>& bytes) {
      std::istringstream value(value_of(line, key));
      std::int64_t kibibytes = 0;
      if (value >> kibibytes) bytes = kibibytes << 10U;
    };
    take("MemTotal", survey.memory_bytes);
    take("MemAvailable", survey.available_bytes);
  }
}

}  // namespace

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

Survey survey(const fs::path& root) {
  Survey result;
  const fs::path cpus = root / "sys/devices/system/cpu";
  read_processor(root / "proc/cpuinfo", result);
  result.kernel = line_of(root / "proc/sys/kernel/osrelease");
  read_caches(cpus / "cpu0/cache", result);
  read_processors(root, result);
  read_quota(root, result);
  read_clock(cpus, result);
  read_load(root / "proc", result);
  // The machine's own name says which hypervisor it is.
  if (const std::string type = line_of(root / "sys/hypervisor/type"); !type.empty()) {
    result.hypervisor = type;
  } else if (result.hypervisor == "yes") {
    const std::string product = line_of(root / "sys/class/dmi/id/sys_vendor");
    if (!product.empty()) result.hypervisor = product;
  }
  return result;
}

}  // namespace convopt
