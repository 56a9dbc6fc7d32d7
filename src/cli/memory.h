// Available memory. Linux kills a process that takes more, without a message.
#pragma once

#include <cstddef>
#include <string>

#include "convopt/error.hpp"

namespace convopt::cli {

/// Bytes that this process may take: what the machine has free, or a lower limit of the process or
/// of its control group. SIZE_MAX where nothing is known.
std::size_t available_memory();

/// Fails where `bytes` are not available. `subject` is the beginning of the sentence.
Result<void> check_available(const std::string& subject, std::size_t bytes);

}  // namespace convopt::cli
