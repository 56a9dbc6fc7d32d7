// Numbers, sizes and times as values of options: one way to read each, for all verbs. A value that
// cannot be used is a usage error that names the option and shows an example.
#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <functional>
#include <limits>
#include <string>

#include "convopt/measurement.hpp"
#include "convopt/precision.hpp"
#include "core/text.h"

namespace convopt::cli {

/// Replaces the text by a canonical integer from `low` to `high`.
CLI::Validator integer_between(std::uint64_t low, std::uint64_t high);
/// Replaces a size such as 64MB by its bytes.
CLI::Validator byte_size();
/// Replaces a time such as 500ms by its seconds, from 1 ns to a year; zero if `may_be_zero`.
CLI::Validator duration(bool may_be_zero);
/// Accepts finite numbers above zero.
CLI::Validator positive_number();

/// `Target` is an integer, or a vector or an optional of one.
template <class Target>
CLI::Option* add_count(CLI::App& verb, const std::string& name, Target& target,
                       const std::string& help, std::uint64_t low, std::uint64_t high) {
  return verb.add_option(name, target, help)->transform(integer_between(low, high))->type_name("N");
}

inline CLI::Option* add_seed(CLI::App& verb, std::uint64_t& seed, const std::string& help) {
  return add_count(verb, "--seed", seed, help, 0, std::numeric_limits<std::uint64_t>::max())
      ->default_str(std::to_string(seed));
}

inline CLI::Option* add_batch(CLI::App& verb, int& batch, const std::string& help) {
  return add_count(verb, "--batch", batch, help, 1, 65536);
}

CLI::Option* add_precision(CLI::App& verb, std::function<void(Precision)> set,
                           const std::string& help);

/// `Mode` is a TimingMode, which holds the default, or an optional one.
template <class Mode>
CLI::Option* add_timing_mode(CLI::App& verb, Mode& mode, const std::string& help) {
  return verb
      .add_option_function<std::string>(
          "--timing-mode",
          [&mode](const std::string& name) {
            mode =
                name == to_string(TimingMode::warm) ? TimingMode::warm : TimingMode::cold_weights;
          },
          help)
      ->check(CLI::IsMember({"warm", "cold_weights"}));
}
/// Help for verbs that measure; the default follows.
inline constexpr const char* kTimingModeHelp =
    "warm: the same data over and over; cold_weights: packed weights come from memory, as inside a "
    "large network. Default: ";

inline CLI::Option* add_bytes(CLI::App& verb, const std::string& name, std::size_t& bytes,
                              const std::string& help) {
  return verb.add_option(name, bytes, help)->transform(byte_size())->type_name("SIZE");
}

/// A value other than zero in `seconds` is the default that --help shows.
inline CLI::Option* add_duration(CLI::App& verb, const std::string& name, double& seconds,
                                 const std::string& help, bool may_be_zero = false) {
  CLI::Option* option =
      verb.add_option(name, seconds, help)->transform(duration(may_be_zero))->type_name("TIME");
  return seconds > 0 ? option->default_str(duration_text(seconds)) : option;
}

}  // namespace convopt::cli
