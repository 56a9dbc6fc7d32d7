// What a fleet has measured, as files to be used: for each kind a profile, a model and a plan of
// every network, for each network a bundle with the plans of all kinds.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "convopt/profiling.hpp"
#include "src/fleet/fleet.h"

namespace convopt::fleet {

struct Collected {
  struct Kind {
    std::string name;
    std::size_t nodes = 0, times = 0, plans = 0;
    bool has_model = false;
  };
  struct Bundle {
    std::filesystem::path path;
    std::vector<std::string> platforms;
  };
  std::vector<Kind> kinds;
  std::vector<Bundle> bundles;
  std::vector<std::string> missing;  ///< one sentence each; empty: the fleet is complete
};

/// Fails with `partial` if nothing at all was measured. May be called at any time, by several at
/// once: it changes nothing of the fleet but the plans of this machine's kind, where they are
/// missing.
Result<Collected> collect(const Fleet& fleet, const std::filesystem::path& output,
                          const Messages& messages);

}  // namespace convopt::fleet
