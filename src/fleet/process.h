// Other programs: started without a shell, so no name needs quoting.
#pragma once

#include <atomic>
#include <filesystem>
#include <string>
#include <vector>

#include "convopt/error.hpp"

namespace convopt::fleet {

struct ProcessResult {
  int code = 0;  ///< exit status, or 128 and the signal that ended it
  std::string out, err;

  /// The last line of its standard error, or else "exit status 1".
  std::string error_text() const;
};

/// Runs the program, which is searched in PATH, to its end. Its standard input is a pipe that ends
/// when this process does. When `stop` becomes true, it gets SIGTERM. Fails with `environment` if
/// it cannot be started.
Result<ProcessResult> run_process(const std::vector<std::string>& arguments,
                                  const std::atomic<bool>* stop = nullptr);

/// Starts it in a session of its own, which outlives the terminal. What it prints is added to the
/// file `log`.
Result<void> start_detached(const std::vector<std::string>& arguments,
                            const std::filesystem::path& log);

/// The text as one word of a shell.
std::string shell_word(const std::string& text);

/// This program's file.
std::filesystem::path own_program();

}  // namespace convopt::fleet
