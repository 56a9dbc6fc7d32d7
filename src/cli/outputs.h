// Files that a verb writes, checked before it does anything.
#pragma once

#include <CLI/CLI.hpp>
#include <string>

#include "convopt/error.hpp"

namespace convopt::cli {

inline constexpr const char* kOutputType = "OUTPUT";
inline constexpr const char* kTextOutputType = "OUTPUT|-";

/// An option whose values are files to be written: FILE, or NAME=FILE.
template <class Target>
CLI::Option* add_output(CLI::App& verb, const std::string& name, Target& target,
                        const std::string& help) {
  return verb.add_option(name, target, help)->type_name(kOutputType);
}

/// The same for what write_output() writes, where `-` is standard output.
template <class Target>
CLI::Option* add_text_output(CLI::App& verb, const std::string& name, Target& target,
                             const std::string& help) {
  return verb.add_option(name, target, help)->type_name(kTextOutputType);
}

/// Refuses outputs that cannot be written, that two options name, or that another argument of the
/// verb reads: minutes of work must not end in an error, nor destroy what they began with.
/// `replaces_input`: what is written may take the place of what was read.
Result<void> check_outputs(const CLI::App& verb, bool replaces_input);

}  // namespace convopt::cli
