#include "core/machine.h"

#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <set>
#include <string>
#include <string_view>
#include <utility>

#include "core/sysfs.h"

namespace convopt {
namespace {

/// Keys of x86 and of Arm.
void read_processor(Machine& machine) {
  const auto fields = sysfs::first_processor();
  const auto text = [&](std::string_view key, std::string_view arm_key) {
    auto field = fields.find(key);
    if (field == fields.end()) field = fields.find(arm_key);
    return field == fields.end() ? std::string() : field->second;
  };
  const auto number = [&](std::string_view key, std::string_view arm_key) {
    return static_cast<int>(std::strtol(text(key, arm_key).c_str(), nullptr, 0));
  };
  machine.vendor = text("vendor_id", "CPU implementer");
  machine.name = text("model name", "");
  machine.family = number("cpu family", "CPU architecture");
  machine.model = number("model", "CPU part");
  machine.stepping = number("stepping", "CPU revision");
}

int count_physical_cores(int logical) {
  std::set<std::pair<int, int>> cores;
  for (int cpu = 0; cpu < logical; ++cpu) {
    if (const auto core = sysfs::core_of(cpu)) cores.insert(*core);
  }
  return cores.empty() ? logical : static_cast<int>(cores.size());
}

}  // namespace

Machine machine_facts() {
  Machine machine;
  read_processor(machine);
  const Caches caches = described_caches();
  machine.l1d_bytes = caches.l1d;
  machine.l2_bytes = caches.l2;
  machine.l3_bytes = caches.l3;
  machine.logical_cores = static_cast<int>(std::max(1L, sysconf(_SC_NPROCESSORS_ONLN)));
  machine.physical_cores = count_physical_cores(machine.logical_cores);
  machine.governor = sysfs::line_in(sysfs::processors_folder() / "cpu0/cpufreq/scaling_governor");
  utsname system{};
  if (uname(&system) == 0) machine.kernel = std::string(system.sysname) + " " + system.release;
  return machine;
}

}  // namespace convopt
