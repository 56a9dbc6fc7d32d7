// The page of a plan, drawn from values that are made up: what is in it, and that nothing from a
// model becomes markup.
#include "src/report/report.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "src/report/curves.h"
#include "src/report/families.h"
#include "src/report/markup.h"
#include "src/report/page.h"
#include "src/tune/transfer_curve.h"
#include "tests/report/well_formed.h"

namespace convopt {
namespace {

ReportStep step(const std::string& name, const std::string& family, double us) {
  ReportStep result;
  result.name = name;
  result.shape = "conv:n1_ic8_ih8_iw8_oc8_kh3_kw3_s1_p1";
  result.primitive = family + "_nchw";
  result.family = family;
  result.us = result.low_us = result.high_us = us;
  result.source = "predicted";
  result.flops = 1e6 * us;
  result.bytes = 1e4;
  return result;
}

ReportCurve curve_of(const std::string& platform) {
  const std::vector<ReportCurve::Point> points = {{0, 0.3, 1.2, 1.2}, {10, 0.1, 1.05, 1.1}};
  return {platform, {"e/f/t1"}, 5, 2, {{"zero_shot", points}, {kAutomatic, points}}};
}

/// Of so many layers, with everything that a page can show.
Report report_of(std::size_t layers) {
  Report report;
  report.network = "net";
  report.plan.predicted_ms = 1;
  Machine& machine = report.plan.platform.machine;
  machine.name = "A processor";
  machine.peak_gflops = 100;
  machine.l1_gbps = 80;
  machine.memory_gbps = 10;
  report.platform = report.plan.platform;
  const std::vector<std::string> families = {"direct", "winograd", "fft"};
  for (std::size_t i = 0; i < layers; ++i) {
    ReportStep& added = report.steps.emplace_back(
        step("layer" + std::to_string(i), families[i % families.size()], 1 + double(i % 7)));
    added.workload = 0;
    added.model_us = added.us;
    added.measured_us = added.us * 1.1;
  }
  ReportStep conversion = step("data", "layout", 0.5);
  conversion.is_conversion = true;
  conversion.flops = 0;
  conversion.output.layout = Layout::nhwc;
  report.steps.push_back(conversion);
  report.workloads.push_back({"conv:n1", {}, {{"needs a kernel of 3 x 3", {"winograd_nhwc"}}}});
  report.workloads[0].candidates.push_back({"direct_nchw", "direct", {}, {}, 1, 1, 2, "predicted"});
  report.totals = {{"this plan", 1, 1.1}, {"default of the library, onednn", 2, 2.2}};
  report.model = ReportModel{"m", {"a/b/t1"}, 10, 0.1, 0.9, false};
  report.known = {{1, 1.1}, {2, 2.1}};
  ReportRegions regions;
  regions.channels = {8, 16};
  regions.sizes = {7, 14};
  regions.cells.resize(2, std::vector<ReportRegions::Cell>(2));
  for (auto& row : regions.cells) {
    for (ReportRegions::Cell& cell : row) cell = {"direct", "direct_nchw", 1, "fft", 1.05};
  }
  regions.cells[1][1].next_us = 2;
  regions.layers = {{8, 7}, {1e6, 1e6}};
  report.regions.push_back(regions);
  report.errors = {{"", 12, 0.5, 0.9, 1.02, 1.2, 3}, {"direct", 12, 0.5, 0.9, 1.02, 1.2, 3}};
  report.curves = ReportCurves{"curve.json", 1.01, {curve_of("a/b/t1"), curve_of("c/d/t2")}};
  report.commands = {"convopt select net"};
  report.notes = {"a note"};
  return report;
}

std::size_t count(const std::string& text, const std::string& part) {
  std::size_t found = 0;
  for (std::size_t at = 0; (at = text.find(part, at)) != std::string::npos; ++at) ++found;
  return found;
}

TEST(Markup, EscapesWhatMeansSomethingAndReplacesWhatXmlCannotHold) {
  EXPECT_EQ(escaped("<a href=\"x\">&'"), "&lt;a href=&quot;x&quot;&gt;&amp;&#39;");
  EXPECT_EQ(escaped("gr\xC3\xBC\xC3\x9F"), "gr\xC3\xBC\xC3\x9F");
  EXPECT_EQ(escaped(std::string("a\0b", 3)),
            "a\xEF\xBF\xBD"
            "b");
  EXPECT_EQ(escaped("\x1B\xC3"), "\xEF\xBF\xBD\xEF\xBF\xBD");
  EXPECT_EQ(escaped("\xEF\xBF\xBF"), "\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD");
  EXPECT_EQ(element("a", {{"href", "\"><script>"}}, "x"),
            "<a href=\"&quot;&gt;&lt;script&gt;\">x</a>");
}

TEST(WellFormed, FindsWhatIsNot) {
  EXPECT_EQ(fault_of("<a><b x=\"1\">t</b><c/></a>"), "");
  EXPECT_NE(fault_of("<a><b></a></b>"), "");
  EXPECT_NE(fault_of("<a>"), "");
  EXPECT_NE(fault_of("<a x=1></a>"), "");
  EXPECT_NE(fault_of("<a>&nbsp;</a>"), "");
  EXPECT_NE(fault_of("<a x=\"<\"></a>"), "");
  EXPECT_NE(fault_of("<a id=\"1\"><b id=\"1\"/></a>"), "");
}

TEST(Page, IsWellFormedAndHasEveryPart) {
  const std::string html = to_html(report_of(5));
  EXPECT_EQ(fault_of(html), "");
  for (const char* part : {"Time along the network",
                           "Roofline",
                           "Predicted against measured",
                           "Layers",
                           "Other ways to compute each layer",
                           "needs a kernel of 3 x 3",
                           "Fastest family by shape",
                           "Error of the model",
                           "direct, 12 times: half take 0.90 to 1.20",
                           "Transfer curve",
                           "auto, 10 shapes: regret 1.050, worst draw 1.100",
                           "zero_shot, 0 shapes",
                           "noise floor",
                           "Machine and model",
                           "convopt select net",
                           "a note",
                           "A processor",
                           "conversion of data",
                           "Content-Security-Policy",
                           "prefers-color-scheme: dark",
                           "@media print"}) {
    EXPECT_NE(html.find(part), std::string::npos) << part;
  }
  for (int i = 0; i < 5; ++i) {
    EXPECT_NE(html.find(">layer" + std::to_string(i) + "<"), std::string::npos) << i;
  }
  EXPECT_NE(html.find("runs per second"), std::string::npos);
  // Clear leads are capitals, others are not.
  EXPECT_NE(html.find(">DI<"), std::string::npos);
  EXPECT_NE(html.find(">di<"), std::string::npos);
}

TEST(Page, SaysWhereOtherWaysAreNotKnown) {
  Report report = report_of(3);
  for (ReportStep& step : report.steps) step.workload = 0;
  EXPECT_EQ(to_html(report).find("Nothing is known"), std::string::npos);
  report.steps[0].workload = -1;
  EXPECT_NE(to_html(report).find("other ways to compute 1 step,"), std::string::npos);
}

TEST(Page, SaysHowManyTimesAreMeasured) {
  Report report = report_of(3);
  report.steps[1].source = "measured";
  EXPECT_NE(to_html(report).find("1 of 4 steps measured alone"), std::string::npos);
}

TEST(Page, ShowsTheCurveOfItsPlatformAlone) {
  Report report = report_of(2);
  EXPECT_EQ(count(to_html(report), "<polyline"), 2U * 5U);  // two values and a worst draw each
  report.curves->platforms[1].platform = report.platform.id();
  const std::string html = to_html(report);
  EXPECT_EQ(count(html, "<polyline"), 5U);
  EXPECT_EQ(html.find(">a/b/t1<"), std::string::npos);
  EXPECT_NE(html.find(">" + report.platform.id() + "<"), std::string::npos);
  report.curves.reset();
  report.errors.clear();
  const std::string without = to_html(report);
  EXPECT_EQ(without.find("Transfer curve"), std::string::npos);
  EXPECT_EQ(without.find("Error of the model"), std::string::npos);
}

/// A file of its own for each test.
class CurveFile : public testing::Test {
 protected:
  ~CurveFile() override { std::filesystem::remove(path_); }
  Result<ReportCurves> load(const std::string& text) const {
    std::ofstream(path_) << text;
    return load_curves(path_);
  }
  static std::string document(const std::string& points) {
    return R"({"schema": "convopt.transfer_curve/1", "noise_floor_regret": null, "platforms":
      [{"platform": "p", "sources": ["a", "b"], "networks": 3, "draws": 7, "curve": [)" +
           points + "]}]}";
  }

  const std::filesystem::path path_ =
      std::filesystem::temp_directory_path() /
      ("convopt-curve-" + std::to_string(testing::UnitTest::GetInstance()->random_seed()) +
       testing::UnitTest::GetInstance()->current_test_info()->name());
};

TEST_F(CurveFile, GroupsPointsByMethodAndNumberOfShapes) {
  const auto curves = load(document(
      R"({"method": "m", "shapes": 3, "mdrae": 0.2, "regret_mean": 1.1, "regret_max": 1.5},
         {"method": "auto", "shapes": 0, "mdrae": 0.1, "regret_mean": 1, "regret_max": 2,
          "regret_worst_draw": 1.25},
         {"method": "m", "shapes": 0, "mdrae": 0.4, "regret_mean": 1.3, "regret_max": 1.6})"));
  ASSERT_TRUE(curves) << curves.error().message;
  EXPECT_FALSE(curves->noise_floor);
  ASSERT_EQ(curves->platforms.size(), 1U);
  const ReportCurve& curve = curves->platforms[0];
  EXPECT_EQ(curve.platform, "p");
  EXPECT_EQ(curve.sources, (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(curve.networks, 3U);
  EXPECT_EQ(curve.draws, 7);
  ASSERT_EQ(curve.methods.size(), 2U);
  EXPECT_EQ(curve.methods[0].first, "m");
  ASSERT_EQ(curve.methods[0].second.size(), 2U);
  EXPECT_EQ(curve.methods[0].second[0].shapes, 0U);
  EXPECT_EQ(curve.methods[0].second[0].worst, 1.6);
  EXPECT_EQ(curve.methods[0].second[1].error, 0.2);
  EXPECT_EQ(curve.methods[1].second[0].worst, 1.25);
}

TEST_F(CurveFile, RefusesWhatIsNoCurve) {
  const auto refused = [&](const std::string& text, const std::string& why) {
    const auto curves = load(text);
    ASSERT_FALSE(curves) << text;
    EXPECT_EQ(curves.error().code, ErrorCode::bad_input);
    EXPECT_NE(curves.error().message.find(why), std::string::npos) << curves.error().message;
    EXPECT_NE(curves.error().message.find(path_.string()), std::string::npos);
  };
  refused("", "");
  refused("[]", "is not an object");
  refused(R"({"schema": "convopt.plan/3"})", "not convopt.transfer_curve/1");
  refused(R"({"schema": "convopt.transfer_curve/1"})", "'platforms' is missing");
  refused(R"({"schema": "convopt.transfer_curve/1", "platforms": []})", "has no curve");
  refused(document(""), "without points");
  const std::string begin = R"({"method": "m", "shapes": )";
  refused(document(begin + "1}"), "'mdrae' is missing");
  refused(document(begin + R"(-1, "mdrae": 0, "regret_mean": 1, "regret_max": 1})"),
          "out of range");
  refused(document(begin + R"(1.5, "mdrae": 0, "regret_mean": 1, "regret_max": 1})"), "integer");
  refused(document(begin + R"(1, "mdrae": -1, "regret_mean": 1, "regret_max": 1})"), "error below");
  refused(document(begin + R"(1, "mdrae": 0, "regret_mean": 0.5, "regret_max": 1})"),
          "regret below");
  refused(document(begin + R"(1, "mdrae": 0, "regret_mean": 1e999, "regret_max": 1})"), "");
  EXPECT_FALSE(load_curves("no/such/file"));
}

TEST(Page, LoadsNothing) {
  const std::string html = to_html(report_of(3));
  for (const char* part : {"http://", "https://", "src=", "@import", "url(\"", "<link"}) {
    EXPECT_EQ(html.find(part), std::string::npos) << part;
  }
}

TEST(Page, NamesStayText) {
  Report report = report_of(2);
  const std::string evil = "</style></script><script>alert(1)</script><b onload='x'>&\"\x01";
  report.network = report.source = report.profile = report.plan_file = evil;
  report.steps[0].name = report.steps[0].primitive = report.steps[0].family = evil;
  report.steps[0].fused = {evil};
  report.steps[0].shape = report.steps[0].default_primitive = evil;
  report.workloads[0].text = evil;
  report.workloads[0].candidates[0].primitive = evil;
  report.workloads[0].absent = {{evil, {evil}}};
  report.plan.platform.machine.name = evil;
  report.plan.in_place = {{evil, Layout::nchw, DataType::f32}};
  report.plan.libraries = {{evil, evil}};
  report.commands = report.notes = {evil};
  report.model->platforms = {evil};
  report.errors.back().family = evil;
  report.curves->file = report.curves->platforms[0].platform = evil;
  report.curves->platforms[0].sources = {evil};
  report.curves->platforms[0].methods[0].first = evil;
  const std::string html = to_html(report);
  EXPECT_EQ(fault_of(html), "");
  EXPECT_EQ(count(html, "<script"), 1U);
  EXPECT_EQ(count(html, "</style"), 1U);
  EXPECT_EQ(html.find("<b onload"), std::string::npos);
  EXPECT_NE(html.find("&lt;script&gt;alert(1)"), std::string::npos);
}

TEST(Page, WorksWithLittle) {
  Report report;
  report.network = "nothing";
  report.totals = {{"this plan", 0, {}}};
  EXPECT_EQ(fault_of(to_html(report)), "");
  report.steps = {step("only", "direct", 0)};
  EXPECT_EQ(fault_of(to_html(report)), "");
}

TEST(Page, NumbersAreNumbersWhateverTheTimes) {
  Report report = report_of(4);
  report.steps[0].us = 0;
  report.steps[0].measured_us = 0;
  report.steps[1].us = 1e12;
  report.steps[2].bytes = 0;
  report.errors = {{"", 1, 0, 0, 0, 1e9, 1e9}};
  report.curves->platforms = {{"p", {}, 0, 0, {{"only", {{0, 0, 1, 1}}}}}};
  const std::string html = to_html(report);
  EXPECT_EQ(fault_of(html), "");
  for (const char* part : {"\"nan", "\"inf", "nan,", "inf,", "-nan"}) {
    EXPECT_EQ(html.find(part), std::string::npos) << part;
  }
}

TEST(Page, HoldsAThousandLayers) {
  const std::string html = to_html(report_of(1000));
  EXPECT_EQ(fault_of(html), "");
  EXPECT_NE(html.find(">layer999<"), std::string::npos);
  EXPECT_LT(html.size(), 4U << 20U);
}

TEST(Families, DifferByMoreThanTheirHue) {
  Report report;
  for (const char* name : {"direct", "depthwise", "deep", "dead", "a", "b", "c", "d", "e", "f"})
    report.steps.push_back(step("x", name, 1));
  const Families families(report);
  std::vector<std::string> codes, marks;
  for (const std::string& name : families.names()) {
    EXPECT_EQ(std::ranges::count(codes, families.code(name)), 0) << name;
    EXPECT_EQ(std::ranges::count(marks, families.marker(name, 0, 0, 1)), 0) << name;
    codes.push_back(families.code(name));
    marks.push_back(families.marker(name, 0, 0, 1));
  }
}

}  // namespace
}  // namespace convopt
