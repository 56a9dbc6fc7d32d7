// Memory that is there. What is taken beyond it ends the process without a word.
#pragma once

#include <cstddef>
#include <string>

#include "convopt/error.hpp"

namespace convopt::cli {

/// Bytes that this process may take: what the machine has free, or a lower limit of the process or
/// of its control group. SIZE_MAX where nothing is known.
std::size_t available_memory();

/// Refuses, in a sentence that `subject` begins, what takes more than is there.
Result<void> check_available(const std::string& subject, std::size_t bytes);

}  // namespace convopt::cli
