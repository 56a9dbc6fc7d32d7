#include "profiler/survey.h"

#include <algorithm>
#include <array>
#include <fstream>
#include <set>
#include <sstream>
#include <string_view>
#include <utility>

#include "core/sysfs.h"
#include "core/text.h"

namespace convopt {
namespace {

namespace fs = std::filesystem;

using sysfs::line_in;
using sysfs::value_in;

void read_processor(const fs::path& root, Survey& survey) {
  // What convopt's own kernels and oneDNN ask for.
  constexpr std::array<std::string_view, 12> kFeatures = {
      "sse4_1",      "avx",         "avx2",     "fma",      "avx512f",  "avx512bw",
      "avx512_vnni", "avx512_bf16", "avx_vnni", "amx_tile", "amx_bf16", "amx_int8"};
  const auto fields = sysfs::first_processor(root);
  const auto text = [&](std::string_view key) {
    const auto field = fields.find(key);
    return field == fields.end() ? std::string() : field->second;
  };
  survey.vendor = text("vendor_id");
  survey.name = text("model name");
  survey.microcode = text("microcode");
  survey.family = parse_number<int>(text("cpu family"));
  survey.model = parse_number<int>(text("model"));
  survey.stepping = parse_number<int>(text("stepping"));
  const std::string flags = text("flags");
  if (flags.empty()) return;
  std::istringstream words(flags);
  std::set<std::string> known;
  for (std::string word; words >> word;) known.insert(std::move(word));
  for (const std::string_view feature : kFeatures) {
    if (known.contains(std::string(feature))) survey.features.emplace_back(feature);
  }
  survey.hypervisor = known.contains("hypervisor") ? "yes" : "none";
}

void read_processors(const fs::path& root, Survey& survey) {
  const fs::path cpus = sysfs::processors_folder(root);
  const std::vector<int> online = sysfs::parse_cpu_list(line_in(cpus / "online"));
  if (!online.empty()) survey.online = static_cast<int>(online.size());
  std::vector<int> allowed;
  std::ifstream status(root / "proc/self/status");
  for (std::string line; std::getline(status, line);) {
    const auto [key, list] = sysfs::split_field(line);
    if (key == "Cpus_allowed_list") allowed = sysfs::parse_cpu_list(list);
  }
  // The mask may name processors that do not exist.
  if (!online.empty()) {
    std::erase_if(allowed, [&](int cpu) { return std::ranges::find(online, cpu) == online.end(); });
  }
  if (!allowed.empty()) survey.allowed = static_cast<int>(allowed.size());
  std::set<std::pair<int, int>> cores;
  for (const int cpu : allowed) {
    if (const auto core = sysfs::core_of(cpu, root)) cores.insert(*core);
  }
  if (!cores.empty()) survey.allowed_cores = static_cast<int>(cores.size());
  if (const auto active = value_in<int>(cpus / "smt/active")) survey.smt = *active == 1;
}

void read_clock(const fs::path& cpus, Survey& survey) {
  survey.governor = line_in(cpus / "cpu0/cpufreq/scaling_governor");
  survey.driver = line_in(cpus / "cpu0/cpufreq/scaling_driver");
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
    const auto [key, value] = sysfs::split_field(line);
    std::istringstream number(value);
    std::int64_t kibibytes = 0;
    if (!(number >> kibibytes)) continue;
    if (key == "MemTotal") survey.memory_bytes = kibibytes << 10U;
    if (key == "MemAvailable") survey.available_bytes = kibibytes << 10U;
  }
}

}  // namespace

Survey survey(const fs::path& root) {
  Survey result;
  const fs::path cpus = sysfs::processors_folder(root);
  read_processor(root, result);
  result.kernel = line_in(root / "proc/sys/kernel/osrelease");
  const sysfs::DataCaches caches = sysfs::data_caches(root);
  result.l1d_bytes = caches.l1d;
  result.l2_bytes = caches.l2;
  result.l3_bytes = caches.l3;
  if (!caches.l3_sharers.empty()) result.l3_sharers = static_cast<int>(caches.l3_sharers.size());
  read_processors(root, result);
  const sysfs::CpuQuota quota = sysfs::cpu_quota(root);
  result.quota_known = quota.is_known;
  result.quota = quota.processors;
  read_clock(cpus, result);
  read_load(root / "proc", result);
  // The machine's own name says which hypervisor it is.
  if (const std::string type = line_in(root / "sys/hypervisor/type"); !type.empty()) {
    result.hypervisor = type;
  } else if (result.hypervisor == "yes") {
    const std::string product = line_in(root / "sys/class/dmi/id/sys_vendor");
    if (!product.empty()) result.hypervisor = product;
  }
  return result;
}

}  // namespace convopt
