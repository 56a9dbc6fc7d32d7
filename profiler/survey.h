// Facts of the machine that may disturb measurements or limit a process, read from /proc and /sys
// without measuring. A container or virtual machine hides much of it; what cannot be read is
// unknown, never guessed.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace convopt {

struct Survey {
  std::string vendor, name, microcode, kernel;  ///< empty: unknown
  std::optional<int> family, model, stepping;
  /// Instruction sets that matter to primitives, as /proc/cpuinfo calls them: `avx2`, `avx512f`,
  /// ...
  std::vector<std::string> features;
  std::optional<std::int64_t> l1d_bytes, l2_bytes, l3_bytes;
  std::optional<int> l3_sharers;  ///< hardware threads that share the first one's L3

  std::optional<int> online, allowed;  ///< hardware threads: of the machine, of this process
  std::optional<int> allowed_cores;    ///< physical cores of those allowed
  std::optional<bool> smt;             ///< several hardware threads per core are in use
  std::optional<double> quota;         ///< processors' worth of time by the cgroups; none: no limit
  bool quota_known = false;

  std::string governor, driver;  ///< of the clock
  std::optional<bool> turbo;
  std::string hypervisor;       ///< "none", its name, or "yes"; empty: unknown
  std::optional<double> load;   ///< mean number of running processes, of the last minute
  std::optional<double> steal;  ///< share of the time that the hypervisor kept, since the start
  std::optional<std::int64_t> memory_bytes, available_bytes;
  std::optional<int> throttled;  ///< times that the first core was too hot, since the start
};

/// `root` stands for the folder that holds `proc` and `sys`.
Survey survey(const std::filesystem::path& root = "/");

}  // namespace convopt
