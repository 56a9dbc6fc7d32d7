// Progress of what takes long.
#pragma once

#include <chrono>
#include <string>

#include "profiler/profiler.h"

namespace convopt::cli {

/// "1:05", "1:02:03".
std::string format_duration(double seconds);

/// Shows progress on standard error: one line that is drawn again and again on a terminal, else a
/// plain line from time to time.
class Progress {
 public:
  Progress();
  ~Progress() { finish(); }
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  void show(const ProfileProgress& progress);
  /// `detail` fits on terminals only.
  void show(std::string line, const std::string& detail);
  void finish();  ///< clears the terminal's line

 private:
  bool is_due() const;

  bool terminal_;
  bool drawn_ = false;
  /// What ends within the first pause needs no line that stays.
  std::chrono::steady_clock::time_point last_{};
};

}  // namespace convopt::cli
