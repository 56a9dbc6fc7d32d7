#include "src/tune/curve.h"
#include "core/text.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <functional>
#include <map>
#include <set>
#include <unordered_map>
#include <unordered_set>

#include "model/statistics.h"
#include "src/tune/coverage.h"
#include "src/tune/judge.h"

namespace convopt {
namespace {

using statistics::mean;

struct Draw {
  std::vector<std::size_t> training, test, networks;  ///< rows
};

// What is never learnt from.
std::vector<bool> marked(const Dataset& data, const std::unordered_set<std::string>& shapes) {
  std::vector<bool> result;
  for (const std::string& group : data.groups) result.push_back(shapes.contains(group));
  return result;
}

// Seeded shuffle of the shapes of all operations; the first `count` are learnt from.
std::vector<std::size_t> random_order(const Dataset& data, const std::vector<bool>& left_out,
                                      std::uint64_t seed) {
  std::set<std::size_t> groups;
  for (std::size_t g = 0; g < data.groups.size(); ++g) {
    if (!left_out[g]) groups.insert(g);
  }
  // A fold per group is a seeded order.
  const std::vector<int> place = fold_of_group(data, groups, static_cast<int>(groups.size()), seed);
  std::vector<std::size_t> order(groups.size());
  for (const std::size_t g : groups) order[static_cast<std::size_t>(place[g])] = g;
  return order;
}

// As `transfer` would take them if half of these shapes were all that there are. Operations come in
// the order of the profile, which is the sampler's.
std::vector<std::size_t> coverage_order(const Dataset& data, std::vector<std::size_t> groups) {
  groups.resize((groups.size() + 1) / 2);
  std::ranges::sort(groups);
  std::map<std::size_t, const Workload*> pool;
  for (const Sample& sample : data.samples) {
    pool.try_emplace(sample.group, &data.workloads[sample.workload]);
  }
  std::vector<Workload> workloads;
  std::map<std::string, std::size_t> group_of;
  for (const std::size_t group : groups) {
    workloads.push_back(*pool.at(group));
    group_of[workloads.back().text()] = group;
  }
  std::vector<std::size_t> order;
  for (const Workload& workload : order_by_coverage(workloads)) {
    order.push_back(group_of.at(workload.text()));
  }
  return order;
}

Draw draw(const Dataset& data, const std::vector<bool>& left_out, std::size_t count,
          std::uint64_t seed, bool by_coverage) {
  std::vector<std::size_t> order = random_order(data, left_out, seed);
  if (by_coverage) order = coverage_order(data, std::move(order));
  std::vector<bool> chosen(data.groups.size(), false);
  for (std::size_t i = 0; i < std::min(count, order.size()); ++i) chosen[order[i]] = true;
  Draw result;
  for (std::size_t row = 0; row < data.samples.size(); ++row) {
    const std::size_t group = data.samples[row].group;
    (left_out[group] ? result.networks
     : chosen[group] ? result.training
                     : result.test)
        .push_back(row);
  }
  return result;
}

/// Predictions of rows as costs.
class RowCosts final : public CostSource {
 public:
  RowCosts(const Dataset& data, std::span<const std::size_t> rows, std::span<const double> log_ns) {
    for (std::size_t i = 0; i < rows.size(); ++i) {
      const Sample& sample = data.samples[rows[i]];
      const double ns = std::exp(log_ns[i]);
      costs_[data.workloads[sample.workload].text() + '\n' +
             data.primitives[sample.primitive].name] = {
          Cost::Source::predicted, {ns, ns, ns, false}, {}};
    }
  }
  Result<std::vector<Cost>> costs(std::span<const Query> queries) const override {
    std::vector<Cost> result;
    for (const Query& query : queries) {
      const auto at = costs_.find(query.workload->text() + '\n' + query.primitive->name);
      result.push_back(at == costs_.end() ? Cost{Cost::Source::unknown, {}, "was not timed"}
                                          : at->second);
    }
    return result;
  }

 private:
  std::unordered_map<std::string, Cost> costs_;
};

/// One draw: on the shapes left, and of each network.
struct Judgement {
  HoldoutScores shapes;
  std::vector<double> networks;  ///< regrets
};

Result<Judgement> judge(const Adapter& adapter, const NetworkJudge& networks, const Learnt& learnt,
                        const Draw& rows) {
  const Dataset& data = adapter.data();
  // Where a profile holds nothing but networks, their layers are what is left.
  const std::vector<std::size_t>& test = rows.test.empty() ? rows.networks : rows.test;
  auto predicted = adapter.predict(learnt, test);
  if (!predicted) return predicted.error();
  for (std::size_t i = 0; i < test.size(); ++i) {
    (*predicted)[i] = data.samples[test[i]].log_ns - (*predicted)[i];
  }
  Judgement result;
  result.shapes = score(data, test, *predicted);
  if (networks.networks().empty()) return result;
  const auto expected = adapter.predict(learnt, rows.networks);
  if (!expected) return expected.error();
  const RowCosts costs(data, rows.networks, *expected);
  for (std::size_t i = 0; i < networks.networks().size(); ++i) {
    const auto regret = networks.regret(i, costs);
    if (!regret) return regret.error();
    result.networks.push_back(regret->regret);
  }
  return result;
}

/// Of all draws.
struct Scores {
  std::vector<double> errors, regrets, spearmans, seconds;
  std::vector<double> network_regrets;  ///< a draw's mean over networks
  double worst_network = 0;
  std::map<std::string, int> kept;

  void add(const Judgement& judgement) {
    errors.push_back(judgement.shapes.mdrae);
    regrets.push_back(judgement.shapes.regret);
    spearmans.push_back(judgement.shapes.spearman);
    if (judgement.networks.empty()) return;
    network_regrets.push_back(mean(judgement.networks));
    worst_network = std::max(worst_network, std::ranges::max(judgement.networks));
  }
};

CurvePoint point_of(const std::string& method, std::size_t shapes, const Scores& scores) {
  CurvePoint point;
  point.method = method;
  point.shapes = shapes;
  point.error = mean(scores.errors);
  point.spearman = mean(scores.spearmans);
  point.regret = mean(scores.regrets);
  point.worst_error = *std::ranges::max_element(scores.errors);
  point.worst_regret = *std::ranges::max_element(scores.regrets);
  if (!scores.network_regrets.empty()) {
    point.network_regret = mean(scores.network_regrets);
    point.worst_draw_network_regret = std::ranges::max(scores.network_regrets);
    point.worst_network_regret = scores.worst_network;
  }
  point.kept = scores.kept;
  if (!scores.seconds.empty()) point.seconds = mean(scores.seconds);
  return point;
}

}  // namespace

Result<Curve> transfer_curve(const TrainedModel& source, const Profile& target,
                             const CurveOptions& options) {
  const auto data =
      make_dataset(std::span(&target, 1), source.info().timing_mode, source.parts().codes);
  if (!data) return data.error();
  if (data->platforms.size() != 1) {
    return make_error(ErrorCode::bad_input, "a transfer curve is of one platform");
  }
  auto adapter = Adapter::create(source, *data, options.seed);
  if (!adapter) return adapter.error();

  const NetworkJudge networks(target, data->platforms.front(), source.info().timing_mode,
                              options.networks);
  const std::vector<bool> left_out = marked(*data, networks.shapes());
  const auto pool =
      static_cast<std::size_t>(std::ranges::count(left_out, false)) / (options.by_coverage ? 2 : 1);

  Curve curve;
  curve.networks = networks.networks().size();
  curve.platform = data->platforms.front().id();
  curve.sources = source.info().platforms;
  curve.shapes = static_cast<std::size_t>(std::ranges::count(left_out, false));
  curve.primitives = data->primitives.size();
  curve.draws = options.draws;
  std::vector<std::size_t> sizes;
  for (const std::size_t size : options.shapes) {
    // Something must be left to judge by.
    if (10 * size <= 9 * pool) sizes.push_back(size);
  }
  std::map<std::pair<std::string, std::size_t>, Scores> scores;
  for (const std::size_t size : sizes) {
    // Nothing is drawn for no shapes.
    for (int d = 0; d < (size == 0 ? 1 : options.draws); ++d) {
      const std::uint64_t seed = options.seed + 1000 * static_cast<std::uint64_t>(d) + size;
      const Draw rows = draw(*data, left_out, size, seed, options.by_coverage);
      for (const TransferMethod method : options.methods) {
        if (method == TransferMethod::stack) continue;
        if (size == 0 && method != TransferMethod::zero_shot) continue;
        const auto learnt = adapter->learn(method, rows.training);
        if (!learnt) return learnt.error();
        const auto judged = judge(*adapter, networks, *learnt, rows);
        if (!judged) return judged.error();
        scores[{std::string(to_string(method)), size}].add(*judged);
      }
      if (size == 0) continue;
      const auto start = std::chrono::steady_clock::now();
      TransferOptions choice;
      choice.seed = seed;
      choice.threads = options.threads;
      choice.methods = options.methods;
      const auto comparison = adapter->compare(rows.training, choice);
      if (!comparison) return comparison.error();
      const auto learnt = adapter->learn(*comparison, rows.training);
      if (!learnt) return learnt.error();
      const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
      const auto judged = judge(*adapter, networks, *learnt, rows);
      if (!judged) return judged.error();
      Scores& automatic = scores[{kAutomatic, size}];
      automatic.add(*judged);
      automatic.seconds.push_back(took.count());
      ++automatic.kept[std::string(to_string(learnt->method))];
    }
  }
  std::vector<std::string> names;
  for (const TransferMethod method : options.methods) names.emplace_back(to_string(method));
  names.emplace_back(kAutomatic);
  for (const std::string& name : names) {
    for (const std::size_t size : sizes) {
      const auto at = scores.find({name, size});
      if (at != scores.end()) curve.points.push_back(point_of(name, size, at->second));
    }
  }
  return curve;
}

namespace {

// One colour per method that matters; the automatic choice is the thick one.
struct Style {
  const char* method;
  const char* colour;
  double width;
};
constexpr std::array kStyles = {
    Style{"factor", "#9aa0a6", 1.5},           Style{"factor-per-primitive", "#e37400", 1.5},
    Style{"law-scratch", "#188038", 1.5},      Style{"law", "#9334e6", 1.5},
    Style{"scratch", "#d93025", 1.5},          Style{"zero-shot", "#5f6368", 1.5},
    Style{"source-and-field", "#00897b", 1.5}, Style{kAutomatic, "#1a73e8", 3.0}};

std::string text_at(double x, double y, const std::string& text, const char* anchor = "middle",
                    const char* more = "") {
  return "<text x=\"" + fixed(x, 1) + "\" y=\"" + fixed(y, 1) + "\" text-anchor=\"" + anchor +
         "\"" + more + ">" + text + "</text>\n";
}

struct Panel {
  double x, y, width, height;
  double least, most;              ///< of the logarithm of the value
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

// Values on a logarithmic axis, a line per method, worst draws as a dashed line of the automatic
// choice.
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
  for (const Style& style : kStyles) line(style, value, "");
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
  // Of the regret, what is above one.
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
  for (const Style& style : kStyles) {
    const double y = kRow * double(curves.size()) + 16;
    svg += "<rect x=\"" + fixed(x, 1) + "\" y=\"" + fixed(y - 8, 1) +
           "\" width=\"14\" height=\"6\" fill=\"" + style.colour + "\"/>\n";
    svg += text_at(x + 20, y, style.method, "start");
    x += 50 + 7.0 * double(std::string_view(style.method).size());
  }
  return svg + "</svg>\n";
}

}  // namespace convopt
