// What convopt makes of a case.
#pragma once

#include <array>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

#include "convopt/planner.hpp"
#include "tests/conformance/cases.h"

namespace convopt::conformance {

/// From best to worst.
enum class Verdict { passed, refused, wrong, crashed };

inline constexpr std::array kVerdicts = {Verdict::passed, Verdict::refused, Verdict::wrong,
                                         Verdict::crashed};

std::string_view to_string(Verdict verdict);
std::optional<Verdict> parse_verdict(std::string_view text);

struct Outcome {
  Verdict verdict = Verdict::passed;
  std::string reason;  ///< of anything but success, in one line
};

/// Loads, plans and runs the model in several forms: as it is; with all inputs but the first made
/// initialisers, as networks have their parameters; with all but the first of float32. The case is
/// passed if one form is right and none is wrong; where all are refused, the reason is that of the
/// second. Operators that networks apply to constants only are tried on constants too. `scratch` is
/// an existing folder for files.
Outcome try_case(const Planner& planner, const Case& test, const std::filesystem::path& scratch);

}  // namespace convopt::conformance
