#include "profiler/profile_index.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <optional>
#include <utility>

#include "core/files.h"
#include "core/text.h"
#include "core/try.h"

namespace convopt {
namespace {

namespace fs = std::filesystem;

/// The value of a field of text, `name` with quotes and colon, found without parsing.
std::string_view field(std::string_view line, std::string_view name) {
  const std::size_t found = line.find(name);
  if (found == std::string_view::npos) return {};
  const std::size_t first = found + name.size();
  const std::size_t last = line.find('"', first);
  return last == std::string_view::npos ? std::string_view() : line.substr(first, last - first);
}

constexpr std::string_view kRun = R"("run":")", kWorkload = R"("workload":")";
constexpr std::string_view kHeader = R"({"schema":)";

std::uint64_t run_key(std::string_view run) { return hash64(run, hash64("run")); }

/// A file that is read in parts; it may grow meanwhile.
class Reader {
 public:
  static Result<Reader> open(const fs::path& path) {
    const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
    struct stat status {};
    if (fd < 0 || fstat(fd, &status) != 0) {
      const int reason = errno;
      if (fd >= 0) close(fd);
      return make_error(ErrorCode::bad_input,
                        "cannot read " + in_quotes(path.string()) + ": " + std::strerror(reason));
    }
    return Reader(fd, static_cast<std::uint64_t>(status.st_size));
  }
  Reader(Reader&& other) noexcept : fd_(std::exchange(other.fd_, -1)), size_(other.size_) {}
  Reader& operator=(Reader&&) = delete;
  ~Reader() {
    if (fd_ >= 0) close(fd_);
  }

  std::uint64_t size() const { return size_; }
  /// Shorter where the file has ended meanwhile.
  std::string read(std::uint64_t offset, std::uint64_t length) const {
    std::string text(length, '\0');
    std::size_t done = 0;
    while (done < text.size()) {
      const ssize_t count =
          pread(fd_, text.data() + done, text.size() - done, static_cast<off_t>(offset + done));
      if (count < 0 && errno == EINTR) continue;
      if (count <= 0) break;
      done += static_cast<std::size_t>(count);
    }
    text.resize(done);
    return text;
  }

 private:
  Reader(int fd, std::uint64_t size) : fd_(fd), size_(size) {}
  int fd_;
  std::uint64_t size_;
};

struct Index {
  std::uint64_t covered = 0;       ///< bytes of the profile, whole lines
  std::vector<ProfileLine> lines;  ///< sorted
};

/// The first bytes of an index; all numbers in the order of this machine.
struct Preamble {
  char magic[16] = "convopt.index/1";
  std::uint64_t covered = 0, lines = 0;
  std::uint64_t fingerprint = 0;  ///< of the covered bytes
};

/// Tells a profile that was written anew from one that was appended to.
std::uint64_t fingerprint(const Reader& profile, std::uint64_t covered) {
  const std::uint64_t length = std::min<std::uint64_t>(covered, 4096);
  return hash64(profile.read(covered - length, length), hash64(profile.read(0, length)));
}

fs::path index_path(fs::path profile) { return profile += ".index"; }

/// An empty one where there is none that fits.
Index load_index(const fs::path& path, const Reader& profile) {
  const auto file = Reader::open(index_path(path));
  if (!file || file->size() < sizeof(Preamble)) return {};
  const std::string bytes = file->read(0, file->size());
  Preamble preamble;
  if (bytes.size() < sizeof(preamble)) return {};
  std::memcpy(&preamble, bytes.data(), sizeof(preamble));
  const std::size_t rest = bytes.size() - sizeof(preamble);
  if (std::memcmp(preamble.magic, Preamble{}.magic, sizeof(preamble.magic)) != 0 ||
      rest % sizeof(ProfileLine) != 0 || preamble.lines != rest / sizeof(ProfileLine) ||
      preamble.covered > profile.size() ||
      preamble.fingerprint != fingerprint(profile, preamble.covered)) {
    return {};
  }
  Index index{preamble.covered, std::vector<ProfileLine>(preamble.lines)};
  if (rest > 0) std::memcpy(index.lines.data(), bytes.data() + sizeof(preamble), rest);
  const bool sound = std::ranges::is_sorted(index.lines) &&
                     std::ranges::all_of(index.lines, [&](const ProfileLine& line) {
                       return line.offset + line.length <= index.covered;
                     });
  return sound ? index : Index{};
}

void save_index(const fs::path& path, const Reader& profile, const Index& index) {
  Preamble preamble;
  preamble.covered = index.covered;
  preamble.lines = index.lines.size();
  preamble.fingerprint = fingerprint(profile, index.covered);
  std::string bytes(reinterpret_cast<const char*>(&preamble), sizeof(preamble));
  bytes.append(reinterpret_cast<const char*>(index.lines.data()),
               index.lines.size() * sizeof(ProfileLine));
  // It only saves time.
  static_cast<void>(write_file_atomically(index_path(path), bytes));
}

/// Adds what stands behind the covered bytes. The last line may have no end yet: it is returned.
std::optional<ProfileLine> extend(Index& index, std::string_view tail) {
  std::uint32_t number = 0;
  for (const ProfileLine& line : index.lines) number = std::max(number, line.number);
  const std::uint64_t start = index.covered;
  for (std::size_t begin = 0; begin < tail.size();) {
    const std::size_t end = tail.find('\n', begin);
    const std::string_view text = tail.substr(begin, end - begin);
    const ProfileLine line{profile_line_key(text), start + begin,
                           static_cast<std::uint32_t>(text.size()), ++number};
    if (end == std::string_view::npos) return line;
    index.lines.push_back(line);
    begin = end + 1;
    index.covered = start + begin;
  }
  return std::nullopt;
}

class Selector {
 public:
  Selector(const Reader& profile, const std::vector<ProfileLine>& lines)
      : profile_(profile), lines_(lines) {}

  void add(std::uint64_t key) {
    const auto first = std::ranges::lower_bound(lines_, key, {}, &ProfileLine::key);
    const auto last = std::ranges::upper_bound(lines_, key, {}, &ProfileLine::key);
    chosen_.insert(chosen_.end(), first, last);
  }
  void add(const ProfileLine& line) { chosen_.push_back(line); }

  /// The headers of all chosen lines' runs.
  void add_headers() {
    std::unordered_set<std::uint64_t> runs;
    for (const ProfileLine& line : chosen_) {
      const std::string text = profile_.read(line.offset, line.length);
      runs.insert(run_key(field(text, kRun)));
    }
    for (const std::uint64_t run : runs) add(run);
  }

  std::vector<ProfileLine> in_order() {
    std::ranges::sort(chosen_, {}, &ProfileLine::offset);
    const auto end = std::unique(chosen_.begin(), chosen_.end());
    chosen_.erase(end, chosen_.end());
    return std::move(chosen_);
  }

 private:
  const Reader& profile_;
  const std::vector<ProfileLine>& lines_;
  std::vector<ProfileLine> chosen_;
};

}  // namespace

std::string_view profile_line_workload(std::string_view line) { return field(line, kWorkload); }

std::uint64_t profile_line_key(std::string_view line) {
  if (line.starts_with(kHeader)) {
    const std::string_view run = field(line, kRun);
    return run.empty() ? 0 : run_key(run);
  }
  const std::string_view workload = profile_line_workload(line);
  return workload.empty() || field(line, kRun).empty() ? 0 : hash64(workload);
}

Result<void> visit_profile_lines(const fs::path& path,
                                 const std::unordered_set<std::string>& workloads, bool keep,
                                 const std::function<void(std::size_t, std::string_view)>& visit) {
  // Scanning a megabyte takes less than a millisecond.
  constexpr std::uint64_t kWorthKeeping = 1U << 20U;
  CONVOPT_TRY(const Reader profile, Reader::open(path));
  Index index = load_index(path, profile);
  const std::uint64_t unread = profile.size() - index.covered;
  const auto last = extend(index, profile.read(index.covered, unread));
  std::ranges::sort(index.lines);
  // Something else than a profile leaves no trace.
  const bool is_profile = profile.size() > 1 && profile.read(0, 2) == "{\"";
  if (keep && is_profile && unread > kWorthKeeping) save_index(path, profile, index);

  Selector selector(profile, index.lines);
  for (const std::string& workload : workloads) selector.add(hash64(workload));
  if (last) selector.add(*last);
  selector.add_headers();
  selector.add(0);
  const auto first = std::ranges::min_element(index.lines, {}, &ProfileLine::offset);
  if (first != index.lines.end()) selector.add(*first);
  for (const ProfileLine& line : selector.in_order()) {
    visit(line.number, profile.read(line.offset, line.length));
  }
  return {};
}

}  // namespace convopt
