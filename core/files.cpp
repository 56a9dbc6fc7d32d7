#include "core/files.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <system_error>
#include <vector>

#include "core/file_descriptor.h"
#include "core/text.h"
#include "core/try.h"

namespace convopt {
namespace fs = std::filesystem;
namespace {

std::string reason() { return std::strerror(errno); }

bool write_all(int descriptor, std::string_view content) {
  while (!content.empty()) {
    const ssize_t written = ::write(descriptor, content.data(), content.size());
    if (written < 0) {
      if (errno == EINTR) continue;
      return false;
    }
    content.remove_prefix(static_cast<std::size_t>(written));
  }
  return true;
}

Error cannot_write(const fs::path& path, const std::string& why) {
  return make_error(ErrorCode::environment, "cannot write " + path.string() + ": " + why);
}

bool is_local(const fs::path& path) {
  const fs::path home = local_data_dir();
  return std::ranges::mismatch(home, path).in1 == home.end();
}

/// Links keep pointing at what they point at.
fs::path target_of(const fs::path& path) {
  std::error_code error;
  fs::path target = fs::weakly_canonical(fs::absolute(path), error);
  return error ? path : target;
}

}  // namespace

Result<std::string> read_file(const fs::path& path) {
  const FileDescriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (file.get() < 0) {
    return make_error(ErrorCode::bad_input, "cannot read " + path.string() + ": " + reason());
  }
  // Far above any file of convopt's; devices without end are no files.
  constexpr std::size_t kLargest = std::size_t{1} << 30;
  std::string content;
  std::array<char, 1 << 16> buffer;
  while (content.size() < kLargest) {
    const ssize_t count = ::read(file.get(), buffer.data(), buffer.size());
    if (count == 0) return content;
    if (count < 0) {
      if (errno == EINTR) continue;
      return make_error(ErrorCode::bad_input, "cannot read " + path.string() + ": " + reason());
    }
    content.append(buffer.data(), static_cast<std::size_t>(count));
  }
  return make_error(ErrorCode::bad_input, "cannot read " + path.string() + ": larger than 1 GiB");
}

Result<std::shared_ptr<const MappedFile>> MappedFile::open(const fs::path& path) {
  const auto failed = [&](const std::string& why) {
    return make_error(ErrorCode::bad_input, "cannot read " + path.string() + ": " + why);
  };
  struct stat status {};
  // Asked before it is opened: a pipe would wait for its writer.
  if (stat(path.c_str(), &status) != 0) return failed(reason());
  if (!S_ISREG(status.st_mode)) return failed("it is no file");
  const FileDescriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (file.get() < 0 || fstat(file.get(), &status) != 0) return failed(reason());
  const auto size = static_cast<std::size_t>(status.st_size);
  std::string_view bytes;
  if (size > 0) {
    void* const start = mmap(nullptr, size, PROT_READ, MAP_PRIVATE, file.get(), 0);
    if (start == MAP_FAILED) return failed(reason());
    bytes = {static_cast<const char*>(start), size};
  }
  return std::shared_ptr<const MappedFile>(new MappedFile(bytes));
}

MappedFile::~MappedFile() {
  if (!bytes_.empty()) munmap(const_cast<char*>(bytes_.data()), bytes_.size());
}

Result<void> check_writable(const fs::path& path) {
  std::error_code error;
  if (fs::is_directory(path, error)) return cannot_write(path, "it is a directory");
  if (fs::exists(path, error) && !fs::is_regular_file(path, error)) {
    return ::access(path.c_str(), W_OK) == 0 ? Result<void>() : cannot_write(path, reason());
  }
  if (is_local(path)) return make_local_folder(path);
  const fs::path folder = target_of(path).parent_path();
  return ::access(folder.c_str(), W_OK | X_OK) == 0 ? Result<void>() : cannot_write(path, reason());
}

Result<void> write_file_atomically(const fs::path& path, std::string_view content) {
  CONVOPT_CHECK(check_writable(path));
  std::error_code error;
  // Devices and pipes cannot be replaced, only written to.
  if (fs::exists(path, error) && !fs::is_regular_file(path, error)) {
    const FileDescriptor file(::open(path.c_str(), O_WRONLY | O_CLOEXEC));
    if (file.get() < 0 || !write_all(file.get(), content)) return cannot_write(path, reason());
    return {};
  }
  const fs::path target = target_of(path);
  std::string temporary = target.string() + ".XXXXXX";
  const FileDescriptor file(::mkostemp(temporary.data(), O_CLOEXEC));
  if (file.get() < 0) return cannot_write(path, reason());
  const auto discard = [&](const std::string& why) {
    ::unlink(temporary.c_str());
    return cannot_write(path, why);
  };
  const mode_t mask = ::umask(0);
  ::umask(mask);
  ::fchmod(file.get(), 0666 & ~mask);
  if (!write_all(file.get(), content) || ::fsync(file.get()) != 0) return discard(reason());
  if (::rename(temporary.c_str(), target.c_str()) != 0) return discard(reason());
  return {};
}

fs::path local_data_dir() {
  if (const char* data = std::getenv("XDG_DATA_HOME"); data != nullptr && *data == '/') {
    return fs::path(data) / "convopt";
  }
  const char* home = std::getenv("HOME");
  return fs::path(home != nullptr && *home != '\0' ? home : "/tmp") / ".local/share/convopt";
}

Result<void> make_local_folder(const fs::path& path) {
  if (!is_local(path)) return {};
  std::error_code error;
  fs::create_directories(path.parent_path(), error);
  if (!error) return {};
  return make_error(ErrorCode::environment,
                    "cannot create " + path.parent_path().string() + ": " + error.message());
}

fs::path shipped_data_dir() {
  if (const char* data = std::getenv("CONVOPT_DATA_DIR"); data != nullptr && *data != '\0') {
    return data;
  }
  std::error_code error;
  // Beside the program, a library or a Python module that this code is part of: they lie at
  // different depths below the prefix.
  std::vector<fs::path> places = {fs::read_symlink("/proc/self/exe", error)};
  if (Dl_info info; dladdr(reinterpret_cast<const void*>(&shipped_data_dir), &info) != 0 &&
                    info.dli_fname != nullptr) {
    places.push_back(fs::canonical(info.dli_fname, error));
  }
  for (const fs::path& place : places) {
    constexpr int kMostFolders = 5;  // PREFIX/lib/python3/dist-packages/convopt/
    fs::path folder = place.parent_path();
    for (int i = 0; i < kMostFolders && folder.has_relative_path(); ++i) {
      folder = folder.parent_path();
      if (fs::is_directory(folder / "share/convopt/models", error)) return folder / "share/convopt";
    }
  }
  // A program of the build tree, or one elsewhere that links an installed library.
  std::vector<fs::path> folders = {CONVOPT_DATA_DIR};
  const char* listed = std::getenv("XDG_DATA_DIRS");
  if (listed == nullptr || *listed == '\0') listed = "/usr/local/share:/usr/share";
  for (const std::string_view share : split(listed, ':'))
    if (!share.empty()) folders.push_back(fs::path(share) / "convopt");
  for (const fs::path& folder : folders)
    if (fs::is_directory(folder / "models", error)) return folder;
  return folders.back();
}

std::uint64_t hash64(std::string_view bytes, std::uint64_t seed) {
  std::uint64_t hash = seed;
  for (const char byte : bytes) {
    hash ^= static_cast<unsigned char>(byte);
    hash *= 1099511628211ULL;
  }
  return hash;
}

std::string hex16(std::uint64_t value) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string text(16, '0');
  for (auto digit = text.rbegin(); digit != text.rend(); ++digit, value >>= 4) {
    *digit = kDigits[value & 15];
  }
  return text;
}

}  // namespace convopt
