// The verb bench.
#include <algorithm>
#include <set>

#include "tests/cli/command_line.h"

namespace {

using nlohmann::json;

const std::string kShape = "n1_ic16_ih12_iw12_oc16_kh3_kw3_s1_p1";

class BenchVerb : public testing::Test {
 protected:
  int run(const std::string& arguments) const {
    return shell_.run("bench --threads 1 --time 2ms " + arguments);
  }
  const CommandLine shell_{"bench"};
};

TEST_F(BenchVerb, ReportsEveryPrimitiveBesideOnednn) {
  ASSERT_EQ(run("--json --shape " + kShape), 0) << shell_.err();
  const json document = shell_.out_json();
  EXPECT_EQ(document["schema"], "convopt.bench/1");
  EXPECT_GT(document["peak_gflops"], 1);
  EXPECT_TRUE(document["failed"].empty());
  std::set<std::string> families;
  double onednn_best = 0;
  const double peak = document["peak_gflops"];
  for (const json& row : document["rows"]) {
    families.insert(row["family"]);
    EXPECT_EQ(row["shape"], kShape);
    EXPECT_EQ(row["layer"], kShape);
    EXPECT_EQ(row["threads"], 1);
    EXPECT_GT(row["us"], 0);
    EXPECT_LT(row["max_relative_error"], 1e-4);
    // 2 * 16 * 16 * 9 * 144 operations.
    EXPECT_NEAR(row["gflops"].get<double>() * row["us"].get<double>(), 663.552, 1e-6);
    // Of the 9 * 144 taps per pair of channels, 2 * 3 * (12 + 12) - 4 lie outside the image.
    EXPECT_NEAR(row["percent_of_peak"].get<double>() * row["us"].get<double>() * peak / 100,
                663.552 * (9 * 144 - 140) / (9 * 144), 1e-6);
    if (row["family"] == "onednn" && (onednn_best == 0 || row["us"] < onednn_best)) {
      onednn_best = row["us"];
    }
  }
  // Without optimisation, as under sanitizers, own kernels may be too slow to be timed.
  for (const json& entry : document["cut_short"]) {
    const std::string primitive = entry["primitive"];
    families.insert(primitive.starts_with("im2") ? "im2col"
                                                 : primitive.substr(0, primitive.find('_')));
  }
  for (const char* family : {"direct", "im2col", "kn2row", "winograd", "onednn"}) {
    EXPECT_TRUE(families.contains(family)) << family;
  }
  for (const json& row : document["rows"]) {
    EXPECT_NEAR(row["ratio_to_onednn_best"].get<double>() * onednn_best, row["us"].get<double>(),
                1e-6 * row["us"].get<double>());
  }
}

TEST_F(BenchVerb, TakesNetworksFamiliesAndLevels) {
  const std::string network = shell_.write("tiny.json", kTinyNetwork);
  ASSERT_EQ(run("--json --isa avx2 --family direct --network " + network), 0) << shell_.err();
  std::set<std::string> layers;
  const json document = shell_.out_json();
  for (const json& row : document["rows"]) {
    layers.insert(row["layer"]);
    EXPECT_TRUE(row["family"] == "direct" || row["family"] == "onednn") << row;
    EXPECT_EQ(row["isa"], "avx2");
    EXPECT_EQ(row["primitive"].get<std::string>().find("avx512"), std::string::npos) << row;
  }
  EXPECT_EQ(layers, (std::set<std::string>{"tiny/c1", "tiny/c2"}));
}

TEST_F(BenchVerb, TimesShapesOfOtherTypes) {
  for (const std::string types : {"_bf16", "_bf16_f32", "_u8", "_s8_f32"}) {
    ASSERT_EQ(run("--json --shape " + kShape + types), 0) << shell_.err();
    const json document = shell_.out_json();
    EXPECT_TRUE(document["failed"].empty()) << document["failed"];
    // Processors without such products have nothing to time, and say so.
    EXPECT_EQ(document["rows"].empty(), !shell_.err().empty()) << shell_.err();
    for (const json& row : document["rows"]) {
      EXPECT_EQ(row["shape"], kShape + types);
      EXPECT_TRUE(row["primitive"].get<std::string>().ends_with(types)) << row;
      // Winograd rounds to bf16 what it has transformed.
      const double most = row["family"] == "winograd" ? 3e-2
                          : types.ends_with("_f32")   ? 1e-4
                                                      : 5e-3;
      EXPECT_LT(row["max_relative_error"], most) << row;
      EXPECT_LT(row["percent_of_peak"], 110) << row;
    }
  }
}

TEST_F(BenchVerb, PrintsATableWithASummary) {
  ASSERT_EQ(run("--shape " + kShape), 0) << shell_.err();
  EXPECT_NE(shell_.out().find("winograd_"), std::string::npos);
  EXPECT_NE(shell_.out().find("in the geometric mean"), std::string::npos);
  ASSERT_EQ(run("--quiet -o " + shell_.file("table.txt") + " --shape " + kShape), 0);
  EXPECT_TRUE(shell_.out().empty());
  EXPECT_FALSE(shell_.read("table.txt").empty());
}

TEST_F(BenchVerb, RefusesWhatDoesNotFitIntoMemory) {
#if defined(__SANITIZE_ADDRESS__)
  GTEST_SKIP() << "the sanitizer itself needs more address space";
#endif
  // Tensors of 8 GB, and of 128 GB in layouts of 16 channels.
  const std::string huge = "bench --threads 1 --shape n1_ic1_ih46000_iw46000_oc1_kh3_kw3_s1_p1";
  EXPECT_EQ(shell_.run_limited("-v 8000000", huge), 4) << shell_.err();
  EXPECT_NE(shell_.err().find("GiB of memory, available are"), std::string::npos) << shell_.err();
  EXPECT_EQ(std::ranges::count(shell_.err(), '\n'), 1) << shell_.err();
}

TEST_F(BenchVerb, AResultThatFindsNoRoomIsNotLost) {
  const std::string arguments = "bench --threads 1 --time 2ms --json --shape " + kShape;
  EXPECT_EQ(shell_.run_limited("-f 4", arguments + " -o " + shell_.file("no_room.json")), 4);
  EXPECT_NE(shell_.err().find("on standard output"), std::string::npos) << shell_.err();
  EXPECT_EQ(shell_.out_json()["schema"], "convopt.bench/1") << shell_.out();
  EXPECT_FALSE(std::filesystem::exists(shell_.file("no_room.json")));
}

TEST_F(BenchVerb, RefusesWhatMakesNoSense) {
  EXPECT_EQ(run(""), 2);
  EXPECT_EQ(run("--shape hello"), 2);
  EXPECT_EQ(run("--shape " + kShape + "_bf17"), 2);
  EXPECT_EQ(run("--shape " + kShape + ":relu"), 2);
  EXPECT_EQ(run("--shape n1_ic4_ih2_iw2_oc4_kh1_kw1_s1_p0_u8_zp"), 2);
  EXPECT_NE(shell_.err().find("leave out _zp"), std::string::npos) << shell_.err();
  EXPECT_EQ(run("--shape n1_ic4_ih2_iw2_oc4_kh5_kw5_s1_p0"), 2);
  EXPECT_EQ(run("--family nonsense --shape " + kShape), 2);
  EXPECT_NE(shell_.err().find("nonsense"), std::string::npos);
  EXPECT_EQ(shell_.run("bench --time soon --shape " + kShape), 2);
  EXPECT_EQ(run("--network " + shell_.file("missing.json")), 3);
  EXPECT_EQ(run("-o /nowhere/at/all --shape " + kShape), 4);
}

}  // namespace
