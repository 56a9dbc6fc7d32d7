#include "profiler/store.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <map>
#include <unordered_map>
#include <utility>

#include "core/files.h"
#include "core/json.h"
#include "core/text.h"
#include "core/try.h"
#include "profiler/profile_index.h"

namespace convopt {
namespace {

namespace fs = std::filesystem;

/// How the first line of every profile begins; to_json(RunHeader) puts the schema first.
constexpr std::string_view kFirstBytes = R"({"schema":"convopt.profile/)";

std::string quoted(const fs::path& path) { return in_quotes(path.string(), std::string::npos); }

std::string system_reason(int error) { return std::strerror(error); }

std::string serialized(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

/// A file of which parts can be read: neither compressed nor a pipe.
bool is_plain_file(const fs::path& path) {
  std::error_code ignored;
  if (!fs::is_regular_file(path, ignored)) return false;
  std::ifstream file(path, std::ios::binary);
  return file.peek() == kFirstBytes.front();
}

struct ReadText {
  std::string text;
  std::string warning;  ///< why not everything could be read
};

/// Plain files come through zlib unchanged.
Result<ReadText> read_maybe_compressed(const fs::path& path) {
  std::error_code ignored;
  if (fs::is_directory(path, ignored)) {
    return make_error(ErrorCode::bad_input, "profile " + quoted(path) + " is a folder");
  }
  errno = 0;
  const gzFile file = gzopen(path.c_str(), "rb");
  if (file == nullptr) {
    return make_error(ErrorCode::bad_input,
                      "cannot read profile " + quoted(path) + ": " + system_reason(errno));
  }
  gzbuffer(file, 1U << 18U);
  ReadText result;
  std::vector<char> block(1U << 18U);
  int count = 0;
  while ((count = gzread(file, block.data(), static_cast<unsigned>(block.size()))) > 0) {
    result.text.append(block.data(), static_cast<std::size_t>(count));
  }
  int code = Z_OK;
  const char* message = gzerror(file, &code);
  if (count < 0 || (code != Z_OK && code != Z_STREAM_END)) {
    result.warning = "the compressed data ends early (" + std::string(message) + ")";
  }
  gzclose_r(file);
  return result;
}

/// Takes off what fetching a kernel's code from memory took. Of 690 kernels below 0.1 ms that were
/// timed by both protocols (Zen 5, ShuffleNetV2), own ones took 0.6 us less by the second, the
/// library's, each of which has code of its own, 2.2; medians.
void remove_code_fetching(const RunHeader& header, Measurement& measurement) {
  constexpr double kOwnNs = 600, kLibraryNs = 2200;
  if (header.protocol > 1 || header.timing_mode != TimingMode::cold_weights) return;
  const bool is_library = std::ranges::any_of(header.libraries, [&](const auto& library) {
    return measurement.primitive.starts_with(library.first + "_");
  });
  const double fetching_ns = is_library ? kLibraryNs : kOwnNs;
  measurement.median_ns -= std::min(fetching_ns, measurement.median_ns / 2);
}

/// Gathers runs and measurements from one or more files.
class Loader {
 public:
  explicit Loader(const LoadOptions& options) : options_(options) {}

  Result<void> add(const fs::path& path) {
    const std::size_t headers_before = headers_;
    skipped_.clear();
    if (options_.workloads != nullptr && is_plain_file(path)) {
      CONVOPT_CHECK(visit_profile_lines(
          path, *options_.workloads, options_.keep_index,
          [&](std::size_t number, std::string_view line) { add_line(path, number, line); }));
    } else {
      CONVOPT_CHECK(add_all_lines(path));
    }
    for (const auto& [why, count] : skipped_) {
      if (count <= kMostAlike) continue;
      warnings.push_back(path.filename().string() + ": " + counted(count - kMostAlike, "line") +
                         " more skipped: " + why);
    }
    if (headers_ == headers_before) {
      return make_error(ErrorCode::bad_input,
                        "profile " + quoted(path) + " has no valid run header" +
                            (warnings.empty() ? "" : "; first problem: " + warnings.front()));
    }
    return {};
  }

  Profile profile;
  std::vector<std::string> warnings;

 private:
  Result<void> add_all_lines(const fs::path& path) {
    CONVOPT_TRY(const ReadText read, read_maybe_compressed(path));
    std::size_t number = 0;
    const std::string_view text = read.text;
    for (std::size_t begin = 0; begin < text.size();) {
      const std::size_t end = std::min(text.find('\n', begin), text.size());
      ++number;
      add_line(path, number, text.substr(begin, end - begin));
      begin = end + 1;
    }
    if (!read.warning.empty()) warnings.push_back(path.filename().string() + ": " + read.warning);
    return {};
  }

  void add_line(const fs::path& path, std::size_t number, std::string_view line) {
    if (line.find_first_not_of(" \t\r") == std::string_view::npos) return;
    if (options_.workloads != nullptr) {
      const std::string_view workload = profile_line_workload(line);
      if (!workload.empty() && !options_.workloads->contains(std::string(workload))) return;
    }
    const std::string where = path.filename().string() + ":" + std::to_string(number);
    auto json = parse_json(line, where);
    if (!json) return warn(where, "not valid JSON (a line that was cut off?)");
    if (json->is_object() && json->contains("schema")) {
      add_header(where, *json);
    } else {
      add_measurement(where, *json);
    }
  }

  void add_header(const std::string& where, const Json& json) {
    auto header = run_header_from_json(json);
    if (!header) return warn(where, header.error().message);
    ++headers_;
    if (const auto known = runs_.find(header->run); known != runs_.end()) {
      if (to_json(profile.runs[known->second]) != to_json(*header)) {
        warn(where, "describes run '" + header->run + "' a second time and differently");
      }
      return;
    }
    runs_.emplace(header->run, profile.runs.size());
    profile.runs.push_back(std::move(*header));
  }

  void add_measurement(const std::string& where, const Json& json) {
    auto measurement = measurement_from_json(json);
    if (!measurement) return warn(where, measurement.error().message);
    const auto run = runs_.find(measurement->run);
    if (run == runs_.end()) {
      return warn(where, "no header before it describes run '" + measurement->run + "'");
    }
    const RunHeader& header = profile.runs[run->second];
    if (header.platform.isa != measurement->isa ||
        header.platform.threads != measurement->threads) {
      return warn(where, "its ISA or thread count is not that of its run");
    }
    if (!options_.as_recorded) remove_code_fetching(header, *measurement);
    const auto [known, is_new] =
        keys_.emplace(measurement_key(header, *measurement), profile.measurements.size());
    if (is_new) {
      profile.measurements.push_back(std::move(*measurement));
      return;
    }
    Measurement& old = profile.measurements[known->second];
    const bool is_time = measurement->status == MeasurementStatus::ok;
    const bool was_time = old.status == MeasurementStatus::ok;
    if (options_.fastest && is_time && was_time && measurement->median_ns > old.median_ns) return;
    if (is_time || !was_time) old = std::move(*measurement);
  }

  /// Lines that are wrong in the same way are counted after the first few.
  void warn(const std::string& where, const std::string& why) {
    if (++skipped_[why] > kMostAlike) return;
    warnings.push_back(where + ": skipped: " + why);
  }

  static constexpr std::size_t kMostAlike = 3;

  const LoadOptions& options_;
  std::size_t headers_ = 0;
  std::map<std::string, std::size_t> skipped_;  ///< by reason, in the file that is read
  std::unordered_map<std::string, std::size_t> runs_, keys_;
};

Result<std::string> compressed(const std::string& text) {
  z_stream stream{};
  constexpr int kBestLevel = 9, kGzipWindow = 15 + 16, kMemory = 9;
  if (deflateInit2(&stream, kBestLevel, Z_DEFLATED, kGzipWindow, kMemory, Z_DEFAULT_STRATEGY) !=
      Z_OK) {
    return make_error(ErrorCode::internal, "zlib could not be started");
  }
  std::string result(deflateBound(&stream, text.size()), '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));
  stream.next_out = reinterpret_cast<Bytef*>(result.data());
  // avail_in and avail_out are 32 bits wide, sizes are not.
  const Bytef* const in_end = stream.next_in + text.size();
  Bytef* const out_end = stream.next_out + result.size();
  constexpr std::size_t kStep = 1U << 30U;
  int code = Z_OK;
  while (code == Z_OK) {
    const auto in_left = static_cast<std::size_t>(in_end - stream.next_in);
    stream.avail_in = static_cast<uInt>(std::min(in_left, kStep));
    stream.avail_out =
        static_cast<uInt>(std::min(static_cast<std::size_t>(out_end - stream.next_out), kStep));
    code = deflate(&stream, in_left <= kStep ? Z_FINISH : Z_NO_FLUSH);
  }
  result.resize(
      static_cast<std::size_t>(stream.next_out - reinterpret_cast<Bytef*>(result.data())));
  deflateEnd(&stream);
  if (code != Z_STREAM_END) return make_error(ErrorCode::internal, "zlib could not compress");
  return result;
}

/// A file may be appended to if it is empty, a profile, or a profile whose first line was cut off.
/// Other programs write the same JSON with blanks in it.
bool may_be_profile(int fd, std::int64_t size) {
  std::string first(std::min<std::size_t>(4 * kFirstBytes.size(), static_cast<std::size_t>(size)),
                    '\0');
  if (pread(fd, first.data(), first.size(), 0) != std::ssize(first)) return false;
  std::erase(first, ' ');
  const std::size_t length = std::min(first.size(), kFirstBytes.size());
  return kFirstBytes.substr(0, length) == std::string_view(first).substr(0, length);
}

}  // namespace

Result<LoadedProfile> load_profile(const fs::path& path, const LoadOptions& options) {
  Loader loader(options);
  if (auto added = loader.add(path); !added) return added.error();
  return LoadedProfile{std::move(loader.profile), std::move(loader.warnings)};
}

std::string measurement_key(const RunHeader& header, std::string_view workload,
                            std::string_view primitive, std::string_view revision) {
  std::string key;
  key.reserve(192);
  key.append(workload).append("|").append(primitive).append("|").append(revision);
  key.append("|").append(header.platform.id()).append("|").append(to_string(header.timing_mode));
  key.append("|").append(std::to_string(header.protocol));
  for (const auto& [name, build] : header.libraries) {
    if (name == "xgboost") continue;  // predicts, computes nothing that is timed
    key.append("|").append(name).append("=").append(build);
  }
  return key;
}

std::string measurement_key(const RunHeader& header, const Measurement& measurement) {
  return measurement_key(header, measurement.workload.text(), measurement.primitive,
                         measurement.revision);
}

Result<ProfileWriter> ProfileWriter::open(const fs::path& path) {
  if (path.extension() == ".gz") {
    return make_error(ErrorCode::usage,
                      "a profile is written uncompressed; choose another name than " +
                          quoted(path) + " and compress it with `convopt merge` afterwards");
  }
  if (auto made = make_local_folder(path); !made) return made.error();
  constexpr int kMode = 0644;
  const int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, kMode);
  if (fd < 0) {
    return make_error(ErrorCode::environment,
                      "cannot write to profile " + quoted(path) + ": " + system_reason(errno));
  }
  ProfileWriter writer(fd, path);
  struct stat status {};
  if (fstat(fd, &status) == 0 && S_ISREG(status.st_mode) && status.st_size > 0 &&
      !may_be_profile(fd, status.st_size)) {
    return make_error(
        ErrorCode::bad_input,
        "file " + quoted(path) +
            " is not a profile and will not be appended to; move it away, and it is made anew");
  }
  return writer;
}

ProfileWriter::ProfileWriter(ProfileWriter&& other) noexcept
    : fd_(std::exchange(other.fd_, -1)), path_(std::move(other.path_)) {}

ProfileWriter& ProfileWriter::operator=(ProfileWriter&& other) noexcept {
  std::swap(fd_, other.fd_);
  std::swap(path_, other.path_);
  return *this;
}

ProfileWriter::~ProfileWriter() {
  if (fd_ < 0) return;
  fsync(fd_);
  close(fd_);
}

Result<void> ProfileWriter::write(const RunHeader& header) {
  return write_line(serialized(to_json(header)));
}

Result<void> ProfileWriter::write(const Measurement& measurement) {
  return write_line(serialized(to_json(measurement)));
}

Result<void> ProfileWriter::write_line(std::string line) {
  line += '\n';
  // Another writer's last line may have been cut off, before this process started or since.
  struct stat status {};
  char last = '\n';
  if (fstat(fd_, &status) == 0 && S_ISREG(status.st_mode) && status.st_size > 0 &&
      pread(fd_, &last, 1, status.st_size - 1) == 1 && last != '\n') {
    line.insert(line.begin(), '\n');
  }
  ssize_t written = -1;
  do {
    written = ::write(fd_, line.data(), line.size());
  } while (written < 0 && errno == EINTR);
  if (written == static_cast<ssize_t>(line.size())) return {};
  // A partial write means that the rest found no room.
  const int reason = written < 0 ? errno : ENOSPC;
  return make_error(ErrorCode::environment, "cannot write to profile " + quoted(path_) + ": " +
                                                system_reason(reason) +
                                                "; what was measured before is kept");
}

Result<std::vector<std::string>> merge_profiles(const std::vector<fs::path>& inputs,
                                                const fs::path& output, bool fastest) {
  LoadOptions options;
  options.fastest = fastest;
  options.as_recorded = true;
  Loader loader(options);
  for (const auto& input : inputs) {
    if (auto added = loader.add(input); !added) return added.error();
  }
  std::unordered_set<std::string> used;
  for (const auto& measurement : loader.profile.measurements) used.insert(measurement.run);
  // Where no run has a measurement, the headers are all there is.
  const auto keep = [&](const RunHeader& header) {
    return used.empty() || used.contains(header.run);
  };
  std::string text;
  for (const auto& header : loader.profile.runs) {
    if (keep(header)) text += serialized(to_json(header)) + '\n';
  }
  for (const auto& measurement : loader.profile.measurements) {
    text += serialized(to_json(measurement)) + '\n';
  }
  if (output.extension() == ".gz") {
    auto packed = compressed(text);
    if (!packed) return packed.error();
    text = std::move(*packed);
  }
  if (auto written = write_file_atomically(output, text); !written) return written.error();
  return std::move(loader.warnings);
}

fs::path local_profile_path(const Platform& platform) {
  std::string name = platform.id();
  std::replace(name.begin(), name.end(), '/', '-');
  return local_data_dir() / "profiles" / (name + ".jsonl");
}

}  // namespace convopt
