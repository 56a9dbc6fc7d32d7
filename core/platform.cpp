#include "convopt/platform.hpp"

#include <sched.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <cmath>
#include <cstdlib>
#include <fstream>
#include <set>
#include <sstream>
#include <utility>

#include "core/names.h"

namespace convopt {
namespace {

constexpr std::array<std::string_view, 5> kIsaNames = {"scalar", "sse4", "avx2", "avx512", "neon"};

template <class T>
std::optional<T> read_value(const std::string& path) {
  std::ifstream file(path);
  T value;
  if (file >> value) return value;
  return std::nullopt;
}

/// CPU quota of the cgroup in processors, the lowest from the process's own group up to the root.
double cgroup_quota() {
  double quota = 1e9;
  std::ifstream groups("/proc/self/cgroup");
  for (std::string line; std::getline(groups, line);) {
    const auto first = line.find(':');
    const auto second = line.find(':', first + 1);
    if (first == std::string::npos || second == std::string::npos) continue;
    const std::string controllers = line.substr(first + 1, second - first - 1);
    std::string path = line.substr(second + 1);
    const bool unified = controllers.empty();
    if (!unified && controllers.find("cpu") == std::string::npos) continue;
    for (;;) {
      if (unified) {
        std::ifstream file("/sys/fs/cgroup" + path + "/cpu.max");
        std::string limit;
        double period = 0;
        if (file >> limit >> period && limit != "max" && period > 0) {
          quota = std::min(quota, std::strtod(limit.c_str(), nullptr) / period);
        }
      } else {
        const std::string folder = "/sys/fs/cgroup/cpu" + path;
        const auto limit = read_value<double>(folder + "/cpu.cfs_quota_us");
        const auto period = read_value<double>(folder + "/cpu.cfs_period_us");
        if (limit && period && *limit > 0 && *period > 0) quota = std::min(quota, *limit / *period);
      }
      const auto slash = path.rfind('/');
      if (path.empty() || slash == std::string::npos) break;
      path.resize(slash);
    }
  }
  return quota;
}

/// "48K", "2048K" or "1M"; 0 for anything else.
std::int64_t parse_bytes(const std::string& text) {
  char* unit = nullptr;
  const long long count = std::strtoll(text.c_str(), &unit, 10);
  const int shift = *unit == 'K' ? 10 : *unit == 'M' ? 20 : *unit == 'G' ? 30 : 0;
  return count > 0 ? std::int64_t{count} << shift : 0;
}

}  // namespace

Caches described_caches() {
  Caches caches{0, 0, 0};
  for (int index = 0;; ++index) {
    const std::string folder =
        "/sys/devices/system/cpu/cpu0/cache/index" + std::to_string(index) + "/";
    const auto level = read_value<int>(folder + "level");
    if (!level) return caches;
    if (read_value<std::string>(folder + "type") == "Instruction") continue;
    const std::int64_t bytes = parse_bytes(read_value<std::string>(folder + "size").value_or(""));
    if (*level == 1) caches.l1d = bytes;
    if (*level == 2) caches.l2 = bytes;
    if (*level == 3) caches.l3 = bytes;
  }
}

const Caches& machine_caches() {
  static const Caches caches = [] {
    const Caches defaults, described = described_caches();
    const auto known = [](std::int64_t bytes, std::int64_t otherwise) {
      return bytes > 0 ? bytes : otherwise;
    };
    return Caches{known(described.l1d, defaults.l1d), known(described.l2, defaults.l2),
                  known(described.l3, defaults.l3)};
  }();
  return caches;
}

std::string_view to_string(Isa isa) { return name_in(kIsaNames, isa); }

std::optional<Isa> parse_isa(std::string_view text) {
  const auto known = std::ranges::find(kIsaNames, text);
  if (known == kIsaNames.end()) return std::nullopt;
  return static_cast<Isa>(known - kIsaNames.begin());
}

int vector_floats(Isa isa) {
  switch (isa) {
    case Isa::avx512:
      return 16;
    case Isa::avx2:
      return 8;
    case Isa::sse4:
    case Isa::neon:
      return 4;
    case Isa::scalar:
      break;
  }
  return 1;
}

std::vector<Isa> supported_isas() {
  std::vector<Isa> isas;
#if defined(__x86_64__)
  const bool sse4 = __builtin_cpu_supports("sse4.1") && __builtin_cpu_supports("sse4.2");
  const bool avx2 = sse4 && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
                    __builtin_cpu_supports("bmi") && __builtin_cpu_supports("bmi2");
  const bool avx512 = avx2 && __builtin_cpu_supports("avx512f") &&
                      __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq") &&
                      __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512cd");
  if (avx512) isas.push_back(Isa::avx512);
  if (avx2) isas.push_back(Isa::avx2);
  if (sse4) isas.push_back(Isa::sse4);
#elif defined(__aarch64__)
  isas.push_back(Isa::neon);
#endif
  return isas;
}

Isa native_isa() {
  const auto isas = supported_isas();
  return isas.empty() ? Isa::scalar : isas.front();
}

Isa default_isa() {
  if (const char* wanted = std::getenv("CONVOPT_ISA"); wanted != nullptr) {
    const auto isa = parse_isa(wanted);
    const auto supported = supported_isas();
    if (isa && std::ranges::find(supported, *isa) != supported.end()) return *isa;
  }
  return native_isa();
}

int default_threads() {
  cpu_set_t allowed;
  CPU_ZERO(&allowed);
  if (sched_getaffinity(0, sizeof allowed, &allowed) != 0) return 1;
  std::set<std::pair<int, int>> cores;
  for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
    if (!CPU_ISSET(cpu, &allowed)) continue;
    const std::string topology = "/sys/devices/system/cpu/cpu" + std::to_string(cpu) + "/topology/";
    const auto package = read_value<int>(topology + "physical_package_id");
    const auto core = read_value<int>(topology + "core_id");
    cores.emplace(package.value_or(0), core.value_or(cpu));
  }
  const double quota = std::floor(std::max(1.0, cgroup_quota()));
  return static_cast<int>(std::clamp(static_cast<double>(cores.size()), 1.0, quota));
}

std::string Platform::machine_id() const {
  const auto contains = [&](std::string_view part) {
    return machine.vendor.find(part) != std::string::npos;
  };
  std::string vendor = contains("AMD") ? "amd" : contains("Intel") ? "intel" : machine.vendor;
  std::string words;
  // The marketing name without trademarks and suffixes.
  std::istringstream name(machine.name);
  for (std::string word; name >> word;) {
    std::string clean;
    for (const char c : word) {
      if (c == '(' || c == '@') break;
      if (std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '-') {
        clean += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
      }
    }
    if (clean.empty() || clean == vendor || clean == "processor" || clean == "cpu" ||
        clean == "core" || clean.ends_with("ghz")) {
      continue;
    }
    words += "-" + clean;
  }
  for (char& c : vendor) {
    c = std::isalnum(static_cast<unsigned char>(c)) != 0
            ? static_cast<char>(std::tolower(static_cast<unsigned char>(c)))
            : '-';
  }
  if (vendor.empty()) vendor = "unknown";
  return vendor + "-" + std::to_string(machine.family) + "-" + std::to_string(machine.model) +
         words;
}

std::string Platform::id() const {
  return machine_id() + "/" + std::string(to_string(isa)) + "/t" + std::to_string(threads);
}

}  // namespace convopt
