#include "src/report/charts.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <map>
#include <set>
#include <span>

#include "core/text.h"
#include "src/report/markup.h"
#include "src/tune/transfer_curve.h"

namespace convopt {
namespace {

std::string time_text(double us) { return format_time(us * kNsPerUs); }

/// A round number: "0.02", "5", "2000".
std::string number_text(double value) {
  return value >= 1 ? fixed(value, 0) : significant(value, 2);
}

/// A round time: "20 us", "1.5 ms".
std::string tick_text(double us) {
  return us >= kNsPerUs ? significant(us / 1e3, 3) + " ms"
         : us >= 1      ? significant(us, 3) + " us"
                        : significant(us * kNsPerUs, 3) + " ns";
}

std::string line(double x1, double y1, double x2, double y2, const std::string& look) {
  return empty_element("line", {{"class", look},
                                {"x1", pixels(x1)},
                                {"y1", pixels(y1)},
                                {"x2", pixels(x2)},
                                {"y2", pixels(y2)}});
}

std::string text_at(double x, double y, const std::string& text, const std::string& anchor,
                    const std::string& look = "") {
  return element("text",
                 {{"x", pixels(x)}, {"y", pixels(y)}, {"text-anchor", anchor}, {"class", look}},
                 escaped(text));
}

std::string title(const std::string& text) { return element("title", {}, escaped(text)); }

/// An image that is `width` pixels wide where there is room, with a name for those who cannot see
/// it.
std::string image(const std::string& look, double width, double height, const std::string& name,
                  const std::string& drawing) {
  return element("svg",
                 {{"class", look},
                  {"role", "img"},
                  {"aria-label", name},
                  {"viewBox", "0 0 " + pixels(width) + " " + pixels(height)}},
                 drawing) +
         "\n";
}

/// A link to a step's row.
std::string link_to(std::size_t step, const std::string& drawing) {
  return element("a", {{"href", "#" + step_id(step)}}, drawing) + "\n";
}

/// A logarithmic axis from `low` to `high` over pixels `from` to `to`.
struct LogAxis {
  double low = 1, high = 10, from = 0, to = 1;

  double at(double value) const {
    const double share = std::log(value / low) / std::log(high / low);
    return from + (to - from) * std::clamp(share, 0.0, 1.0);
  }
  /// 1, 2, 5, 10, ...; powers of ten alone where they are many.
  std::vector<double> ticks() const {
    constexpr double kDecades = 2.6;
    const bool many = std::log10(high / low) > kDecades;
    std::vector<double> result;
    for (double power = std::pow(10, std::floor(std::log10(low))); power <= high; power *= 10) {
      for (const double factor : {1.0, 2.0, 5.0}) {
        if (many && factor > 1) continue;
        const double value = power * factor;
        if (value >= low * 0.999 && value <= high * 1.001) result.push_back(value);
      }
    }
    return result;
  }
};

/// Four or five round steps up to at least `most`.
double round_step(double most) {
  const double rough = std::max(most, 1e-9) / 4;
  const double power = std::pow(10, std::floor(std::log10(rough)));
  for (const double factor : {1.0, 2.0, 5.0}) {
    if (power * factor >= rough) return power * factor;
  }
  return power * 10;
}

std::string tooltip(const ReportStep& step) {
  std::string text = full_name(step) + "\n" + step.primitive + ", " + to_string(step.input) +
                     (step.input == step.output ? "" : " > " + to_string(step.output)) + "\n" +
                     time_text(step.us) + " " + step.source;
  if (step.model_us && step.source == "measured")
    text += ", " + time_text(*step.model_us) + " predicted";
  if (step.measured_us && step.source != "measured")
    text += ", " + time_text(*step.measured_us) + " measured";
  return text;
}

/// The formats that steps read or write, plain first.
std::vector<TensorFormat> formats_of(const Report& report) {
  std::vector<TensorFormat> formats;
  for (const ReportStep& step : report.steps) {
    for (const TensorFormat format : {step.input, step.output}) {
      if (std::ranges::find(formats, format) == formats.end()) formats.push_back(format);
    }
  }
  std::ranges::sort(formats, [](TensorFormat a, TensorFormat b) {
    return std::pair(a.type, a.layout) < std::pair(b.type, b.layout);
  });
  return formats;
}

/// A line through lanes, one per format: a tensor's way through the network.
std::string lanes(const Report& report, double left, double top, double step_width) {
  constexpr double kLane = 18;
  const std::vector<TensorFormat> formats = formats_of(report);
  const auto lane = [&](TensorFormat format) {
    const auto place = std::ranges::find(formats, format) - formats.begin();
    return top + kLane * (static_cast<double>(place) + 0.5);
  };
  const double width = step_width * static_cast<double>(report.steps.size());
  std::string svg;
  for (const TensorFormat format : formats) {
    svg += line(left, lane(format), left + width, lane(format), "grid");
    svg += text_at(left - 6, lane(format) + 4, to_string(format), "end");
  }
  std::string path;
  for (std::size_t s = 0; s < report.steps.size(); ++s) {
    const ReportStep& step = report.steps[s];
    const double x = left + step_width * static_cast<double>(s);
    path += (path.empty() ? "M" : "L") + pixels(x) + "," + pixels(lane(step.input));
    path += "L" + pixels(x + step_width / 2) + "," + pixels(lane(step.input));
    path += "L" + pixels(x + step_width / 2) + "," + pixels(lane(step.output));
    path += "L" + pixels(x + step_width) + "," + pixels(lane(step.output));
  }
  svg += empty_element("path", {{"class", "way"}, {"d", path}}) + "\n";
  for (std::size_t s = 0; s < report.steps.size(); ++s) {
    const ReportStep& step = report.steps[s];
    if (!step.is_conversion) continue;
    const double x = left + step_width * (static_cast<double>(s) + 0.5), y = lane(step.output);
    const std::string diamond = pixels(x) + "," + pixels(y - 5) + " " + pixels(x + 5) + "," +
                                pixels(y) + " " + pixels(x) + "," + pixels(y + 5) + " " +
                                pixels(x - 5) + "," + pixels(y);
    svg += link_to(s, element("polygon", {{"class", "conversion"}, {"points", diamond}},
                              title("conversion of " + tooltip(step))));
  }
  return svg;
}

double largest_us(const Report& report) {
  double most = 0;
  for (const ReportStep& step : report.steps)
    most = std::max({most, step.us, step.measured_us.value_or(0)});
  return most;
}

struct Roof {
  std::string name;
  double gbps = 0;
};

std::vector<Roof> bandwidths(const Machine& machine) {
  std::vector<Roof> roofs = {{"L1", machine.l1_gbps},
                             {"L2", machine.l2_gbps},
                             {"L3", machine.l3_gbps},
                             {"memory", machine.memory_gbps}};
  std::erase_if(roofs, [](const Roof& roof) { return !(roof.gbps > 0); });
  return roofs;
}

struct Peak {
  std::string name;
  double gflops = 0;
};

/// Of the types that the plan multiplies.
std::vector<Peak> peaks(const Report& report, const Machine& machine) {
  const auto multiplies = [&](DataType type) {
    return std::ranges::any_of(report.steps,
                               [&](const ReportStep& step) { return step.product_type == type; });
  };
  std::vector<Peak> result = {{"f32", machine.peak_gflops}};
  if (multiplies(DataType::bf16)) result.push_back({"bf16", machine.peak_bf16_gflops});
  if (multiplies(DataType::s8)) result.push_back({"int8", machine.peak_int8_gops});
  std::erase_if(result, [](const Peak& peak) { return !(peak.gflops > 0); });
  return result;
}

}  // namespace

std::string step_id(std::size_t step) { return "step-" + std::to_string(step); }

std::string full_name(const ReportStep& step) {
  std::string text = step.name;
  for (const std::string& fused : step.fused) text += " + " + fused;
  return text;
}

double best_us(const ReportStep& step) { return step.measured_us.value_or(step.us); }

double rate_gflops(const ReportStep& step) {
  const double us = best_us(step);
  return us > 0 ? step.flops / us / kNsPerUs : 0;
}

std::string timeline_svg(const Report& report, const Families& families) {
  constexpr double kWidth = 1100, kLeft = 78, kTop = 12, kBars = 210, kGap = 26;
  const double step_width =
      (kWidth - kLeft - 6) / static_cast<double>(std::max<std::size_t>(1, report.steps.size()));
  const double grid_step = round_step(largest_us(report));
  const double most = grid_step * std::max(1.0, std::ceil(largest_us(report) / grid_step));
  const auto y = [&](double us) { return kTop + kBars * (1 - us / most); };
  std::string svg;
  for (double us = 0; us <= most * 1.001; us += grid_step) {
    svg += line(kLeft, y(us), kWidth - 6, y(us), "grid");
    svg += text_at(kLeft - 6, y(us) + 4, us > 0 ? tick_text(us) : "0", "end");
  }
  const double gap = step_width > 5 ? 1.5 : step_width / 5;
  for (std::size_t s = 0; s < report.steps.size(); ++s) {
    const ReportStep& step = report.steps[s];
    const double x = kLeft + step_width * static_cast<double>(s);
    // A thin bar is hard to see and to hit, so the whole column answers.
    std::string bar = empty_element("rect", {{"class", "column"},
                                             {"x", pixels(x)},
                                             {"y", pixels(kTop)},
                                             {"width", pixels(step_width)},
                                             {"height", pixels(kBars)}});
    bar += empty_element("rect", {{"class", "bar"},
                                  {"x", pixels(x + gap / 2)},
                                  {"y", pixels(y(step.us))},
                                  {"width", pixels(std::max(0.5, step_width - gap))},
                                  {"height", pixels(std::max(0.5, kTop + kBars - y(step.us)))},
                                  {"fill", families.fill(step.family)}});
    if (step.measured_us) {
      bar += line(x, y(*step.measured_us), x + step_width, y(*step.measured_us), "measured");
    }
    svg += link_to(s, title(tooltip(step)) + bar);
  }
  const double lanes_top = kTop + kBars + kGap;
  svg += lanes(report, kLeft, lanes_top, step_width);
  const double height = lanes_top + 18 * static_cast<double>(formats_of(report).size()) + 6;
  return image("wide", kWidth, height, "Time of every layer in the order of execution", svg);
}

std::string scatter_svg(const Report& report, const Families& families) {
  constexpr double kWidth = 520, kHeight = 440, kLeft = 66, kBottom = 48, kTop = 12, kRight = 14;
  struct Point {
    double predicted, measured;
    std::size_t step;
  };
  std::vector<Point> points;
  double low = 1e300, high = 0;
  const auto take = [&](double predicted, double measured) {
    low = std::min({low, predicted, measured});
    high = std::max({high, predicted, measured});
  };
  for (std::size_t s = 0; s < report.steps.size(); ++s) {
    const ReportStep& step = report.steps[s];
    const double predicted = step.model_us.value_or(step.source == "measured" ? 0 : step.us);
    if (!step.measured_us || !(*step.measured_us > 0) || !(predicted > 0)) continue;
    points.push_back({predicted, *step.measured_us, s});
    take(predicted, *step.measured_us);
  }
  // More would hide each other and make the page slow.
  constexpr std::size_t kMost = 3000;
  const std::size_t stride = std::max<std::size_t>(1, report.known.size() / kMost);
  std::vector<std::pair<double, double>> others;
  for (std::size_t i = 0; i < report.known.size(); i += stride) {
    const auto& [predicted, measured] = report.known[i];
    if (!(predicted > 0) || !(measured > 0)) continue;
    others.push_back(report.known[i]);
    take(predicted, measured);
  }
  if (points.size() + others.size() < 2) return "";
  const LogAxis x{low / 1.3, high * 1.3, kLeft, kWidth - kRight};
  const LogAxis y{low / 1.3, high * 1.3, kHeight - kBottom, kTop};
  std::string svg;
  for (const double us : x.ticks()) {
    svg += line(x.at(us), kTop, x.at(us), kHeight - kBottom, "grid");
    svg += text_at(x.at(us), kHeight - kBottom + 16, tick_text(us), "middle");
    svg += line(kLeft, y.at(us), kWidth - kRight, y.at(us), "grid");
    svg += text_at(kLeft - 6, y.at(us) + 4, tick_text(us), "end");
  }
  svg += line(x.at(x.low), y.at(x.low), x.at(x.high), y.at(x.high), "diagonal");
  // A factor of two to either side.
  svg += line(x.at(x.low), y.at(2 * x.low), x.at(x.high / 2), y.at(x.high), "dashed");
  svg += line(x.at(2 * x.low), y.at(x.low), x.at(x.high), y.at(x.high / 2), "dashed");
  for (const auto& [predicted, measured] : others) {
    svg += empty_element("circle", {{"class", "faint"},
                                    {"cx", pixels(x.at(predicted))},
                                    {"cy", pixels(y.at(measured))},
                                    {"r", "1.6"}});
  }
  svg += "\n";
  for (const Point& point : points) {
    const ReportStep& step = report.steps[point.step];
    svg += link_to(point.step,
                   title(tooltip(step)) + families.marker(step.family, x.at(point.predicted),
                                                          y.at(point.measured), 5));
  }
  svg += text_at((kLeft + kWidth) / 2, kHeight - 8, "predicted", "middle", "axis");
  svg += text_at(kLeft + 8, kTop + 14, "measured", "start", "axis");
  return image("square", kWidth, kHeight, "Predicted against measured times", svg);
}

std::string roofline_svg(const Report& report, const Families& families) {
  constexpr double kWidth = 520, kHeight = 440, kLeft = 56, kBottom = 48, kTop = 12, kRight = 14;
  const Machine& machine = report.plan.platform.machine;
  const std::vector<Peak> tops = peaks(report, machine);
  const std::vector<Roof> roofs = bandwidths(machine);
  if (tops.empty() || roofs.empty()) return "";

  double least = 0.5, most = 100, slowest = tops.front().gflops / 50, fastest = 0;
  for (const Peak& peak : tops) fastest = std::max(fastest, peak.gflops * 1.5);
  for (const ReportStep& step : report.steps) {
    if (!(step.flops > 0) || !(step.bytes > 0) || !(rate_gflops(step) > 0)) continue;
    least = std::min(least, step.flops / step.bytes / 1.3);
    most = std::max(most, step.flops / step.bytes * 1.3);
    slowest = std::min(slowest, rate_gflops(step) / 1.3);
    fastest = std::max(fastest, rate_gflops(step) * 1.3);
  }
  // Moves have no arithmetic; they stand at the left edge, by their bytes.
  for (const ReportStep& step : report.steps) {
    if (step.flops > 0 || !(step.bytes > 0) || !(best_us(step) > 0)) continue;
    slowest = std::min(slowest, step.bytes / best_us(step) / kNsPerUs * least / 1.3);
  }
  // What a few odd layers do must not squeeze all others.
  least = std::max(least, 1e-2);
  slowest = std::max(slowest, fastest / 1e6);
  const LogAxis x{least, most, kLeft, kWidth - kRight};
  const LogAxis y{slowest, fastest, kHeight - kBottom, kTop};
  std::string svg;
  for (const double value : x.ticks()) {
    svg += line(x.at(value), kTop, x.at(value), kHeight - kBottom, "grid");
    svg += text_at(x.at(value), kHeight - kBottom + 16, number_text(value), "middle");
  }
  for (const double value : y.ticks()) {
    svg += line(kLeft, y.at(value), kWidth - kRight, y.at(value), "grid");
    svg += text_at(kLeft - 6, y.at(value) + 4, number_text(value), "end");
  }
  const double top = std::ranges::max_element(tops, {}, &Peak::gflops)->gflops;
  std::string labels;
  double last_label = 0;
  for (const Roof& roof : roofs) {
    // From the left or the lower edge to where it meets the highest peak, or the right edge.
    const double begin = std::max(x.low, y.low / roof.gbps);
    const double end = std::min(x.high, top / roof.gbps);
    if (begin >= end) continue;
    svg += line(x.at(begin), y.at(begin * roof.gbps), x.at(end), y.at(end * roof.gbps), "roof");
    constexpr double kLabel = 14;
    last_label = std::max(y.at(begin * roof.gbps) + 4, last_label + kLabel);
    labels += text_at(x.at(begin) + 18, last_label, roof.name + " " + fixed(roof.gbps, 0) + " GB/s",
                      "start", "label");
  }
  for (const Peak& peak : tops) {
    const double begin = std::max(x.low, peak.gflops / roofs.front().gbps);
    svg += line(x.at(begin), y.at(peak.gflops), x.at(x.high), y.at(peak.gflops), "roof");
    labels += text_at(kWidth - kRight - 4, y.at(peak.gflops) - 5,
                      "peak " + peak.name + " " + fixed(peak.gflops, 0), "end", "label");
  }
  double all_us = 0;
  for (const ReportStep& step : report.steps) all_us += best_us(step);
  for (std::size_t s = 0; s < report.steps.size(); ++s) {
    const ReportStep& step = report.steps[s];
    if (!(step.bytes > 0) || !(best_us(step) > 0)) continue;
    const bool is_move = !(step.flops > 0);
    const double intensity = is_move ? x.low : step.flops / step.bytes;
    const double rate = is_move ? step.bytes / best_us(step) / kNsPerUs * x.low : rate_gflops(step);
    // Area by share of the time, never too small to be seen.
    const double radius = 3 + 14 * std::sqrt(best_us(step) / all_us);
    const std::string numbers = (is_move ? "\nno arithmetic, "
                                         : "\n" + significant(rate, 3) + " Gflop/s, " +
                                               significant(intensity, 3) + " flop per byte, ") +
                                significant(step.bytes / best_us(step) / kNsPerUs, 3) + " GB/s";
    svg += link_to(s, title(tooltip(step) + numbers) + families.marker(step.family, x.at(intensity),
                                                                       y.at(rate), radius,
                                                                       is_move ? " hollow" : ""));
  }
  svg += labels;
  svg += text_at((kLeft + kWidth) / 2, kHeight - 8, "operations per byte", "middle", "axis");
  svg += text_at(kWidth - kRight - 4, kHeight - kBottom - 8, "vertical: Gflop/s", "end", "axis");
  return image("square", kWidth, kHeight, "Roofline with every layer", svg);
}

std::string regions_svg(const ReportRegions& regions, const Families& families) {
  constexpr double kLeft = 50, kTop = 22, kCellWidth = 42, kCellHeight = 25, kBottom = 44;
  const double width = kLeft + kCellWidth * static_cast<double>(regions.sizes.size()) + 8;
  const double height = kTop + kCellHeight * static_cast<double>(regions.channels.size()) + kBottom;
  std::string svg;
  for (std::size_t c = 0; c < regions.cells.size(); ++c) {
    // Many channels at the top, as on any vertical axis.
    const double y = kTop + kCellHeight * static_cast<double>(regions.channels.size() - 1 - c);
    svg += text_at(kLeft - 6, y + kCellHeight / 2 + 4, std::to_string(regions.channels[c]), "end");
    for (std::size_t s = 0; s < regions.cells[c].size(); ++s) {
      const ReportRegions::Cell& cell = regions.cells[c][s];
      if (cell.family.empty()) continue;
      const double x = kLeft + kCellWidth * static_cast<double>(s);
      const bool is_clear = !(cell.next_us > 0) || cell.next_us >= cell.us * kClearLead;
      std::string code = families.code(cell.family);
      if (is_clear) {
        std::ranges::transform(code, code.begin(), [](unsigned char letter) {
          return static_cast<char>(std::toupper(letter));
        });
      }
      std::string words = std::to_string(regions.channels[c]) + " channels, " +
                          std::to_string(regions.sizes[s]) + " x " +
                          std::to_string(regions.sizes[s]) + "\n" + cell.primitive + " " +
                          time_text(cell.us);
      if (cell.next_us > 0) {
        words += "\nnext family: " + cell.next_family + " " + time_text(cell.next_us) + ", " +
                 fixed(cell.next_us / cell.us, 2) + " times as long";
      }
      svg += element(
                 "g", {},
                 title(words) +
                     empty_element("rect", {{"class", "cell"},
                                            {"x", pixels(x)},
                                            {"y", pixels(y)},
                                            {"width", pixels(kCellWidth)},
                                            {"height", pixels(kCellHeight)},
                                            {"fill", families.fill(cell.family)}}) +
                     text_at(x + kCellWidth / 2, y + kCellHeight / 2 + 4, code, "middle", "code")) +
             "\n";
    }
  }
  // Positions between the lines of the grid, by logarithms.
  const auto place = [](std::span<const int> grid, double value) {
    std::size_t i = 0;
    while (i + 2 < grid.size() && value > grid[i + 1]) ++i;
    return static_cast<double>(i) +
           std::log(value / grid[i]) / std::log(double(grid[i + 1]) / grid[i]);
  };
  for (const auto& [channels, size] : regions.layers) {
    const double column = place(regions.sizes, size), row = place(regions.channels, channels);
    const auto inside = [](double at, std::size_t count) {
      return at > -0.5 && at < static_cast<double>(count) - 0.5;
    };
    if (!inside(column, regions.sizes.size()) || !inside(row, regions.channels.size())) continue;
    svg += element("circle",
                   {{"class", "own"},
                    {"cx", pixels(kLeft + kCellWidth * (column + 0.5))},
                    {"cy", pixels(height - kBottom - kCellHeight * (row + 0.5))},
                    {"r", "11"}},
                   title("a layer of the network: " + fixed(channels, 0) + " channels, size " +
                         fixed(size, 0)));
  }
  for (std::size_t s = 0; s < regions.sizes.size(); ++s) {
    svg += text_at(kLeft + kCellWidth * (static_cast<double>(s) + 0.5), height - kBottom + 16,
                   std::to_string(regions.sizes[s]), "middle");
  }
  svg += text_at(4, 14, "channels", "start", "axis");
  svg +=
      text_at((kLeft + width) / 2, height - 8, "rows and columns of the image", "middle", "axis");
  return image("square", width, height,
               "Fastest family for convolutions of " + std::to_string(regions.kernel) + " x " +
                   std::to_string(regions.kernel),
               svg);
}

std::string errors_svg(const Report& report, const Families& families) {
  if (report.errors.empty()) return "";
  constexpr double kWidth = 560, kLeft = 112, kRight = 112, kTop = 26, kRow = 22, kBottom = 40;
  constexpr double kBar = 12;
  // Nothing beyond a factor of ten is told apart; nearer than a quarter, all is well.
  double span = 1.25;
  for (const ReportErrors& e : report.errors) span = std::max({span, e.high, 1 / e.low});
  span = std::min(span * 1.05, 10.0);
  const double height = kTop + kRow * static_cast<double>(report.errors.size()) + kBottom;
  const LogAxis x{1 / span, span, kLeft, kWidth - kRight};
  std::string svg;
  const std::vector<double> ticks =
      span < 1.7   ? std::vector{0.6, 0.7, 0.8, 0.9, 1.0, 1.1, 1.25, 1.4, 1.6}
      : span < 4.5 ? std::vector{0.25, 0.35, 0.5, 0.7, 1.0, 1.4, 2.0, 2.8, 4.0}
                   : std::vector{0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0};
  for (const double tick : ticks) {
    if (tick < x.low || tick > x.high) continue;
    svg += line(x.at(tick), kTop, x.at(tick), height - kBottom, tick == 1 ? "diagonal" : "grid");
    svg += text_at(x.at(tick), height - kBottom + 16, significant(tick, 3), "middle");
  }
  svg += text_at(kWidth - kRight + 52, kTop - 10, "median", "end");
  svg += text_at(kWidth - 2, kTop - 10, "times", "end");
  for (std::size_t i = 0; i < report.errors.size(); ++i) {
    const ReportErrors& e = report.errors[i];
    const double y = kTop + kRow * (static_cast<double>(i) + 0.5);
    const std::string name = e.family.empty() ? "all" : e.family;
    const std::string look = e.family.empty() ? "axis" : "";
    std::string row =
        title(name + ", " + counted(e.times, "time") + ": half take " + fixed(e.lower, 2) + " to " +
              fixed(e.upper, 2) + " times the prediction, nine of ten " + fixed(e.low, 2) + " to " +
              fixed(e.high, 2));
    row += text_at(kLeft - 8, y + 4, name, "end", look);
    row += line(x.at(e.low), y, x.at(e.high), y, "whisker");
    row += empty_element("rect",
                         {{"class", e.family.empty() ? "everything" : "bar"},
                          {"x", pixels(x.at(e.lower))},
                          {"y", pixels(y - kBar / 2)},
                          {"width", pixels(std::max(1.0, x.at(e.upper) - x.at(e.lower)))},
                          {"height", pixels(kBar)},
                          {"fill", e.family.empty() ? "currentColor" : families.fill(e.family)}});
    row += line(x.at(e.median), y - kBar / 2 - 2, x.at(e.median), y + kBar / 2 + 2, "middle");
    row += text_at(kWidth - kRight + 52, y + 4, fixed(e.median, 2), "end", look);
    row += text_at(kWidth - 2, y + 4, std::to_string(e.times), "end", look);
    svg += element("g", {}, row) + "\n";
  }
  svg += text_at((kLeft + kWidth - kRight) / 2, height - 6, "measured over predicted time",
                 "middle", "axis");
  return image("square", kWidth, height, "Error of the model by family", svg);
}

std::string curve_svg(const ReportCurve& curve, CurveValue value, std::optional<double> noise_floor,
                      const Families& methods) {
  constexpr double kWidth = 520, kHeight = 320, kLeft = 62, kBottom = 46, kTop = 14, kRight = 18;
  // Regrets are near 1, so what is above it is drawn, by logarithms.
  constexpr double kLeast = 1e-3;
  const bool is_regret = value == CurveValue::regret;
  const auto of = [&](const ReportCurve::Point& point) {
    return std::max(is_regret ? point.regret - 1 : point.error, kLeast);
  };
  const auto worst_of = [&](const ReportCurve::Point& point) {
    return std::max(point.worst - 1, kLeast);
  };
  const auto label = [&](double at) {
    return is_regret ? fixed(1 + at, at < 0.01 ? 3 : 2) : significant(100 * at, 3) + " %";
  };
  double low = 1e300, high = 0;
  std::set<std::size_t> counts;
  const auto take = [&](double at) {
    low = std::min(low, at);
    high = std::max(high, at);
  };
  for (const auto& [method, points] : curve.methods) {
    for (const ReportCurve::Point& point : points) {
      counts.insert(point.shapes);
      take(of(point));
      if (is_regret && method == kAutomatic) take(worst_of(point));
    }
  }
  // 0: there is none.
  const double floor = is_regret ? noise_floor.value_or(0) : 0;
  if (floor > 0) take(std::max(floor - 1, kLeast));
  const LogAxis y{low / 1.15, high * 1.15, kHeight - kBottom, kTop};
  const auto x = [&](std::size_t shapes) {
    const auto place = static_cast<double>(std::distance(counts.begin(), counts.find(shapes)));
    const double steps = std::max(1.0, static_cast<double>(counts.size()) - 1);
    return kLeft + 14 + (kWidth - kRight - kLeft - 28) * place / steps;
  };
  std::string svg;
  for (const double at : y.ticks()) {
    svg += line(kLeft, y.at(at), kWidth - kRight, y.at(at), "grid");
    svg += text_at(kLeft - 6, y.at(at) + 4, label(at), "end");
  }
  for (const std::size_t shapes : counts)
    svg += text_at(x(shapes), kHeight - kBottom + 18, std::to_string(shapes), "middle");
  if (floor > 0) {
    const double at = y.at(std::max(floor - 1, kLeast));
    svg += line(kLeft, at, kWidth - kRight, at, "dashed");
    svg += text_at(kWidth - kRight - 4, at - 5, "noise floor", "end", "label");
  }
  const auto path = [&](const std::vector<ReportCurve::Point>& points, const auto& height) {
    std::string corners;
    for (const ReportCurve::Point& point : points) {
      corners += (corners.empty() ? "" : " ") + pixels(x(point.shapes)) + "," +
                 pixels(y.at(height(point)));
    }
    return corners;
  };
  // The automatic choice lies above the others.
  for (const bool is_main : {false, true}) {
    for (const auto& [method, points] : curve.methods) {
      if ((method == kAutomatic) != is_main) continue;
      const std::string look = methods.stroke(method) + " curve";
      if (is_main && is_regret) {
        svg += empty_element("polyline",
                             {{"class", look + " worst"}, {"points", path(points, worst_of)}});
      }
      svg += empty_element(
          "polyline", {{"class", look + (is_main ? " main" : "")}, {"points", path(points, of)}});
      for (const ReportCurve::Point& point : points) {
        std::string words = method + ", " + counted(point.shapes, "shape") + ": " +
                            (is_regret ? "regret " + fixed(point.regret, 3) + ", worst draw " +
                                             fixed(point.worst, 3)
                                       : "median error " + fixed(100 * point.error, 1) + " %");
        svg += element("g", {},
                       title(words) + methods.marker(method, x(point.shapes), y.at(of(point)), 4)) +
               "\n";
      }
    }
  }
  svg += text_at((kLeft + kWidth) / 2, kHeight - 8, "shapes timed", "middle", "axis");
  return image("square", kWidth, kHeight,
               std::string(is_regret ? "Regret" : "Median error of predictions") +
                   " by the number of shapes timed",
               svg);
}

}  // namespace convopt
