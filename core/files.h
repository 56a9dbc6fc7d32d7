// Files and places.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>

#include "convopt/error.hpp"

namespace convopt {

Result<std::string> read_file(const std::filesystem::path& path);
/// The bytes of a file, read as they are touched. The file must not shrink meanwhile.
class MappedFile {
 public:
  static Result<std::shared_ptr<const MappedFile>> open(const std::filesystem::path& path);
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;
  ~MappedFile();
  std::string_view bytes() const { return bytes_; }

 private:
  explicit MappedFile(std::string_view bytes) : bytes_(bytes) {}
  std::string_view bytes_;
};

/// Replaces the file as a whole: write beside it, sync, rename. The old content survives any
/// failure.
Result<void> write_file_atomically(const std::filesystem::path& path, std::string_view content);

/// Whether write_file_atomically() may begin: the folder is there and takes files.
Result<void> check_writable(const std::filesystem::path& path);

/// $XDG_DATA_HOME/convopt, by default ~/.local/share/convopt: profiles and models of this machine.
std::filesystem::path local_data_dir();
/// Makes the folder of `path` if it lies within local_data_dir(); other folders are the user's, and
/// a mistyped one must not come into being.
Result<void> make_local_folder(const std::filesystem::path& path);
/// The shipped data folder: $CONVOPT_DATA_DIR, else share/convopt of the prefix that the program or
/// the library is installed in, else that of the source tree, else convopt in a folder of
/// $XDG_DATA_DIRS (by default /usr/local/share and /usr/share).
std::filesystem::path shipped_data_dir();

/// 64-bit FNV-1a. Stable across machines and versions.
std::uint64_t hash64(std::string_view bytes, std::uint64_t seed = 14695981039346656037ULL);
std::string hex16(std::uint64_t value);

}  // namespace convopt
