// The page of a plan, drawn from values that are made up: what is in it, and that nothing from a
// model becomes markup.
#include "src/report/report.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "src/report/families.h"
#include "src/report/markup.h"
#include "src/report/page.h"
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
  for (const char* part :
       {"Time along the network", "Roofline", "Predicted against measured", "Layers",
        "Other ways to compute each layer", "needs a kernel of 3 x 3", "Fastest family by shape",
        "Machine and model", "convopt select net", "a note", "A processor", "conversion of data",
        "Content-Security-Policy", "prefers-color-scheme: dark", "@media print"}) {
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
