#include "src/tune/curve_plot.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <functional>
#include <vector>

#include "core/text.h"

namespace convopt {
namespace {

// A colour for each important method; the automatic choice has the thickest line.
struct Style {
  std::string method;
  const char* colour;
  double width;
};

std::vector<Style> styles() {
  const auto name = [](TransferMethod method) { return std::string(to_string(method)); };
  return {{name(TransferMethod::one_factor), "#9aa0a6", 1.5},
          {name(TransferMethod::factor_per_primitive), "#e37400", 1.5},
          {name(TransferMethod::linear_cost_scratch), "#188038", 1.5},
          {name(TransferMethod::linear_cost), "#9334e6", 1.5},
          {name(TransferMethod::trees_scratch), "#d93025", 1.5},
          {name(TransferMethod::zero_shot), "#5f6368", 1.5},
          {name(TransferMethod::residual_gp), "#00897b", 1.5},
          {kAutomatic, "#1a73e8", 3.0}};
}

std::string text_at(double x, double y, const std::string& text, const char* anchor = "middle",
                    const char* more = "") {
  return "<text x=\"" + fixed(x, 1) + "\" y=\"" + fixed(y, 1) + "\" text-anchor=\"" + anchor +
         "\"" + more + ">" + text + "</text>\n";
}

struct Panel {
  double x, y, width, height;
  double least, most;              ///< limits of the logarithm of the value
  std::vector<std::size_t> sizes;  ///< evenly spaced

  double at_size(std::size_t size) const {
    const auto index = std::ranges::find(sizes, size) - sizes.begin();
    const double steps = std::max<double>(1, double(sizes.size()) - 1);
    return x + width * double(index) / steps;
  }
  double at_value(double value) const {
    const double share = (std::log(value) - least) / (most - least);
    return y + height * (1 - std::clamp(share, 0.0, 1.0));
  }
};

// Values on a logarithmic axis, one line per method; the worst draws of the automatic choice as a
// dashed line.
std::string panel_svg(const Curve& curve, Panel panel, const std::string& title,
                      const std::function<double(const CurvePoint&)>& value,
                      const std::function<double(const CurvePoint&)>& worst,
                      std::span<const double> ticks,
                      const std::function<std::string(double)>& label) {
  panel.least = std::log(ticks.front());
  panel.most = std::log(ticks.back());
  std::string svg =
      text_at(panel.x + panel.width / 2, panel.y - 12, title, "middle", " font-weight=\"bold\"");
  for (const double tick : ticks) {
    const std::string y = fixed(panel.at_value(tick), 1);
    svg += "<line x1=\"" + fixed(panel.x, 1) + "\" x2=\"" + fixed(panel.x + panel.width, 1) +
           "\" y1=\"" + y + "\" y2=\"" + y + "\" stroke=\"#dadce0\"/>\n";
    svg += text_at(panel.x - 6, panel.at_value(tick) + 4, label(tick), "end");
  }
  for (const std::size_t size : panel.sizes) {
    svg += text_at(panel.at_size(size), panel.y + panel.height + 18, std::to_string(size));
  }
  svg += text_at(panel.x + panel.width / 2, panel.y + panel.height + 36, "shapes timed");
  const auto line = [&](const Style& style, const auto& of, const char* dash) {
    std::string points, marks;
    for (const CurvePoint& p : curve.points) {
      if (p.method != style.method) continue;
      const std::string x = fixed(panel.at_size(p.shapes), 1);
      const std::string y = fixed(panel.at_value(of(p)), 1);
      points += (points.empty() ? "" : " ") + x + "," + y;
      marks += "<circle cx=\"" + x + "\" cy=\"" + y + "\" r=\"" + fixed(style.width, 1) +
               "\" fill=\"" + style.colour + "\"/>\n";
    }
    if (points.empty()) return;
    svg += "<polyline points=\"" + points + "\" fill=\"none\" stroke=\"" +
           std::string(style.colour) + "\" stroke-width=\"" + fixed(style.width, 1) + "\"" + dash +
           "/>\n" + marks;
  };
  for (const Style& style : styles()) line(style, value, "");
  line({kAutomatic, "#1a73e8", 1.0}, worst, " stroke-dasharray=\"4 3\"");
  return svg;
}

std::string escaped(const std::string& text) {
  std::string result;
  for (const char c : text) {
    result += c == '&' ? "&amp;" : c == '<' ? "&lt;" : c == '>' ? "&gt;" : std::string(1, c);
  }
  return result;
}

}  // namespace

std::string curve_svg(std::span<const Curve> curves) {
  constexpr double kWidth = 1020, kRow = 330, kLegend = 40;
  const double height = kRow * double(curves.size()) + kLegend;
  std::string svg = "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 " + fixed(kWidth, 0) +
                    " " + fixed(height, 0) +
                    "\" font-family=\"sans-serif\" font-size=\"12\" fill=\"#202124\">\n"
                    "<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n";
  constexpr std::array kErrors = {0.02, 0.05, 0.1, 0.2, 0.5, 1.0};
  // Regret minus one.
  constexpr std::array kRegrets = {0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0};
  for (std::size_t i = 0; i < curves.size(); ++i) {
    const Curve& curve = curves[i];
    const double top = kRow * double(i);
    std::string sources;
    for (const std::string& source : curve.sources) {
      sources += (sources.empty() ? "" : ", ") + source;
    }
    svg += text_at(20, top + 24, escaped(sources + " to " + curve.platform), "start",
                   " font-size=\"14\" font-weight=\"bold\"");
    std::vector<std::size_t> sizes;
    for (const CurvePoint& p : curve.points) {
      if (std::ranges::find(sizes, p.shapes) == sizes.end()) sizes.push_back(p.shapes);
    }
    std::ranges::sort(sizes);
    svg += panel_svg(
        curve, {70, top + 70, 370, 200, 0, 1, sizes}, "median relative error",
        [](const CurvePoint& p) { return p.error; },
        [](const CurvePoint& p) { return p.worst_error; }, kErrors,
        [](double value) { return fixed(100 * value, 0) + " %"; });
    const bool networks = curve.networks > 0;
    svg += panel_svg(
        curve, {540, top + 70, 370, 200, 0, 1, sizes},
        networks ? "mean regret of networks (dashed: worst draw)" : "regret (dashed: worst draw)",
        [&](const CurvePoint& p) { return (networks ? p.network_regret : p.regret) - 1; },
        [&](const CurvePoint& p) {
          return (networks ? p.worst_draw_network_regret : p.worst_regret) - 1;
        },
        kRegrets, [](double value) { return fixed(1 + value, value < 0.01 ? 3 : 2); });
  }
  double x = 40;
  for (const Style& style : styles()) {
    const double y = kRow * double(curves.size()) + 16;
    svg += "<rect x=\"" + fixed(x, 1) + "\" y=\"" + fixed(y - 8, 1) +
           "\" width=\"14\" height=\"6\" fill=\"" + style.colour + "\"/>\n";
    svg += text_at(x + 20, y, style.method, "start");
    x += 50 + 7.0 * double(style.method.size());
  }
  return svg + "</svg>\n";
}

}  // namespace convopt
