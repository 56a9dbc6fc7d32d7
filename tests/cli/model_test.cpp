// The verbs train, transfer, evaluate and check, from one small profile of this machine.
#include <fcntl.h>
#include <sys/file.h>

#include <algorithm>
#include <memory>
#include <set>
#include <string>

#include "tests/cli/command_line.h"

namespace {

class ModelVerbs : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    shell_ = std::make_unique<CommandLine>("model");
    network_ = shell_->write("tiny.json", kTinyNetwork);
    profile_ = shell_->file("profile.jsonl");
    model_ = shell_->file("model.ubj");
    ASSERT_EQ(run("profile --threads 1 --quiet --network " + network_ + " -o " + profile_), 0)
        << shell_->err();
    ASSERT_EQ(run("train " + profile_ + " -o " + model_), 0) << shell_->err();
    EXPECT_NE(shell_->err().find("too few to rank primitives"), std::string::npos) << shell_->err();
  }
  static void TearDownTestSuite() { shell_.reset(); }

  static int run(const std::string& arguments) { return shell_->run(arguments); }
  /// Its exit code. The budget is simulated time.
  static int transfer(const std::string& arguments) {
    return run("transfer --threads 1 --budget 4s --from " + model_ + " " + arguments);
  }
  /// It writes a model, or says by its exit code that it has none to write.
  static void expect_transfer(const std::string& arguments) {
    const int code = transfer(arguments);
    const bool written = shell_->out().find("written to ") != std::string::npos;
    const bool said = shell_->err().find("no model is written: ") != std::string::npos;
    EXPECT_EQ(code, written ? 0 : 5) << shell_->err();
    EXPECT_NE(written, said) << shell_->out() << shell_->err();
  }
  /// Fails with this code and says this, in one line.
  static void expect_error(const std::string& arguments, int code, const std::string& said) {
    EXPECT_EQ(run(arguments), code) << arguments << "\n" << shell_->err();
    const std::string message = shell_->err();
    EXPECT_NE(message.find(said), std::string::npos) << arguments << "\n" << message;
    EXPECT_EQ(message.find('\n'), message.size() - 1) << arguments << "\n" << message;
    EXPECT_EQ(shell_->out(), "") << arguments;
  }

  static inline std::unique_ptr<CommandLine> shell_;
  static inline std::string network_, profile_, model_;
};

TEST_F(ModelVerbs, TrainingTheSameProfileGivesTheSameFile) {
  const std::string again = shell_->file("again.ubj");
  ASSERT_EQ(run("train " + profile_ + " --json -o " + again), 0) << shell_->err();
  EXPECT_TRUE(shell_->out_json().is_object()) << shell_->out();
  EXPECT_EQ(shell_->read("model.ubj"), shell_->read("again.ubj"));
}

TEST_F(ModelVerbs, FilesThatAreNoModelsAreRefused) {
  const std::string content = shell_->read("model.ubj");
  ASSERT_GT(content.size(), 1000U);
  std::string flipped = content;
  flipped[content.size() / 2] ^= 0x10;
  const auto select = [](const std::string& model) {
    return "select " + network_ + " --threads 1 --model " + model;
  };
  expect_error(select(shell_->write("empty.ubj", "")), 3, "empty.ubj");
  expect_error(select(shell_->write("cut.ubj", content.substr(0, content.size() / 2))), 3,
               "cut.ubj");
  expect_error(select(shell_->write("flipped.ubj", flipped)), 3, "flipped.ubj");
  expect_error(select(profile_), 3, "profile.jsonl");
  expect_error(select(network_), 3, "tiny.json");
  expect_error(select(shell_->file("absent.ubj")), 3, "absent.ubj");
}

TEST_F(ModelVerbs, FilesThatAreNoProfilesAreRefused) {
  expect_error("train " + shell_->file("absent.jsonl"), 3, "absent.jsonl");
  expect_error("train " + shell_->write("empty.jsonl", ""), 3, "empty.jsonl");
  expect_error("train " + network_, 3, "tiny.json");
  expect_error("train " + profile_ + " --base " + shell_->file("absent.ubj"), 3, "absent.ubj");
  expect_error("train " + profile_ + " --base " + model_ + " -o " + shell_->file("typed.ubj"), 3,
               "no times of other types than f32");
  EXPECT_FALSE(std::filesystem::exists(shell_->file("typed.ubj")));
  expect_error("evaluate " + model_ + " " + model_, 3, "model.ubj");
  expect_error("transfer --from " + model_ + " --profile " + network_, 3, "tiny.json");
}

TEST_F(ModelVerbs, UnwritableOutputsAreErrorsOfTheEnvironment) {
  expect_error("train " + profile_ + " -o /dev/full", 4, "/dev/full");
  expect_error("train " + profile_ + " -o " + network_ + "/model.ubj", 4, "tiny.json/model.ubj");
}

TEST_F(ModelVerbs, AProfileFromAnotherMachineIsNotThisOne) {
  // The same times under the name of another processor.
  std::string foreign = shell_->read("profile.jsonl");
  const auto from = foreign.find("\"family\":");
  ASSERT_NE(from, std::string::npos);
  foreign.replace(from, foreign.find(',', from) - from, "\"family\":250");
  const std::string file = shell_->write("foreign.jsonl", foreign);
  expect_error("check --threads 1 --quiet --profile " + file, 3, "foreign.jsonl");
  expect_error("select " + network_ + " --threads 1 --model " + model_ + " --profile " + file, 4,
               "-250-");
  // Adapting to it is possible anywhere; the result is a model of that machine, not of this one.
  ASSERT_EQ(run("transfer --threads 1 --from " + model_ + " --profile " + file + " -o " +
                shell_->file("foreign.ubj")),
            0)
      << shell_->err();
  EXPECT_NE(shell_->out().find("-250-"), std::string::npos) << shell_->out();
}

TEST_F(ModelVerbs, TransferKeepsTheBestCandidateAndWritesAModelThatPlans) {
  const std::string adapted = shell_->file("adapted.ubj");
  ASSERT_EQ(run("transfer --threads 1 --json --from " + model_ + " --profile " + profile_ + " -o " +
                adapted),
            0)
      << shell_->err();
  EXPECT_TRUE(shell_->out_json().is_object()) << shell_->out();
  EXPECT_EQ(run("select " + network_ + " --threads 1 --model " + adapted), 0) << shell_->err();
}

TEST_F(ModelVerbs, TransferProfilesWithinItsBudget) {
  expect_transfer("");
  // Written to this machine's own place, where select looks first.
  ASSERT_EQ(run("select " + network_ + " --threads 1"), 0) << shell_->err();
}

TEST_F(ModelVerbs, TransferForANetworkTimesWhatItsPlanHangsOn) {
  // A home without times of other tests.
  const std::string home = shell_->file("fresh");
  setenv("XDG_DATA_HOME", home.c_str(), 1);
  const std::string adapted = shell_->file("for_network.ubj");
  ASSERT_EQ(transfer("-o " + adapted + " --network " + network_), 0) << shell_->err();
  EXPECT_NE(shell_->err().find("tiny.json: timed"), std::string::npos) << shell_->err();
  EXPECT_EQ(shell_->err().find("tiny.json: timed 0"), std::string::npos) << shell_->err();
  // The samples know nothing of this network, so what is measured was timed for its plan.
  ASSERT_EQ(run("select " + network_ + " --threads 1 --json --model " + adapted), 0);
  const auto plan = shell_->out_json();
  const auto measured = std::ranges::count_if(
      plan["layers"], [](const auto& layer) { return layer["source"] == "measured"; });
  EXPECT_GT(measured, 0);
  const std::string refused = "transfer --threads 1 --quiet --from " + model_;
  expect_error(refused + " --network " + shell_->file("absent.json"), 3, "absent.json");
  EXPECT_EQ(run(refused + " --profile " + profile_ + " --network " + network_), 2);
  setenv("XDG_DATA_HOME", std::filesystem::path(home).parent_path().c_str(), 1);
}

TEST_F(ModelVerbs, RefineTimesWhatThePlanHangsOn) {
  const std::string select = "select " + network_ + " --threads 1 --json --model " + model_;
  // Ends as soon as nothing is contested any more.
  ASSERT_EQ(run(select + " --refine 60s"), 0) << shell_->err();
  const auto refined = shell_->out_json();
  for (const auto& layer : refined["layers"]) {
    EXPECT_EQ(layer["source"], "measured") << layer;
  }
  // The times are kept: the same plan follows from them without measuring.
  ASSERT_EQ(run(select), 0) << shell_->err();
  EXPECT_EQ(shell_->out_json()["layers"], refined["layers"]);
  // A profile that is named need not exist; without a refinement that is a mistyped name.
  const std::string begun = shell_->file("begun.jsonl");
  expect_error(select + " --profile " + begun, 3, "begun.jsonl");
  ASSERT_EQ(run(select + " --refine 60s --profile " + begun), 0) << shell_->err();
  ASSERT_EQ(run(select + " --profile " + begun), 0) << shell_->err();
  const auto later = shell_->out_json();
  for (const auto& layer : later["layers"]) {
    EXPECT_EQ(layer["source"], "measured") << layer;
  }
  expect_error(select + " --refine soon", 2, "'soon' is not a time");
  expect_error(select + " --refine 0", 2, "'0' is not a time");
  expect_error(select + " --refine 1", 2, "'1' has no unit: write 1s for seconds");
}

TEST_F(ModelVerbs, ARefinementThatEndedEarlyAndALaterSelectAgree) {
  const std::string home = shell_->file("early");
  setenv("XDG_DATA_HOME", home.c_str(), 1);
  const std::string select = "select " + network_ + " --threads 1 --json --model " + model_;
  ASSERT_EQ(run(select + " --refine 1s"), 0) << shell_->err();
  const auto refined = shell_->out_json();
  const auto predicted = [](const auto& layer) { return layer["source"] == "predicted"; };
  const auto& layers = refined["layers"];
  EXPECT_NE(shell_->err().find("more time would measure more"), std::string::npos);
  EXPECT_TRUE(std::ranges::any_of(layers, predicted)) << refined;
  EXPECT_FALSE(std::ranges::all_of(layers, predicted)) << refined;
  ASSERT_EQ(run(select), 0) << shell_->err();
  EXPECT_EQ(shell_->out_json()["layers"], layers);
  EXPECT_EQ(shell_->out_json()["predicted_ms"], refined["predicted_ms"]);
  setenv("XDG_DATA_HOME", std::filesystem::path(home).parent_path().c_str(), 1);
}

TEST_F(ModelVerbs, EvaluateReportsRegretInTheDocumentedSchema) {
  ASSERT_EQ(run("evaluate " + model_ + " " + profile_ + " --json --network " + network_), 0)
      << shell_->err();
  const auto report = shell_->out_json();
  EXPECT_EQ(report["schema"], "convopt.evaluation/1");
  for (const char* field : {"platform", "samples", "mdrae", "within_10_percent", "spearman",
                            "interval_coverage", "regret", "networks", "primitives"}) {
    EXPECT_TRUE(report.contains(field)) << field;
  }
  ASSERT_EQ(report["networks"].size(), 1U);
  EXPECT_GE(report["networks"][0]["regret"].get<double>(), 1.0);
  EXPECT_FALSE(report["networks"][0].contains("refined"));

  const std::string refine = "evaluate " + model_ + " " + profile_ + " --network " + network_;
  ASSERT_EQ(run(refine + " --json --refine 1h"), 0) << shell_->err();
  const auto refined = shell_->out_json()["networks"][0]["refined"];
  for (const char* field : {"regret", "ms", "seconds", "timed"}) {
    EXPECT_TRUE(refined[field].is_number()) << field;
  }
  EXPECT_EQ(refined["settled"], true);
  ASSERT_EQ(run(refine + " --refine 5s"), 0);
  EXPECT_NE(shell_->out().find("refined"), std::string::npos);
  expect_error(refine + " --refine soon", 2, "'soon' is not a time");
  EXPECT_EQ(run(refine + " --refine 5s --transfer-curve"), 2);
}

TEST_F(ModelVerbs, CurvesNeedSomethingToAdaptTo) {
  expect_error("evaluate --transfer-curve " + model_, 2, "needs a profile");
  expect_error("evaluate --transfer-curve " + profile_, 2, "leaves nothing to learn from");
  expect_error("evaluate --transfer-curve --method magic " + model_ + " " + profile_, 2,
               "'magic' is no method");
  ASSERT_EQ(
      run("evaluate --transfer-curve --draws 2 --shapes 0,3 --json " + model_ + " " + profile_), 0)
      << shell_->err();
  const auto document = shell_->out_json();
  EXPECT_EQ(document["schema"], "convopt.transfer_curve/1");
  EXPECT_TRUE(document["noise_floor_regret"].is_null());  // nothing was measured twice
  const auto curves = document["platforms"];
  ASSERT_EQ(run("evaluate --transfer-curve --draws 1 --shapes 0,3 --svg " + shell_->file("c.svg") +
                " " + model_ + " " + profile_),
            0)
      << shell_->err();
  const std::string svg = shell_->read("c.svg");
  EXPECT_EQ(svg.rfind("<svg", 0), 0U);
  EXPECT_NE(svg.find("polyline"), std::string::npos);
  EXPECT_EQ(svg.find("nan"), std::string::npos);
  EXPECT_EQ(svg.find("inf"), std::string::npos);
  EXPECT_EQ(svg.substr(svg.size() - 7), "</svg>\n");
  ASSERT_EQ(curves.size(), 1U);
  EXPECT_EQ(curves[0]["draws"], 2);
  std::set<std::string> methods;
  for (const auto& point : curves[0]["curve"]) {
    methods.insert(point["method"]);
    EXPECT_EQ(point["draws"], 2);
    EXPECT_GE(point["regret_max"].get<double>(), point["regret_mean"].get<double>()) << point;
    EXPECT_GE(point["regret_mean"].get<double>(), 1.0) << point;
    EXPECT_EQ(point["profile_seconds"].get<double>() > 0, point["shapes"] > 0) << point;
    EXPECT_FALSE(point.contains("regret_worst_draw")) << point;
  }
  EXPECT_TRUE(methods.contains("auto"));

  // Where profiles of one machine hold a network and more, the network is never learnt from.
  const std::string more = shell_->file("more.jsonl");
  ASSERT_EQ(run("profile --threads 1 --quiet --configs 12 --ops convert --allow layout -o " + more),
            0)
      << shell_->err();
  ASSERT_EQ(run("evaluate --transfer-curve --select-samples --draws 2 --shapes 0,3 --json " +
                model_ + " " + profile_ + " " + more + " --network " + network_),
            0)
      << shell_->err();
  const auto judged = shell_->out_json()["platforms"][0];
  EXPECT_EQ(judged["networks"], 1);
  EXPECT_LE(judged["shapes"].get<int>(), 12);
  ASSERT_GT(judged["curve"].size(), 2U);
  for (const auto& point : judged["curve"]) {
    EXPECT_GE(point["regret_worst_draw"].get<double>(), 1.0) << point;
    EXPECT_GE(point["regret_max"].get<double>(), point["regret_mean"].get<double>());
  }
}

TEST_F(ModelVerbs, CheckSaysWhetherTimesStillHold) {
  ASSERT_EQ(run("check --threads 1 --quiet --points 3 --json --profile " + profile_), 0)
      << shell_->err();
  EXPECT_EQ(shell_->out_json()["verdict"], "holds");
  EXPECT_EQ(shell_->out_json()["missing"], "");
  // Fewer than asked for have a reason, too few no verdict.
  ASSERT_EQ(run("check --threads 1 --quiet --points 1000 --json --profile " + profile_), 0)
      << shell_->err();
  EXPECT_NE(shell_->out_json()["missing"].get<std::string>().find("holds times of"),
            std::string::npos);
  const std::string one = shell_->write("one.json", R"json({"schema": "convopt.network/1",
      "name": "one", "input": {"name": "x", "shape": [1, 8, 8, 8]},
      "operators": [{"name": "c", "op": "conv", "inputs": ["x"], "oc": 8, "kernel": 3}]})json");
  const std::string few = shell_->file("few.jsonl");
  ASSERT_EQ(run("profile --threads 1 --quiet --network " + one + " -o " + few), 0) << shell_->err();
  EXPECT_EQ(run("check --threads 1 --quiet --profile " + few), 5) << shell_->out();
  EXPECT_NE(shell_->err().find("too few points to tell"), std::string::npos) << shell_->err();
}

TEST_F(ModelVerbs, TransferIsUndone) {
  const std::string home = shell_->file("undone");
  setenv("XDG_DATA_HOME", home.c_str(), 1);
  // A model in the place of this machine's own.
  ASSERT_EQ(run("transfer --threads 1 --json --from " + model_ + " --profile " + profile_ + " -o " +
                shell_->file("own.ubj")),
            0)
      << shell_->err();
  EXPECT_EQ(shell_->out_json()["written"], true);
  ASSERT_EQ(run("doctor --threads 1 --json"), 0) << shell_->err();
  std::string name = shell_->out_json()["platform"]["id"];
  std::ranges::replace(name, '/', '-');
  const std::filesystem::path own =
      std::filesystem::path(home) / "convopt" / "models" / (name + ".ubj");
  std::filesystem::create_directories(own.parent_path());
  std::filesystem::copy_file(shell_->file("own.ubj"), own);
  ASSERT_EQ(run("transfer --threads 1 --forget"), 0) << shell_->err();
  EXPECT_NE(shell_->err().find("removed '" + own.string()), std::string::npos) << shell_->err();
  EXPECT_FALSE(std::filesystem::exists(own));
  ASSERT_EQ(run("transfer --threads 1 --forget"), 0) << shell_->err();
  EXPECT_NE(shell_->err().find("no model of this machine's own"), std::string::npos);
  setenv("XDG_DATA_HOME", std::filesystem::path(home).parent_path().c_str(), 1);
}

TEST_F(ModelVerbs, TooShortATransferLeavesTheModelAlone) {
  const std::string home = shell_->file("short");
  setenv("XDG_DATA_HOME", home.c_str(), 1);
  // Two shapes of a simulated second tell nothing.
  ASSERT_EQ(run("transfer --threads 1 --quiet --budget 1s --json --from " + model_), 5);
  EXPECT_NE(shell_->err().find("no model is written: too few shapes"), std::string::npos)
      << shell_->err();
  ASSERT_LT(shell_->out_json()["shapes"].get<int>(), 3) << shell_->out();
  EXPECT_EQ(shell_->out_json()["written"], false);
  EXPECT_FALSE(std::filesystem::exists(std::filesystem::path(home) / "convopt" / "models"));
  setenv("XDG_DATA_HOME", std::filesystem::path(home).parent_path().c_str(), 1);
}

TEST_F(ModelVerbs, RatesThatCannotBeStoredAreSaid) {
  setenv("XDG_DATA_HOME", "/dev/null/data", 1);
  EXPECT_EQ(run("check --threads 1 --quiet --profile " + profile_), 0) << shell_->err();
  EXPECT_NE(shell_->err().find("peak and bandwidths are not stored"), std::string::npos)
      << shell_->err();
  const std::filesystem::path home = shell_->file("unstored");
  setenv("XDG_DATA_HOME", home.c_str(), 1);
  const std::string adapted = "-o " + shell_->file("unstored.ubj");
  ASSERT_EQ(transfer(adapted), 0) << shell_->err();
  EXPECT_EQ(shell_->err().find("not stored"), std::string::npos) << shell_->err();
  // A folder where the file of the rates belongs.
  for (const auto& entry : std::filesystem::directory_iterator(home / "convopt")) {
    if (!entry.path().filename().string().starts_with("machine-")) continue;
    std::filesystem::remove(entry.path());
    std::filesystem::create_directories(entry.path() / "taken");
    break;
  }
  ASSERT_EQ(transfer(adapted), 0) << shell_->err();
  EXPECT_NE(shell_->err().find("peak and bandwidths are not stored"), std::string::npos)
      << shell_->err();
  setenv("XDG_DATA_HOME", home.parent_path().c_str(), 1);
}

TEST_F(ModelVerbs, TwoTransfersDoNotMeasureAtOnce) {
  const std::string home = shell_->file("locked");
  setenv("XDG_DATA_HOME", home.c_str(), 1);
  const std::string folder = home + "/convopt";
  std::filesystem::create_directories(folder);
  const int lock = open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  ASSERT_GE(lock, 0);
  ASSERT_EQ(flock(lock, LOCK_EX | LOCK_NB), 0);
  expect_error("transfer --threads 1 --quiet --budget 4s --from " + model_, 4,
               "another transfer is measuring");
  close(lock);
  expect_transfer("");
  setenv("XDG_DATA_HOME", std::filesystem::path(home).parent_path().c_str(), 1);
}

}  // namespace
