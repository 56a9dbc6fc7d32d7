// The drawings of the page, each one SVG image.
#pragma once

#include <optional>
#include <string>

#include "src/report/families.h"
#include "src/report/report.h"

namespace convopt {

/// Bars of time in the order of execution, measured times as marks; below them the formats that
/// tensors pass through.
std::string timeline_svg(const Report& report, const Families& families);
/// Empty where fewer than two predictions can be compared with measured times.
std::string scatter_svg(const Report& report, const Families& families);
/// Empty where the machine's peak is not known.
std::string roofline_svg(const Report& report, const Families& families);
std::string regions_svg(const ReportRegions& regions, const Families& families);
/// A bar of ratios for each family; empty without any.
std::string errors_svg(const Report& report, const Families& families);

/// What of a transfer curve a drawing shows.
enum class CurveValue { regret, error };
/// `methods` says how each method looks. The noise floor is drawn beside regrets.
std::string curve_svg(const ReportCurve& curve, CurveValue value, std::optional<double> noise_floor,
                      const Families& methods);

/// Where a step's row of the table is.
std::string step_id(std::size_t step);
/// Name of a step with what is fused into it.
std::string full_name(const ReportStep& step);
/// The time that counts: measured, else the plan's.
double best_us(const ReportStep& step);
double rate_gflops(const ReportStep& step);
/// How often a convolution's fastest family is faster than the next one, to be called so.
inline constexpr double kClearLead = 1.1;

}  // namespace convopt
