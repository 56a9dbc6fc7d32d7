// The verb report: its page, its errors, and the page in a browser.
#include <cstdlib>
#include <fstream>
#include <memory>
#include <string>

#include "tests/cli/command_line.h"

namespace {

/// Layers with names that no page should take for markup.
constexpr const char* kHostileNetwork =
    R"({"schema":"convopt.network/1","name":"<img src=x onerror=alert(1)>","source":"a test",
  "input":{"shape":[1,3,12,12]},
  "operators":[
    {"name":"<script>alert(1)</script>","op":"conv","oc":16,"kernel":3,"padding":1},
    {"name":"\"'&</td>","op":"relu"},
    {"name":"c2","op":"conv","oc":16,"kernel":3,"padding":1}]})";

class ReportVerb : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    shell_ = std::make_unique<CommandLine>("report");
    shell_->write("tiny.json", kTinyNetwork);
    shell_->write("hostile.json", kHostileNetwork);
    ASSERT_EQ(run("profile --threads 1 --quiet --network " + file("tiny.json") + " -o " +
                  file("profile.jsonl")),
              0)
        << err();
    ASSERT_EQ(run("train " + file("profile.jsonl") + " -o " + file("model.ubj")), 0) << err();
  }
  static void TearDownTestSuite() { shell_.reset(); }

  static std::string file(const std::string& name) { return shell_->file(name); }
  static std::string by_model(const std::string& network) {
    return file(network) + " --threads 1 --model " + file("model.ubj") + " ";
  }
  static int run(const std::string& arguments) { return shell_->run(arguments); }
  static std::string err() { return shell_->err(); }
  static std::string page() { return shell_->read("page.html"); }
  static int report(const std::string& arguments) {
    return run("report " + arguments + " -o " + file("page.html"));
  }
  static bool has(const std::string& text, const std::string& part) {
    return text.find(part) != std::string::npos;
  }

  static inline std::unique_ptr<CommandLine> shell_;
};

TEST_F(ReportVerb, NamesEveryLayerAndHowToRepeatIt) {
  ASSERT_EQ(report(by_model("tiny.json")), 0) << err();
  for (const char* part : {"c1", "r1", "c2", "sum", "r2", "convopt select", "convopt report",
                           "Roofline", "Fastest family by shape", "default of the library"}) {
    EXPECT_TRUE(has(page(), part)) << part;
  }
  EXPECT_FALSE(has(page(), "Predicted against measured"));
  const std::string first = page();
  ASSERT_EQ(report(by_model("tiny.json")), 0) << err();
  EXPECT_EQ(page(), first);
}

TEST_F(ReportVerb, ShowsMeasuredTimesOfAProfileAndOfTheRunningNetwork) {
  ASSERT_EQ(report(by_model("tiny.json") + "--profile " + file("profile.jsonl")), 0) << err();
  EXPECT_TRUE(has(page(), "Predicted against measured"));
  EXPECT_TRUE(has(page(), "median error on this network"));
  ASSERT_EQ(report(by_model("tiny.json") + "--measure --time 50ms"), 0) << err();
  EXPECT_TRUE(has(page(), "Predicted against measured"));
  EXPECT_TRUE(has(page(), "as fast, measured"));
  EXPECT_TRUE(has(page(), " times the prediction"));
}

TEST_F(ReportVerb, ShowsTheErrorOfTheModelOnAllTimesOfTheProfile) {
  // One layer's page, and the times of all.
  shell_->write("one.json", R"({"schema":"convopt.network/1","name":"one","source":"a test",
    "input":{"shape":[1,3,12,12]},"operators":[{"name":"c","op":"conv","oc":16,"kernel":3}]})");
  ASSERT_EQ(report(by_model("one.json") + "--profile " + file("profile.jsonl")), 0) << err();
  std::size_t times = 0;
  std::ifstream lines(file("profile.jsonl"));
  for (std::string line; std::getline(lines, line);)
    times += has(line, "\"status\":\"ok\"") ? 1 : 0;
  ASSERT_GT(times, 10U);
  EXPECT_TRUE(has(page(), "Error of the model"));
  EXPECT_TRUE(has(page(), "all, " + std::to_string(times) + " times: half take")) << times;
  EXPECT_TRUE(has(page(), "direct, ")) << page();
  // Without times there is nothing to say.
  ASSERT_EQ(report(by_model("one.json")), 0) << err();
  EXPECT_FALSE(has(page(), "Error of the model"));
}

TEST_F(ReportVerb, ShowsTheTransferCurveThatEvaluatePrints) {
  ASSERT_EQ(run("evaluate --transfer-curve --draws 2 --shapes 0,1 --json " + file("model.ubj") +
                " " + file("profile.jsonl")),
            0)
      << err();
  shell_->write("curve.json", shell_->out());
  const auto points = shell_->out_json()["platforms"][0]["curve"];
  ASSERT_GT(points.size(), 2U);
  const std::string curve = " --transfer-curve " + file("curve.json");
  ASSERT_EQ(report(by_model("tiny.json") + curve), 0) << err();
  EXPECT_TRUE(has(page(), "Transfer curve"));
  for (const auto& point : points) {
    const std::string words = point["method"].get<std::string>() +
                              (point["shapes"] == 1 ? ", 1 shape: " : ", 0 shapes: ");
    EXPECT_TRUE(has(page(), words + "regret ")) << words;
    EXPECT_TRUE(has(page(), words + "median error ")) << words;
  }
  EXPECT_TRUE(has(page(), "auto, 1 shape: regret 1."));
  EXPECT_TRUE(has(page(), "; regret of single operations, mean of 2 draws"));
  EXPECT_FALSE(has(page(), "has no curve of this page"));
  // The commands say how to get the page again, not how to plan with a curve.
  EXPECT_TRUE(has(page(), curve));
  EXPECT_FALSE(has(page(), "convopt select" + curve));
  EXPECT_EQ(report(by_model("tiny.json") + " --transfer-curve " + file("tiny.json")), 3) << err();
  EXPECT_TRUE(has(err(), "not convopt.transfer_curve/1")) << err();
  EXPECT_EQ(report(by_model("tiny.json") + " --transfer-curve " + file("none.json")), 3) << err();
}

TEST_F(ReportVerb, TakesAPlan) {
  ASSERT_EQ(run("select " + by_model("tiny.json") + "-o " + file("plan.json")), 0) << err();
  ASSERT_EQ(report(by_model("tiny.json") + "--plan " + file("plan.json")), 0) << err();
  EXPECT_TRUE(has(page(), "it was read from"));
  EXPECT_FALSE(has(page(), "made for another machine"));
  ASSERT_EQ(
      std::system(("sed -i 's/\"vendor\": *\"[^\"]*\"/\"vendor\":\"Other\"/' " + file("plan.json"))
                      .c_str()),
      0);
  ASSERT_EQ(report(by_model("tiny.json") + "--plan " + file("plan.json")), 0) << err();
  EXPECT_TRUE(has(page(), "made for another machine"));
  // The plan of another network, and what is no plan.
  EXPECT_EQ(report(by_model("hostile.json") + "--plan " + file("plan.json")), 3) << err();
  EXPECT_TRUE(has(err(), "plan.json")) << err();
  EXPECT_EQ(report(by_model("tiny.json") + "--plan " + file("tiny.json")), 3) << err();
}

TEST_F(ReportVerb, RefusesWhatCannotBeWritten) {
  EXPECT_EQ(run("report " + by_model("tiny.json")), 2);
  EXPECT_EQ(run("report " + by_model("tiny.json") + "-o " + file("no/such/folder.html")), 4);
  EXPECT_EQ(run("report " + by_model("tiny.json") + "-o " + file("tiny.json")), 2);
  EXPECT_EQ(run("report " + by_model("tiny.json") + "--time 1s -o " + file("page.html")), 2);
  EXPECT_EQ(run("report " + by_model("tiny.json") + "-o -"), 0) << err();
  EXPECT_TRUE(shell_->out().starts_with("<!DOCTYPE html>"));
}

TEST_F(ReportVerb, NamesOfAModelAreText) {
  ASSERT_EQ(report(by_model("hostile.json")), 0) << err();
  EXPECT_FALSE(has(page(), "<img"));
  EXPECT_FALSE(has(page(), "<script>"));
  EXPECT_TRUE(has(page(), "&lt;script&gt;alert(1)&lt;/script&gt;"));
}

/// Looks at the page from within and leaves what it found in the document: how large each drawing
/// is, whether the page's own script has run, and whether anything is wider than a narrow window.
constexpr const char* kProbe = R"(
addEventListener('load', function () {
  const found = [];
  document.querySelectorAll('svg.wide, svg.square').forEach(function (svg) {
    const box = svg.getBBox(), place = svg.getBoundingClientRect();
    if (box.width > 100) { if (box.height > 100) { if (place.width > 100) found.push('drawn'); } }
  });
  const rows = document.querySelectorAll('#layers tbody tr').length;
  document.getElementById('filter').value = 'c2';
  document.getElementById('filter').dispatchEvent(new Event('input'));
  const shown = document.querySelectorAll('#layers tbody tr:not([hidden])').length;
  document.getElementById('sort').click();
  const details = document.querySelector('details[id]');
  location.hash = details.id;
  setTimeout(function () {
    document.body.dataset.probe = found.length + ' drawn, filter ' + (shown !== 0) + ' ' + (rows > shown) +
      ', opened ' + details.open + ', fits ' + (document.documentElement.scrollWidth <= innerWidth);
  }, 50);
});
)";

class Browser : public ReportVerb {
 protected:
  void SetUp() override {
    if (std::system("command -v chromium >/dev/null") != 0)
      GTEST_SKIP() << "chromium is not installed, so no page is looked at in a browser";
    // Some containers let no browser start.
    static const bool starts =
        std::system((chromium() + "--dump-dom about:blank >/dev/null 2>&1").c_str()) == 0;
    if (!starts) GTEST_SKIP() << "chromium does not start here, so no page is looked at";
  }
  static std::string chromium() {
    return "timeout 100 chromium --headless=new --no-sandbox --disable-gpu "
           "--disable-dev-shm-usage --no-first-run --user-data-dir=" +
           file("browser") + " ";
  }
  /// What the page is like after its scripts have run; what it complains of goes to err().
  static std::string dom(const std::string& name) {
    const std::string command =
        chromium() +
        "--window-size=420,900 --enable-logging=stderr --v=0 --virtual-time-budget=3000 "
        "--dump-dom file://" +
        file(name) + " >" + file("out") + " 2>" + file("err");
    EXPECT_EQ(std::system(command.c_str()), 0) << err();
    return shell_->out();
  }
  /// The page with a script of the test's own, which the page's policy would not let run.
  static void add_probe() {
    std::string html = page();
    const std::string nonce = "nonce=\"";
    const auto begin = html.find(nonce) + nonce.size();
    const std::string value = html.substr(begin, html.find('"', begin) - begin);
    html.insert(html.find("</body>"), "<script nonce=\"" + value + "\">" + kProbe + "</script>");
    shell_->write("probed.html", html);
  }
};

TEST_F(Browser, DrawsThePageWithoutAComplaint) {
  ASSERT_EQ(run("evaluate --transfer-curve --draws 2 --shapes 0,1 --json " + file("model.ubj") +
                " " + file("profile.jsonl")),
            0)
      << err();
  shell_->write("curve.json", shell_->out());
  ASSERT_EQ(report(by_model("tiny.json") + "--profile " + file("profile.jsonl") +
                   " --transfer-curve " + file("curve.json")),
            0)
      << err();
  add_probe();
  const std::string seen = dom("probed.html");
  // The timeline, the roofline, the scatter, two maps, the errors and two curves.
  EXPECT_TRUE(has(seen, "data-probe=\"8 drawn, filter true true, opened true, fits true\""))
      << seen.substr(0, seen.find('>', seen.find("<body")));
  EXPECT_FALSE(has(err(), "CONSOLE")) << err();
}

TEST_F(Browser, RunsNoScriptButThePagesOwn) {
  ASSERT_EQ(report(by_model("hostile.json")), 0) << err();
  dom("page.html");
  EXPECT_FALSE(has(err(), "CONSOLE")) << err();
  // Were a name not escaped, the policy would still hold; and this test would see a complaint.
  std::string html = page();
  html.insert(html.find("</body>"), "<script>document.body.dataset.evil = 'yes'</script>");
  shell_->write("evil.html", html);
  EXPECT_FALSE(has(dom("evil.html"), "data-evil"));
  EXPECT_TRUE(has(err(), "CONSOLE")) << err();
}

}  // namespace
