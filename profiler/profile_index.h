// Where in a profile the lines of a workload stand, so that a few can be read out of a large one.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <string_view>
#include <unordered_set>
#include <vector>

#include "convopt/error.hpp"

namespace convopt {

struct ProfileLine {
  std::uint64_t key = 0;  ///< see profile_line_key
  std::uint64_t offset = 0;
  std::uint32_t length = 0;  ///< without the newline
  std::uint32_t number = 0;  ///< from 1
  auto operator<=>(const ProfileLine&) const = default;
};

/// The text of a measurement's workload without parsing the line; empty if it is written unusually.
std::string_view profile_line_workload(std::string_view line);

/// Hash of a measurement's workload or of a header's run, read without parsing the line; 0 for
/// lines that are written unusually.
std::uint64_t profile_line_key(std::string_view line);

/// Calls `visit(number, line)` for what may concern these workloads (canonical text), in order: the
/// lines of measurements with them, the headers of their runs, the first header, and all lines with
/// the key 0. The file is plain text.
///
/// With `keep`, the places of all lines are kept beside the profile, in PROFILE.index, once it is
/// large, and the next call reads only what was appended since. An index that does not fit the file
/// is made anew; one that cannot be written is done without.
Result<void> visit_profile_lines(const std::filesystem::path& path,
                                 const std::unordered_set<std::string>& workloads, bool keep,
                                 const std::function<void(std::size_t, std::string_view)>& visit);

}  // namespace convopt
