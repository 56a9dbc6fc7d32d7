// Key of a time: a primitive on a workload.
#pragma once

#include <cstddef>
#include <functional>
#include <string>

namespace convopt {

struct TimingKey {
  std::string workload;       ///< canonical text
  std::string primitive;      ///< name
  std::string revision = {};  ///< of the primitive; empty where revisions are not told apart

  bool operator==(const TimingKey&) const = default;
};

}  // namespace convopt

template <>
struct std::hash<convopt::TimingKey> {
  std::size_t operator()(const convopt::TimingKey& key) const noexcept {
    const std::hash<std::string> of_text;
    std::size_t result = of_text(key.workload);
    for (const std::string* part : {&key.primitive, &key.revision}) {
      result = result * 0x9E3779B97F4A7C15ULL + of_text(*part);
    }
    return result;
  }
};
