#include "src/report/page.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "core/files.h"
#include "core/statistics.h"
#include "core/text.h"
#include "src/report/assets.h"
#include "src/report/charts.h"
#include "src/report/families.h"
#include "src/report/markup.h"
#include "src/tune/transfer_curve.h"

namespace convopt {
namespace {

constexpr double kNsPerMs = 1e6;

/// More would make a page of a network of a thousand layers slow; the fastest are worth seeing.
constexpr std::size_t kMostCandidates = 25;

std::string us_text(double us) { return format_time(us * kNsPerUs); }
std::string ms_text(double ms) { return format_time(ms * kNsPerMs); }
std::string percent(double share, int decimals = 1) { return fixed(100 * share, decimals) + " %"; }
std::string times_text(double ratio) { return fixed(ratio, 2) + "\xC3\x97"; }

std::string paragraph(const std::string& text) { return element("p", {}, escaped(text)) + "\n"; }
std::string heading(const std::string& text) { return element("h2", {}, escaped(text)) + "\n"; }
std::string cell(const std::string& content, const std::string& look = "") {
  return look.empty() ? element("td", {}, content) : element("td", {{"class", look}}, content);
}
std::string row(const std::string& cells) { return element("tr", {}, cells) + "\n"; }
std::string head_cell(const std::string& text, const std::string& look = "") {
  return element("th", {{"scope", "col"}, {"class", look}}, escaped(text));
}

std::string table(const std::string& look, const std::string& head, const std::string& rows) {
  const std::string content = (head.empty() ? "" : element("thead", {}, element("tr", {}, head))) +
                              "\n" + element("tbody", {}, rows);
  return element("div", {{"class", "scroll"}}, element("table", {{"class", look}}, content)) + "\n";
}

std::string figure(const std::string& drawing, const std::string& legend,
                   const std::string& caption) {
  return element("figure", {},
                 element("div", {{"class", "scroll"}}, drawing) + legend +
                     element("figcaption", {}, escaped(caption))) +
         "\n";
}

/// A bar of that share of its cell.
std::string track(double share, const std::string& look = "") {
  return element(
      "i",
      {{"class", look}, {"style", "width:" + fixed(100 * std::clamp(share, 0.0, 1.0), 1) + "%"}},
      "");
}

std::string format_text(TensorFormat from, TensorFormat to) {
  const std::string text = to_string(from);
  return from == to ? text : text + " > " + to_string(to);
}

std::string with_count(std::size_t count, const std::string& noun) { return counted(count, noun); }

std::string tile(const std::string& label, const std::string& value, const std::string& more) {
  return element("div", {{"class", "tile"}},
                 escaped(label) + element("b", {}, escaped(value)) +
                     element("span", {{"class", "soft"}}, escaped(more)));
}

std::string tiles(const Report& report) {
  const ReportTotal& mine = report.totals.front();
  const auto measured = static_cast<std::size_t>(std::ranges::count_if(
      report.steps, [](const ReportStep& step) { return step.source == "measured"; }));
  const std::string rests_on =
      measured > 0 ? std::to_string(measured) + " of " + counted(report.steps.size(), "step") +
                         " measured alone"
      : mine.predicted_ms > 0 ? fixed(1e3 / mine.predicted_ms, 1) + " runs per second"
                              : "";
  std::string content = tile("predicted", ms_text(mine.predicted_ms), rests_on);
  if (mine.measured_ms) {
    content += tile("measured", ms_text(*mine.measured_ms),
                    fixed(*mine.measured_ms / mine.predicted_ms, 2) + " times the prediction");
  }
  for (std::size_t i = 1; i < std::min<std::size_t>(3, report.totals.size()); ++i) {
    const ReportTotal& other = report.totals[i];
    const bool both = mine.measured_ms && other.measured_ms;
    const double ratio =
        both ? *other.measured_ms / *mine.measured_ms : other.predicted_ms / mine.predicted_ms;
    content += tile("against the " + other.name.substr(0, other.name.find(',')), times_text(ratio),
                    both ? "as fast, measured" : "as fast, predicted");
  }
  return element("div", {{"class", "tiles"}}, content) + "\n";
}

std::string totals(const Report& report) {
  const bool measured = report.totals.front().measured_ms.has_value();
  double most = 0;
  for (const ReportTotal& total : report.totals)
    most = std::max({most, total.predicted_ms, total.measured_ms.value_or(0)});
  std::string head = head_cell("plan") + head_cell("predicted", "number");
  if (measured) head += head_cell("measured", "number");
  head += head_cell("ratio", "number") + head_cell("", "wide-only");
  std::string rows;
  const ReportTotal& mine = report.totals.front();
  for (const ReportTotal& total : report.totals) {
    std::string cells =
        cell(escaped(total.name), "name") + cell(escaped(ms_text(total.predicted_ms)), "number");
    if (measured)
      cells += cell(total.measured_ms ? escaped(ms_text(*total.measured_ms)) : "", "number");
    const double ratio = measured && total.measured_ms ? *total.measured_ms / *mine.measured_ms
                                                       : total.predicted_ms / mine.predicted_ms;
    cells += cell(escaped(times_text(ratio)), "number");
    std::string bars = track(total.predicted_ms / most);
    if (total.measured_ms) bars += track(*total.measured_ms / most, "m");
    rows += row(cells + cell(element("span", {{"class", "track"}}, bars), "wide-only"));
  }
  return table("", head, rows);
}

std::string families_table(const Report& report, const Families& families) {
  struct Share {
    std::size_t steps = 0;
    double us = 0;
  };
  std::map<std::string, Share> shares;
  Share conversions;
  double all_us = 0;
  for (const ReportStep& step : report.steps) {
    Share& share = step.is_conversion ? conversions : shares[step.family];
    ++share.steps;
    share.us += step.us;
    all_us += step.us;
  }
  std::string rows;
  const auto add = [&](const std::string& name, const Share& share) {
    rows +=
        row(cell(name, "format") + cell(std::to_string(share.steps), "number") +
            cell(escaped(us_text(share.us)), "number") +
            cell(percent(all_us > 0 ? share.us / all_us : 0), "number") +
            cell(element("span", {{"class", "track"}}, track(all_us > 0 ? share.us / all_us : 0))));
  };
  for (const std::string& name : families.names()) {
    if (shares.contains(name)) add(families.swatch(name) + escaped(name), shares[name]);
  }
  add("conversions", conversions);
  return table("",
               head_cell("family") + head_cell("steps", "number") + head_cell("time", "number") +
                   head_cell("share", "number") + head_cell(""),
               rows);
}

std::string workload_id(int workload) { return "workload-" + std::to_string(workload); }

std::string layer_row(const Report& report, const Families& families, std::size_t s, double most_us,
                      double all_us) {
  const ReportStep& step = report.steps[s];
  const std::string name = step.is_conversion ? "conversion of " + step.name : full_name(step);
  std::string primitive = families.swatch(step.family);
  primitive += step.workload >= 0 ? element("a", {{"href", "#" + workload_id(step.workload)}},
                                            escaped(step.primitive))
                                  : escaped(step.primitive);
  const std::string formats = escaped(format_text(step.input, step.output));
  primitive += element("span", {{"class", "shape narrow-only"}}, formats);
  std::string bars = track(step.us / most_us);
  if (step.measured_us) bars += track(*step.measured_us / most_us, "m");
  std::string cells =
      cell(std::to_string(s + 1), "number wide-only") +
      cell(escaped(name) + element("span", {{"class", "shape wide-only"}}, escaped(step.shape)),
           "name") +
      cell(primitive, "name") + cell(formats, "format wide-only") +
      cell(escaped(us_text(step.us)) + element("span", {{"class", "shape"}}, escaped(step.source)),
           "number");
  const bool any_measured = std::ranges::any_of(
      report.steps, [](const ReportStep& other) { return other.measured_us.has_value(); });
  if (any_measured)
    cells += cell(step.measured_us ? escaped(us_text(*step.measured_us)) : "", "number");
  cells += cell(percent(all_us > 0 ? step.us / all_us : 0), "number wide-only") +
           cell(element("span", {{"class", "track"}}, bars), "wide-only");
  std::string other = escaped(step.default_primitive);
  if (step.default_us) {
    other += element("span", {{"class", "shape"}},
                     escaped(us_text(*step.default_us) + ", " +
                             times_text(step.us > 0 ? *step.default_us / step.us : 0)));
  }
  cells += cell(other, "name wide-only");
  return element("tr",
                 {{"id", step_id(s)},
                  {"class", step.is_conversion ? "conversion-row" : ""},
                  {"data-us", fixed(best_us(step), 3)}},
                 cells) +
         "\n";
}

std::string layers(const Report& report, const Families& families) {
  double most_us = 1e-9, all_us = 0;
  bool any_measured = false;
  for (const ReportStep& step : report.steps) {
    most_us = std::max({most_us, step.us, step.measured_us.value_or(0)});
    all_us += step.us;
    any_measured = any_measured || step.measured_us;
  }
  std::string head = head_cell("#", "number wide-only") + head_cell("layer") +
                     head_cell("primitive") + head_cell("layout, type", "wide-only") +
                     head_cell("time", "number");
  if (any_measured) head += head_cell("measured", "number");
  head += head_cell("share", "number wide-only") + head_cell("", "wide-only") +
          head_cell("default of the library", "wide-only");
  std::string rows;
  for (std::size_t s = 0; s < report.steps.size(); ++s)
    rows += layer_row(report, families, s, most_us, all_us);
  std::string html =
      heading("Layers") +
      paragraph(
          "In the order of execution. The name of a primitive leads to the other ways to "
          "compute its layer.") +
      element("div", {{"class", "tools"}, {"id", "tools"}, {"hidden", "hidden"}},
              empty_element("input", {{"id", "filter"},
                                      {"type", "search"},
                                      {"placeholder", "filter: name, primitive, layout ..."},
                                      {"aria-label", "filter layers"}}) +
                  element("button", {{"id", "sort"}, {"type", "button"}}, "Slowest first")) +
      "\n" +
      element("div", {{"class", "scroll"}},
              element("table", {{"id", "layers"}},
                      element("thead", {}, element("tr", {}, head)) + "\n" +
                          element("tbody", {}, "\n" + rows))) +
      "\n";
  const auto strange = static_cast<std::size_t>(std::ranges::count_if(
      report.steps, [](const ReportStep& step) { return step.workload < 0; }));
  if (strange > 0) {
    html += paragraph("Nothing is known of other ways to compute " + counted(strange, "step") +
                      ", whose types the options of this page do not admit: give --precision and "
                      "--calibration as for the plan.");
  }
  if (!report.plan.in_place.empty()) {
    std::string names;
    for (const PlanInPlace& op : report.plan.in_place)
      names += (names.empty() ? "" : ", ") + op.name;
    html += paragraph(
        "Concatenations that take no time, because their parts are written in place: " + names +
        ".");
  }
  return html;
}

std::string absence(const ReportAbsence& absent) {
  std::string names;
  for (const std::string& name : absent.primitives) names += (names.empty() ? "" : ", ") + name;
  return element("li", {},
                 element("b", {}, escaped(absent.reason)) +
                     element("span", {{"class", "shape"}}, escaped(names))) +
         "\n";
}

std::string workload_details(const Report& report, const Families& families, int index) {
  const ReportWorkload& workload = report.workloads[static_cast<std::size_t>(index)];
  std::set<std::string> chosen;
  std::string users;
  std::size_t user_count = 0;
  for (const ReportStep& step : report.steps) {
    if (step.workload != index) continue;
    chosen.insert(step.primitive);
    // A name or two tell which layers are meant.
    if (++user_count <= 3) users += (users.empty() ? "" : ", ") + step.name;
  }
  if (user_count > 3) users += " and " + std::to_string(user_count - 3) + " more";
  std::string rows;
  const double best = workload.candidates.empty() ? 1 : workload.candidates.front().us;
  std::size_t shown = 0;
  for (std::size_t i = 0; i < workload.candidates.size(); ++i) {
    const ReportCandidate& c = workload.candidates[i];
    const bool is_chosen = chosen.contains(c.primitive);
    if (i >= kMostCandidates && !is_chosen) continue;
    ++shown;
    const std::string name = families.swatch(c.family) + escaped(c.primitive) +
                             (is_chosen ? element("b", {}, " chosen") : "");
    rows +=
        row(cell(name, "name") + cell(escaped(format_text(c.input, c.output)), "format wide-only") +
            cell(escaped(us_text(c.us)), "number") +
            cell(fixed(best > 0 ? c.us / best : 0, 2), "number") +
            cell(escaped(us_text(c.low_us) + " - " + us_text(c.high_us)), "number wide-only") +
            cell(escaped(c.source), "wide-only"));
  }
  std::size_t absent_count = 0;
  std::string absent;
  for (const ReportAbsence& a : workload.absent) {
    absent_count += a.primitives.size();
    absent += absence(a);
  }
  std::string content =
      element("summary", {},
              element("code", {}, escaped(workload.text)) +
                  element("span", {{"class", "soft"}},
                          escaped(" " + with_count(workload.candidates.size(), "candidate") + ": " +
                                  users))) +
      table("",
            head_cell("primitive") + head_cell("layout, type", "wide-only") +
                head_cell("time", "number") + head_cell("ratio", "number") +
                head_cell("90 % interval", "number wide-only") + head_cell("source", "wide-only"),
            rows);
  if (shown < workload.candidates.size()) {
    content += paragraph("and " + std::to_string(workload.candidates.size() - shown) +
                         " slower ones, up to " + us_text(workload.candidates.back().us));
  }
  if (absent_count > 0) {
    content += element(
        "details", {},
        element("summary", {}, escaped(with_count(absent_count, "primitive") + " not available")) +
            element("ul", {}, absent));
  }
  return element("details", {{"id", workload_id(index)}}, content) + "\n";
}

std::string candidates(const Report& report, const Families& families) {
  std::string html =
      heading("Other ways to compute each layer") +
      paragraph(
          "Times of a layer by itself, with what is fused into it. A primitive that is faster "
          "here may not be chosen, because its layout costs conversions elsewhere, or because "
          "it leaves the fused operators to others; convopt explain NET LAYER says what each "
          "would cost the whole network.");
  for (std::size_t i = 0; i < report.workloads.size(); ++i)
    html += workload_details(report, families, static_cast<int>(i));
  return html;
}

std::string charts(const Report& report, const Families& families) {
  std::vector<std::string> used;
  for (const ReportStep& step : report.steps) used.push_back(step.family);
  const bool measured = std::ranges::any_of(
      report.steps, [](const ReportStep& step) { return step.measured_us.has_value(); });
  std::string html =
      heading("Time along the network") +
      figure(timeline_svg(report, families), families.legend(used, false),
             "A bar is the plan's time of a layer, in the order of execution." +
                 std::string(measured ? " Horizontal marks are measured times." : "") +
                 " Below: the layout (and type, where it is not f32) that tensors have on their "
                 "way; diamonds are conversions, other jumps are branches. A bar "
                 "leads to its layer.") +
      families_table(report, families);
  const std::string scatter = scatter_svg(report, families);
  const std::string roofline = roofline_svg(report, families);
  std::string pair;
  if (!roofline.empty()) {
    pair += element(
        "div", {},
        heading("Roofline") +
            figure(roofline, families.legend(used, true),
                   "Operations by the definition of a layer over the bytes of its tensors and "
                   "packed weights, and over its time" +
                       std::string(measured ? ", measured where it is known" : "") +
                       ". Winograd and FFT need fewer operations, so they may lie above the peak. "
                       "Larger marks take more time. Pale marks at the left edge have no "
                       "arithmetic and stand at the height of their bytes per second. Lines: what "
                       "this machine reads from each cache and from memory, and its peak."));
  }
  if (!scatter.empty()) {
    pair +=
        element("div", {},
                heading("Predicted against measured") +
                    figure(scatter, families.legend(used, true),
                           "On the line, the prediction is right; the dashed lines are a factor "
                           "of two. Marks are layers of the plan" +
                               std::string(report.known.empty()
                                               ? "."
                                               : ", dots other primitives that the profile has "
                                                 "times of.")));
  }
  return html + element("div", {{"class", "pair"}}, pair) + "\n";
}

std::string fact(const std::string& name, const std::string& value) {
  return value.empty() ? "" : row(cell(escaped(name)) + cell(escaped(value)));
}

std::string known_rate(double value, const std::string& unit) {
  return value > 0 ? fixed(value, value < 10 ? 1 : 0) + " " + unit : "";
}

std::string known_bytes(std::int64_t bytes) {
  return bytes > 0 ? format_bytes(static_cast<double>(bytes)) : "";
}

std::string machine_table(const Platform& platform, const Libraries& libraries) {
  const Machine& m = platform.machine;
  std::string rows =
      fact("platform", platform.id()) + fact("processor", m.name) +
      fact("family, model", std::to_string(m.family) + ", " + std::to_string(m.model)) +
      fact("cores", std::to_string(m.physical_cores) + " cores, " +
                        std::to_string(m.logical_cores) + " hardware threads") +
      fact("instruction set, threads",
           std::string(to_string(platform.isa)) + ", " + std::to_string(platform.threads)) +
      fact("peak of f32", known_rate(m.peak_gflops, "Gflop/s")) +
      fact("peak of bf16", known_rate(m.peak_bf16_gflops, "Gflop/s")) +
      fact("peak of int8", known_rate(m.peak_int8_gops, "Gop/s"));
  const auto cache = [&](const std::string& name, std::int64_t bytes, double gbps) {
    const std::string size = known_bytes(bytes), rate = known_rate(gbps, "GB/s");
    rows += fact(name, size + (size.empty() || rate.empty() ? "" : ", ") + rate);
  };
  cache("L1", m.l1d_bytes, m.l1_gbps);
  cache("L2", m.l2_bytes, m.l2_gbps);
  cache("L3", m.l3_bytes, m.l3_gbps);
  cache("memory", 0, m.memory_gbps);
  rows += fact("kernel", m.kernel) + fact("governor", m.governor);
  for (const auto& [name, version] : libraries) rows += fact(name, version);
  return table("facts", "", rows);
}

std::string model_table(const Report& report) {
  if (!report.model) return paragraph("No model: all times are from the profile.");
  const ReportModel& model = *report.model;
  std::string platforms;
  for (const std::string& id : model.platforms) platforms += (platforms.empty() ? "" : ", ") + id;
  std::string rows = fact("model", model.id) +
                     fact("learnt from", with_count(model.samples, "time") + " on " + platforms) +
                     fact("this platform among them", model.knows_machine ? "yes" : "no");
  if (model.holdout_error > 0) {
    rows += fact("median error on workloads it had not seen", percent(model.holdout_error)) +
            fact("intervals that hold the time", percent(model.coverage, 0));
  }
  if (report.known.size() > 1) {
    std::vector<double> errors;
    std::size_t near = 0;
    for (const auto& [predicted, measured] : report.known) {
      errors.push_back(std::abs(predicted / measured - 1));
      near += errors.back() <= 0.1 ? 1 : 0;
    }
    rows += fact("median error on this network's times in the profile",
                 percent(median(errors)) + " of " + with_count(errors.size(), "time") + ", " +
                     percent(static_cast<double>(near) / static_cast<double>(errors.size()), 0) +
                     " within 10 %");
  }
  rows += fact("profile", report.profile.empty() ? "none of this network here" : report.profile);
  return table("facts", "", rows);
}

std::string regions(const Report& report, const Families& families) {
  if (report.regions.empty()) return "";
  std::vector<std::string> used;
  for (const ReportRegions& of : report.regions) {
    for (const auto& cells : of.cells) {
      for (const ReportRegions::Cell& one : cells) used.push_back(one.family);
    }
  }
  std::string maps;
  for (const ReportRegions& of : report.regions) {
    const std::string size = std::to_string(of.kernel) + " x " + std::to_string(of.kernel);
    maps += element("figure", {}, element("h3", {}, escaped(size)) + regions_svg(of, families));
  }
  return heading("Fastest family by shape") + element("div", {{"class", "pair"}}, maps) + "\n" +
         families.legend(used, false) +
         element(
             "p", {{"class", "soft"}},
             escaped("Convolutions of one image in f32 with stride 1, as many result as source "
                     "channels (upwards) and the size of the image (to the right), as the model "
                     "predicts them, conversions left out. CAPITALS: the next family takes at "
                     "least " +
                     fixed(100 * (kClearLead - 1), 0) +
                     " % longer; small letters: less, so the choice matters little. Rings: "
                     "layers of this network.")) +
         "\n";
}

std::string errors(const Report& report, const Families& families) {
  const std::string drawing = errors_svg(report, families);
  if (drawing.empty()) return "";
  std::string caption =
      "Of all times that the profile has of this platform, of any workload: thick bars hold half "
      "of a family's, thin lines nine of ten, and the mark is their median. Right of 1 are "
      "primitives that take longer than the model says.";
  if (report.model && report.model->knows_machine) {
    caption +=
        " The model has learnt from this platform, perhaps from these very times; for workloads "
        "that it had not seen see its table below.";
  }
  return heading("Error of the model") + figure(drawing, "", caption);
}

/// The platform's own curve where there is one, else all.
std::string curves(const Report& report) {
  if (!report.curves) return "";
  std::vector<const ReportCurve*> shown;
  for (const ReportCurve& curve : report.curves->platforms) {
    if (curve.platform == report.platform.id()) shown.push_back(&curve);
  }
  const bool is_own = !shown.empty();
  if (!is_own) {
    for (const ReportCurve& curve : report.curves->platforms) shown.push_back(&curve);
  }
  std::vector<std::string> names;
  for (const ReportCurve* curve : shown) {
    for (const auto& [method, points] : curve->methods) {
      if (std::ranges::find(names, method) == names.end()) names.push_back(method);
    }
  }
  // The first look is the plainest.
  std::stable_partition(names.begin(), names.end(),
                        [](const std::string& name) { return name == kAutomatic; });
  const Families methods(names);
  std::string html =
      heading("Transfer curve") +
      paragraph("How good a model of other platforms gets on " +
                std::string(is_own ? "this one" : "one that it has not seen") +
                " by timing some shapes there. Regret is the measured time of what is chosen over "
                "that of the best choice" +
                (report.curves->noise_floor
                     ? ", 1 at best and at the noise floor where choosing by measurements is. "
                     : ". ") +
                "The thick line, " + kAutomatic +
                ", is what convopt transfer does; dashed: its worst draw. From " +
                report.curves->file +
                (is_own ? "." : ", which has no curve of this page's platform.")) +
      methods.legend(names, true);
  for (const ReportCurve* curve : shown) {
    std::string sources;
    for (const std::string& source : curve->sources)
      sources += (sources.empty() ? "" : ", ") + source;
    html +=
        element("h3", {}, escaped(curve->platform)) + "\n" +
        element(
            "p", {{"class", "soft"}},
            escaped("learnt from " + sources +
                    (curve->networks > 0
                         ? "; regret of the plans of " + with_count(curve->networks, "network")
                         : "; regret of single operations") +
                    (curve->draws > 0
                         ? ", mean of " + with_count(static_cast<std::size_t>(curve->draws), "draw")
                         : ""))) +
        "\n";
    std::string pair;
    for (const auto& [value, name] :
         {std::pair(CurveValue::regret, "Regret"), std::pair(CurveValue::error, "Median error")}) {
      pair += figure(curve_svg(*curve, value, report.curves->noise_floor, methods), "", name);
    }
    html += element("div", {{"class", "pair"}}, pair) + "\n";
  }
  return html;
}

std::string commands(const Report& report) {
  std::string lines;
  for (const std::string& command : report.commands) lines += (lines.empty() ? "" : "\n") + command;
  return heading("To repeat it") + element("pre", {}, escaped(lines)) + "\n";
}

std::string head(const Report& report, const std::string& nonce) {
  // Whatever a name should smuggle in, nothing is loaded, and no script runs but the page's own.
  const std::string policy = "default-src 'none'; style-src 'unsafe-inline'; script-src 'nonce-" +
                             nonce + "'; base-uri 'none'; form-action 'none'";
  return element("head", {},
                 "\n" + empty_element("meta", {{"charset", "utf-8"}}) + "\n" +
                     empty_element("meta", {{"name", "viewport"},
                                            {"content", "width=device-width, initial-scale=1"}}) +
                     "\n" +
                     empty_element(
                         "meta", {{"http-equiv", "Content-Security-Policy"}, {"content", policy}}) +
                     "\n" + element("title", {}, escaped(report.network + " - convopt")) + "\n" +
                     element("style", {}, page_style()) + "\n") +
         "\n";
}

std::string summary(const Report& report) {
  const Plan& plan = report.plan;
  const std::size_t layer_count = static_cast<std::size_t>(std::ranges::count_if(
      report.steps, [](const ReportStep& step) { return !step.is_conversion; }));
  std::string html =
      element("h1", {}, escaped(report.network)) + "\n" +
      element("p", {{"class", "soft"}},
              escaped("on " + plan.platform.machine.name + ", " +
                      std::string(to_string(plan.platform.isa)) + ", " +
                      with_count(static_cast<std::size_t>(plan.platform.threads), "thread") +
                      (report.made.empty() ? "" : "; made " + report.made))) +
      "\n";
  html += tiles(report);
  for (const std::string& note : report.notes)
    html += element("p", {{"class", "note"}}, escaped(note)) + "\n";
  html += totals(report);
  const std::string proof = plan.optimal
                                ? "proven optimal for these times"
                                : "within " + significant(plan.gap * 100, 2) + " % of the optimum";
  html += paragraph(
      with_count(layer_count, "layer") + ", " +
      with_count(report.steps.size() - layer_count, "conversion") + "; " +
      format_bytes(static_cast<double>(plan.packed_weight_bytes)) + " of packed weights, " +
      format_bytes(static_cast<double>(plan.workspace_bytes)) + " of workspace. The plan is " +
      proof + (report.plan_file.empty() ? "." : "; it was read from " + report.plan_file + "."));
  if (plan.accuracy) {
    html += paragraph("Outputs differ from those in the network's own types by " +
                      significant(plan.accuracy->error, 2) + " of their range, cosine " +
                      fixed(plan.accuracy->cosine, 6) + ", measured on " +
                      with_count(plan.accuracy->samples, "input") +
                      (plan.accuracy->error_bound > plan.accuracy->error
                           ? "; those of 99 in 100 such inputs by at most " +
                                 significant(plan.accuracy->error_bound, 2) + "."
                           : "."));
  }
  return html;
}

}  // namespace

std::string to_html(const Report& report) {
  const Families families(report);
  std::string body =
      families.pattern_definitions() + summary(report) + charts(report, families) +
      layers(report, families) + candidates(report, families) + regions(report, families) +
      errors(report, families) + curves(report) + heading("Machine and model") +
      element("div", {{"class", "pair"}},
              machine_table(report.plan.platform, report.plan.libraries) + model_table(report)) +
      "\n" + commands(report);
  // A hash of the page: the author of a network's names cannot guess it.
  const std::string nonce = hex16(hash64(body));
  body += element("script", {{"nonce", nonce}}, page_script());
  return "<!DOCTYPE html>\n" +
         element("html", {{"lang", "en"}},
                 "\n" + head(report, nonce) + element("body", {}, "\n" + body)) +
         "\n";
}

}  // namespace convopt
