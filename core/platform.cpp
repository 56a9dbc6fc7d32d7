#include "convopt/platform.hpp"

#include <sched.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <cstdlib>
#include <set>
#include <sstream>
#include <utility>

#include "core/names.h"
#include "core/sysfs.h"

namespace convopt {
namespace {

constexpr std::array<std::string_view, 5> kIsaNames = {"scalar", "sse4", "avx2", "avx512", "neon"};

}  // namespace

Caches described_caches() {
  const sysfs::DataCaches caches = sysfs::data_caches();
  return {caches.l1d.value_or(0), caches.l2.value_or(0), caches.l3.value_or(0)};
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
    // A hardware thread of an unknown core counts as a core.
    cores.insert(sysfs::core_of(cpu).value_or(std::pair(0, cpu)));
  }
  const auto count = static_cast<double>(std::max<std::size_t>(1, cores.size()));
  const double quota = sysfs::cpu_quota().processors.value_or(count);
  return static_cast<int>(std::clamp(quota, 1.0, count));
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
