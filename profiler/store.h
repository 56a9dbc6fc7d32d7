// Storage of measurements. JSON Lines, append-only (docs/reference/profile-format.md): every line
// is written with one write(2), so a killed process, a full disk or a second writer cost at most a
// line.
#pragma once

#include <filesystem>
#include <functional>
#include <string>
#include <string_view>
#include <unordered_set>
#include <vector>

#include "convopt/error.hpp"
#include "convopt/measurement.hpp"

namespace convopt {

struct LoadedProfile {
  Profile profile;
  std::vector<std::string> warnings;  ///< lines that were skipped, each with its number and why
};

struct LoadOptions {
  /// Only these workloads (canonical text) and the headers of their runs; the other lines are
  /// passed over without being parsed, which makes reading a few layers out of a large profile
  /// fast. Null: all.
  const std::unordered_set<std::string>* workloads = nullptr;
  /// Where the lines of `workloads` stand is remembered beside a large profile
  /// (profiler/profile_index.h).
  bool keep_index = false;
  /// Of several `ok` records with one key that with the lowest time counts, not the last one.
  bool fastest = false;
  /// Times stay as they are in the file. Otherwise those of protocol 1 (RunHeader) lose what
  /// fetching the code took.
  bool as_recorded = false;
};

/// Reads a profile, plain or compressed (gzip). Of several records with one key the last `ok` one
/// counts, or the last one if none is `ok`. Fails if the file cannot be read or has no run header.
Result<LoadedProfile> load_profile(const std::filesystem::path& path,
                                   const LoadOptions& options = {});

/// What must agree for a measurement to be valid here: workload, primitive and its revision, ISA,
/// threads, timing mode and protocol, machine and the builds of the libraries that kernels come
/// from.
std::string measurement_key(const RunHeader& header, std::string_view workload,
                            std::string_view primitive, std::string_view revision);
std::string measurement_key(const RunHeader& header, const Measurement& measurement);

/// Appends to a profile. Several processes may append to one file.
class ProfileWriter {
 public:
  /// Creates the file and its folders if needed, and makes sure it can be written to. Fails if the
  /// file holds something that is not a profile.
  static Result<ProfileWriter> open(const std::filesystem::path& path);
  ProfileWriter(ProfileWriter&& other) noexcept;
  ProfileWriter& operator=(ProfileWriter&& other) noexcept;
  ~ProfileWriter();

  Result<void> write(const RunHeader& header);
  Result<void> write(const Measurement& measurement);

 private:
  ProfileWriter(int fd, std::filesystem::path path) : fd_(fd), path_(std::move(path)) {}
  Result<void> write_line(std::string line);

  int fd_ = -1;
  std::filesystem::path path_;
};

/// All runs of the files in order, without duplicates (see load_profile) and without headers that
/// nothing refers to, written as a whole to `output`; compressed if its name ends in .gz. With
/// `fastest`, of several times of the same (see measurement_key) only the lowest is kept.
/// Returns the warnings about what was left out.
Result<std::vector<std::string>> merge_profiles(const std::vector<std::filesystem::path>& inputs,
                                                const std::filesystem::path& output,
                                                bool fastest = false);

/// Where the profile of a platform is kept: local_data_dir()/profiles/<platform id>.jsonl, with `-`
/// for every `/` of the id.
std::filesystem::path local_profile_path(const Platform& platform);

}  // namespace convopt
