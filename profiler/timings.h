// Import of published timings as a profile: tables of register-tiled matrix products. A product of
// m x k by k x n is a 1x1 convolution of k to m channels on n pixels; a kernel is a primitive whose
// trait is its register tile.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "convopt/error.hpp"
#include "convopt/measurement.hpp"

namespace convopt {

struct TimingsOptions {
  std::string vendor;      ///< of the processor; empty: not known
  std::string name;        ///< of the processor; empty: not known
  std::optional<Isa> isa;  ///< of the table; none: the highest in a kernel's name
  int threads = 1;
  TimingMode timing_mode = TimingMode::warm;
};

struct ImportedTimings {
  Profile profile;
  std::vector<std::string> warnings;  ///< rows that were left out, each with its number and why
};

/// Comma-separated values whose first row names the columns `kernel`, `mr`, `nr`, `m`, `k`, `n` and
/// `seconds`, in any order; other columns are ignored. A kernel timed several times for one product
/// has several samples. `what` names the table in messages. Fails if no row can be used.
Result<ImportedTimings> import_timings(std::string_view table, const std::string& what,
                                       const TimingsOptions& options = {});

/// The same from a file, whose name stands in for an unknown processor's.
Result<ImportedTimings> import_timings(const std::filesystem::path& path, TimingsOptions options);

/// The profile as the text of a profile file.
std::string profile_text(const Profile& profile);

}  // namespace convopt
