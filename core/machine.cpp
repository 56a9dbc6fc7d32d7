#include "core/machine.h"

#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <set>
#include <string>
#include <utility>

namespace convopt {
namespace {

namespace fs = std::filesystem;

const fs::path kCpuFolder = "/sys/devices/system/cpu";

std::string first_line(const fs::path& path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  return line;
}

int first_number(const fs::path& path, int otherwise) {
  std::ifstream file(path);
  int value = 0;
  return file >> value ? value : otherwise;
}

void read_cpuinfo(Machine& machine) {
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line) && !line.empty();) {
    const auto colon = line.find(':');
    if (colon == std::string::npos) continue;
    const std::string key = line.substr(0, line.find_last_not_of(" \t", colon - 1) + 1);
    const std::string value = colon + 2 < line.size() ? line.substr(colon + 2) : "";
    const auto number = [&] { return static_cast<int>(std::strtol(value.c_str(), nullptr, 0)); };
    if (key == "vendor_id" || key == "CPU implementer") machine.vendor = value;
    if (key == "model name") machine.name = value;
    if (key == "cpu family" || key == "CPU architecture") machine.family = number();
    if (key == "model" || key == "CPU part") machine.model = number();
    if (key == "stepping" || key == "CPU revision") machine.stepping = number();
  }
  const auto last = machine.name.find_last_not_of(' ');
  machine.name.resize(last == std::string::npos ? 0 : last + 1);
}

int count_physical_cores(int logical) {
  std::set<std::pair<int, int>> cores;
  for (int cpu = 0; cpu < logical; ++cpu) {
    const fs::path topology = kCpuFolder / ("cpu" + std::to_string(cpu)) / "topology";
    const int core = first_number(topology / "core_id", -1);
    if (core >= 0) cores.emplace(first_number(topology / "physical_package_id", 0), core);
  }
  return cores.empty() ? logical : static_cast<int>(cores.size());
}

}  // namespace

Machine machine_facts() {
  Machine machine;
  read_cpuinfo(machine);
  const Caches caches = described_caches();
  machine.l1d_bytes = caches.l1d;
  machine.l2_bytes = caches.l2;
  machine.l3_bytes = caches.l3;
  machine.logical_cores = static_cast<int>(std::max(1L, sysconf(_SC_NPROCESSORS_ONLN)));
  machine.physical_cores = count_physical_cores(machine.logical_cores);
  machine.governor = first_line(kCpuFolder / "cpu0/cpufreq/scaling_governor");
  utsname system{};
  if (uname(&system) == 0) machine.kernel = std::string(system.sysname) + " " + system.release;
  return machine;
}

}  // namespace convopt
