#include "src/cli/memory.h"

#include <sys/resource.h>

#include <algorithm>
#include <cstdint>
#include <fstream>

#include "src/cli/cli.h"

namespace convopt::cli {
namespace {

/// The number behind `name` in a file of Linux, or nothing that limits.
std::size_t number_in(const char* path, const std::string& name) {
  std::ifstream file(path);
  std::string word;
  std::size_t value = 0;
  while (!name.empty() && file >> word && word != name) {
  }
  return file >> value ? value : SIZE_MAX;
}

}  // namespace

std::size_t available_memory() {
  constexpr std::size_t kKibibyte = 1024;
  const std::size_t kibibytes = number_in("/proc/meminfo", "MemAvailable:");
  std::size_t bytes = kibibytes == SIZE_MAX ? SIZE_MAX : kibibytes * kKibibyte;
  // Control groups of version 2 and 1, as a container sees its own.
  for (const char* path :
       {"/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"}) {
    bytes = std::min(bytes, number_in(path, ""));
  }
  rlimit limit{};
  if (getrlimit(RLIMIT_AS, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY) {
    bytes = std::min<std::size_t>(bytes, limit.rlim_cur);
  }
  return bytes;
}

Result<void> check_available(const std::string& subject, std::size_t bytes) {
  const std::size_t available = available_memory();
  if (bytes <= available) return {};
  return make_error(ErrorCode::environment, subject + " " +
                                                format_bytes(static_cast<double>(bytes)) +
                                                " of memory, available are " +
                                                format_bytes(static_cast<double>(available)));
}

}  // namespace convopt::cli
