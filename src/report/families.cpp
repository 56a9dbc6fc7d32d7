#include "src/report/families.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <map>
#include <utility>

#include "src/report/markup.h"

namespace convopt {
namespace {

/// Lines over the colour, in a square of 8 pixels.
constexpr std::array<std::string_view, kLooks> kPatterns = {
    "",
    "M-2,2 l4,-4 M0,8 l8,-8 M6,10 l4,-4",
    "M1,2 h2 v2 h-2 z M5,6 h2 v2 h-2 z",
    "M0,2 h8 M0,6 h8",
    "M-2,6 l4,4 M0,0 l8,8 M6,-2 l4,4",
    "M2,0 v8 M6,0 v8",
    "M0,4 h8 M4,0 v8",
    "M0,8 l8,-8 M0,0 l8,8",
};

int colour(std::size_t place) { return static_cast<int>(place % kLooks); }
/// The second eight have the same colours and other patterns.
int pattern(std::size_t place) { return static_cast<int>((place + place / kLooks) % kLooks); }

std::string pattern_id(std::size_t place) { return "pattern-" + std::to_string(place); }

std::string polygon(std::initializer_list<std::pair<double, double>> corners, double x, double y,
                    double radius) {
  std::string points;
  for (const auto& [dx, dy] : corners) {
    points += (points.empty() ? "" : " ") + pixels(x + dx * radius) + "," + pixels(y + dy * radius);
  }
  return points;
}

}  // namespace

Families::Families(const Report& report) {
  std::map<std::string, double> us;
  for (const ReportStep& step : report.steps) us[step.family] += step.us;
  for (const ReportRegions& regions : report.regions) {
    for (const auto& row : regions.cells) {
      for (const ReportRegions::Cell& cell : row) us.try_emplace(cell.family, 0);
    }
  }
  for (const ReportWorkload& workload : report.workloads) {
    for (const ReportCandidate& candidate : workload.candidates)
      us.try_emplace(candidate.family, 0);
  }
  for (const ReportErrors& errors : report.errors) us.try_emplace(errors.family, 0);
  us.erase("");
  for (const auto& [family, time] : us) names_.push_back(family);
  std::ranges::stable_sort(
      names_, [&](const std::string& a, const std::string& b) { return us[a] > us[b]; });
  find_codes();
}

Families::Families(std::vector<std::string> names) : names_(std::move(names)) { find_codes(); }

void Families::find_codes() {
  for (const std::string& name : names_) {
    std::string code = name.substr(0, 2);
    for (std::size_t i = 2; i < name.size() && std::ranges::count(codes_, code) > 0; ++i) {
      code = {name[0], name[i]};
    }
    codes_.push_back(code);
  }
}

std::size_t Families::place(std::string_view family) const {
  const auto found = std::ranges::find(names_, family);
  return found == names_.end() ? 0 : static_cast<std::size_t>(found - names_.begin());
}

std::string Families::code(std::string_view family) const {
  return names_.empty() ? "" : codes_[place(family)];
}

std::string Families::fill(std::string_view family) const {
  return "url(#" + pattern_id(place(family)) + ")";
}

std::string Families::stroke(std::string_view family) const {
  return "s" + std::to_string(colour(place(family)));
}

std::string Families::swatch(std::string_view family) const {
  return element(
      "svg", {{"class", "swatch"}, {"viewBox", "0 0 16 12"}, {"aria-hidden", "true"}},
      empty_element("rect", {{"width", "16"}, {"height", "12"}, {"fill", fill(family)}}));
}

std::string Families::marker(std::string_view family, double x, double y, double radius,
                             const std::string& more_class) const {
  const std::size_t at = place(family);
  const std::string look = "marker c" + std::to_string(colour(at)) + more_class;
  const auto of = [&](std::initializer_list<std::pair<double, double>> corners) {
    return empty_element("polygon", {{"class", look}, {"points", polygon(corners, x, y, radius)}});
  };
  switch (pattern(at)) {
    case 0:
      return empty_element(
          "circle", {{"class", look}, {"cx", pixels(x)}, {"cy", pixels(y)}, {"r", pixels(radius)}});
    case 1:
      return of({{0, -1.2}, {1.1, 0.8}, {-1.1, 0.8}});
    case 2:
      return of({{-0.9, -0.9}, {0.9, -0.9}, {0.9, 0.9}, {-0.9, 0.9}});
    case 3:
      return of({{0, -1.25}, {1.25, 0}, {0, 1.25}, {-1.25, 0}});
    case 4:
      return of({{0, 1.2}, {1.1, -0.8}, {-1.1, -0.8}});
    case 5:
      return of({{-0.4, -1.2},
                 {0.4, -1.2},
                 {0.4, -0.4},
                 {1.2, -0.4},
                 {1.2, 0.4},
                 {0.4, 0.4},
                 {0.4, 1.2},
                 {-0.4, 1.2},
                 {-0.4, 0.4},
                 {-1.2, 0.4},
                 {-1.2, -0.4},
                 {-0.4, -0.4}});
    case 6:
      return of({{-1.3, -0.6}, {1.3, -0.6}, {1.3, 0.6}, {-1.3, 0.6}});
    default:
      return of({{0, -1.3},
                 {0.4, -0.4},
                 {1.3, 0},
                 {0.4, 0.4},
                 {0, 1.3},
                 {-0.4, 0.4},
                 {-1.3, 0},
                 {-0.4, -0.4}});
  }
}

std::string Families::pattern_definitions() const {
  std::string patterns;
  for (std::size_t i = 0; i < names_.size(); ++i) {
    std::string drawing = empty_element(
        "rect", {{"class", "c" + std::to_string(colour(i))}, {"width", "8"}, {"height", "8"}});
    if (const std::string_view lines = kPatterns[static_cast<std::size_t>(pattern(i))];
        !lines.empty()) {
      drawing += empty_element("path", {{"class", "hatch"}, {"d", std::string(lines)}});
    }
    patterns += element("pattern",
                        {{"id", pattern_id(i)},
                         {"width", "8"},
                         {"height", "8"},
                         {"patternUnits", "userSpaceOnUse"}},
                        drawing);
  }
  return element("svg", {{"class", "definitions"}, {"aria-hidden", "true"}},
                 element("defs", {}, patterns)) +
         "\n";
}

std::string Families::legend(const std::vector<std::string>& families, bool with_markers) const {
  std::string entries;
  for (const std::string& name : names_) {
    if (std::ranges::find(families, name) == families.end()) continue;
    const std::string mark =
        with_markers
            ? element("svg",
                      {{"class", "swatch"}, {"viewBox", "0 0 16 16"}, {"aria-hidden", "true"}},
                      marker(name, 8, 8, 5))
            : swatch(name);
    entries += element("li", {}, mark + escaped(" " + name));
  }
  return element("ul", {{"class", "legend"}}, entries) + "\n";
}

}  // namespace convopt
