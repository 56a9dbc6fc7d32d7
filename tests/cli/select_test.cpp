// The verbs select, explain and list. No times matter here, so plans are made by a model trained in
// a moment.
#include <algorithm>
#include <memory>
#include <set>
#include <string>

#include "tests/cli/command_line.h"

namespace {

using nlohmann::json;

class SelectVerb : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    shell_ = std::make_unique<CommandLine>("select");
    shell_->write("tiny.json", kTinyNetwork);
    const std::string profile = file("profile.jsonl");
    ASSERT_EQ(run("profile --threads 1 --quiet --network " + net() + " -o " + profile), 0) << err();
    ASSERT_EQ(run("train " + profile + " -o " + file("model.ubj")), 0) << err();
  }
  static void TearDownTestSuite() { shell_.reset(); }

  static std::string file(const std::string& name) { return shell_->file(name); }
  static std::string net() { return file("tiny.json"); }
  static std::string by_model() {
    return net() + " --threads 1 --model " + file("model.ubj") + " ";
  }
  static int run(const std::string& arguments) { return shell_->run(arguments); }
  static std::string out() { return shell_->out(); }
  static std::string err() { return shell_->err(); }
  static json out_json() { return shell_->out_json(); }
  static json layers() { return out_json()["layers"]; }

  static inline std::unique_ptr<CommandLine> shell_;
};

TEST_F(SelectVerb, PlansAndNamesTheLayers) {
  ASSERT_EQ(run("select " + by_model()), 0) << err();
  for (const char* part :
       {"c1", "c2", "total", "proven optimal", "default of the library, onednn"}) {
    EXPECT_NE(out().find(part), std::string::npos) << part << "\n" << out();
  }
}

TEST_F(SelectVerb, JsonIsOneDocumentThatAddsUp) {
  ASSERT_EQ(run("select --json " + by_model()), 0) << err();
  const json plan = out_json();
  ASSERT_TRUE(plan.is_object());
  EXPECT_EQ(plan["schema"], "convopt.plan/1");
  double sum = 0;
  for (const json& layer : plan["layers"]) sum += layer["predicted_us"].get<double>();
  for (const json& c : plan["conversions"]) sum += c["predicted_us"].get<double>();
  EXPECT_NEAR(plan["predicted_ms"].get<double>() * 1e3, sum, 0.02);
  EXPECT_TRUE(plan["optimal"].get<bool>());
  EXPECT_LE(plan["predicted_ms"], plan["baselines"]["library_default_ms"]);
  EXPECT_LE(plan["predicted_ms"], plan["baselines"]["best_single_primitive_ms"]);
  EXPECT_LE(plan["predicted_ms"], plan["baselines"]["greedy_ms"]);
}

TEST_F(SelectVerb, SameInputsSamePlan) {
  ASSERT_EQ(run("select --json " + by_model()), 0);
  json first = out_json();
  ASSERT_EQ(run("select --json " + by_model()), 0);
  json second = out_json();
  first.erase("timing");
  second.erase("timing");
  EXPECT_EQ(first, second);
}

TEST_F(SelectVerb, PrecisionF32IsTheDefault) {
  ASSERT_EQ(run("select --json " + by_model()), 0) << err();
  json first = out_json();
  ASSERT_EQ(run("select --json --precision f32 " + by_model()), 0) << err();
  json second = out_json();
  first.erase("timing");
  second.erase("timing");
  EXPECT_EQ(first, second);
  EXPECT_EQ(first.dump().find("_type"), std::string::npos);
}

TEST_F(SelectVerb, OtherTypesAreFasterOrNotTaken) {
  ASSERT_EQ(run("select --json " + by_model()), 0) << err();
  const double f32 = out_json()["predicted_ms"].get<double>();
  ASSERT_EQ(run("select --json --precision bf16 " + by_model()), 0) << err();
  const double bf16 = out_json()["predicted_ms"].get<double>();
  EXPECT_LE(bf16, f32);
  ASSERT_EQ(run("select --json --precision auto " + by_model()), 0) << err();
  EXPECT_EQ(out_json()["predicted_ms"].get<double>(), bf16);
  ASSERT_EQ(run("explain --precision bf16 " + by_model() + "c1"), 0) << err();
}

TEST_F(SelectVerb, APlanInBf16IsExecutedAndVerified) {
  // Both convolutions by one primitive of bf16 and by nothing else, whatever the times say.
  std::set<std::string> of_both, of_last;
  for (const std::string layer : {"c1", "c2"}) {
    ASSERT_EQ(run("explain --json --precision bf16 " + by_model() + layer), 0) << err();
    of_last.swap(of_both);
    of_both.clear();
    const json explanation = out_json();
    for (const json& candidate : explanation["candidates"]) {
      if (candidate.value("input_type", "") != "bf16") continue;
      const auto name = candidate["primitive"].get<std::string>();
      if (layer == "c1" || of_last.contains(name)) of_both.insert(name);
    }
  }
  const std::string primitive = of_both.empty() ? "" : *of_both.begin();
  if (primitive.empty()) GTEST_SKIP() << "no primitive convolves bf16 numbers here";
  const std::string plan = file("bf16.json");
  ASSERT_EQ(run("select --precision bf16 --allow " + primitive + " " + by_model() + "-o " + plan +
                " --json"),
            0)
      << err();
  EXPECT_EQ(json::parse(shell_->read("bf16.json"), nullptr, false)["layers"][0]["input_type"],
            "bf16");
  ASSERT_EQ(run("run " + net() + " --plan " + plan + " --repeat 1 --verify --json"), 0) << err();
  const json report = out_json();
  EXPECT_TRUE(report["verified"].get<bool>());
  ASSERT_EQ(report["output_errors"].size(), 1U);
  EXPECT_GT(report["output_errors"][0]["error"].get<double>(), 1e-6);
  EXPECT_LT(report["output_errors"][0]["error"].get<double>(), 0.05);
  EXPECT_GT(report["output_errors"][0]["cosine"].get<double>(), 0.999);
}

/// Two inputs of the tiny network as an .npy file.
std::string two_inputs() {
  std::string header = "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3, 12, 12), }";
  header.resize(117, ' ');
  std::string file = std::string("\x93NUMPY\x01\x00", 8) + '\x76' + '\0' + header + "\n";
  for (int i = 0; i < 2 * 3 * 12 * 12; ++i) {
    const float value = static_cast<float>(i * 37 % 101) / 50 - 1;
    file.append(reinterpret_cast<const char*>(&value), sizeof value);
  }
  return file;
}

TEST_F(SelectVerb, ACalibrationWithoutARangeIsRefused) {
  json calibration = {{"schema", "convopt.calibration/1"},
                      {"network", "tiny"},
                      {"samples", 1},
                      {"tensors", json::array()}};
  const std::string select = "select --precision int8 " + by_model() + "--calibration ";
  EXPECT_EQ(run(select + shell_->write("none.calibration", calibration.dump())), 3) << err();
  EXPECT_NE(err().find("holds no range but 0"), std::string::npos) << err();
  calibration["tensors"] = {
      {{"name", "input"}, {"low", 0}, {"high", 0}, {"percentile", 0}, {"mse", 0}}};
  EXPECT_EQ(run(select + shell_->write("zero.calibration", calibration.dump())), 3) << err();
}

TEST_F(SelectVerb, Int8TakesItsScalesFromACalibration) {
  const std::string inputs = shell_->write("inputs.npy", two_inputs());
  const std::string ranges = file("tiny.calibration");
  // By the same model as below, whose f32 plan computes the ranges.
  ASSERT_EQ(run("calibrate --input " + inputs + " -o " + ranges + " " + by_model()), 0) << err();
  const json calibration = json::parse(shell_->read("tiny.calibration"), nullptr, false);
  EXPECT_EQ(calibration["samples"], 2);
  ASSERT_EQ(calibration["tensors"].size(), 6U);
  EXPECT_EQ(calibration["tensors"][0]["low"], -1);
  ASSERT_EQ(run("select --json " + by_model()), 0) << err();
  const double f32 = out_json()["predicted_ms"].get<double>();
  ASSERT_EQ(run("select --json --precision int8 --calibration " + ranges + " " + by_model()), 0)
      << err();
  json by_file = out_json();
  EXPECT_LE(by_file["predicted_ms"].get<double>(), f32);
  // The same without a file, besides that the error is measured.
  ASSERT_EQ(run("select --json --precision int8 --calibrate " + inputs + " -o " +
                file("int8.json") + " --threads 1 --model " + file("model.ubj") + " -- " + net()),
            0)
      << err();
  json by_inputs = out_json();
  EXPECT_EQ(by_inputs["accuracy"]["samples"], 2);
  for (json* plan : {&by_file, &by_inputs}) {
    plan->erase("timing");
    plan->erase("accuracy");
  }
  EXPECT_EQ(by_file, by_inputs);
  ASSERT_EQ(run("run " + net() + " --plan " + file("int8.json") + " --repeat 1 --verify"), 0)
      << err();
  ASSERT_EQ(run("explain --json --precision auto --calibration " + ranges + " " + by_model() +
                "c2 --calibrate " + inputs),
            0)
      << err();
  const json explanation = out_json();
  for (const json& type : explanation["types"]) {
    EXPECT_GE(type["plan_ms"].get<double>(), explanation["plan_ms"].get<double>() - 1e-9);
    EXPECT_EQ(type.contains("weights_error"), type["type"] != "f32") << type;
    if (type["type"] == "f32") continue;
    EXPECT_GT(type["weights_error"].get<double>(), 0) << type;
    EXPECT_LT(type["sources_error"].get<double>(), 0.1) << type;
  }
  EXPECT_EQ(explanation["types"][0]["type"], "f32");
}

TEST_F(SelectVerb, AnErrorLimitTakesTheSensitivitiesOfACalibration) {
  const std::string inputs = shell_->write("inputs.npy", two_inputs());
  const std::string calibrate = "calibrate " + by_model() + "--input " + inputs + " ";
  ASSERT_EQ(run(calibrate + "--no-sensitivities -o " + file("ranges.calibration")), 0) << err();
  EXPECT_NE(err().find("ranges of 6 tensors in "), std::string::npos) << err();
  ASSERT_EQ(run(calibrate + "--range mse -o " + file("all.calibration")), 0) << err();
  const json ranges = json::parse(shell_->read("ranges.calibration"), nullptr, false);
  const json all = json::parse(shell_->read("all.calibration"), nullptr, false);
  EXPECT_EQ(ranges["tensors"], all["tensors"]);
  EXPECT_FALSE(ranges.contains("sensitivities"));
  ASSERT_EQ(run("list --json"), 0) << err();
  const json convolutions = out_json();
  const auto is_short = [](const json& primitive) {
    const auto name = primitive["name"].get<std::string>();
    return name.find("_bf16") != std::string::npos || name.find("_u8") != std::string::npos;
  };
  if (std::ranges::none_of(convolutions, is_short)) {
    GTEST_SKIP() << "no primitive convolves in bf16 or int8";
  }
  EXPECT_EQ(all["sensitivity_samples"], 2);
  std::set<std::string> weighted;
  for (const json& sensitivity : all["sensitivities"]) {
    if (sensitivity.contains("operator")) weighted.insert(sensitivity["operator"]);
    EXPECT_GE(sensitivity["error"].get<double>(), 0) << sensitivity;
    EXPECT_LE(sensitivity["cosine"].get<double>(), 1) << sensitivity;
  }
  EXPECT_TRUE(weighted.contains("c1")) << all.dump();
  const auto plan_by = [&](const std::string& precision, const std::string& calibration) {
    EXPECT_EQ(
        run("select --json --max-output-error 0.001 --range mse --precision " + precision +
            " --calibrate " + inputs + " --calibration " + file(calibration) + " " + by_model()),
        0)
        << err();
    json plan = out_json();
    plan.erase("timing");
    return plan;
  };
  for (const std::string precision : {"bf16", "int8", "auto"}) {
    SCOPED_TRACE(precision);
    const json recorded = plan_by(precision, "all.calibration");
    const bool breaks = err().find("the fastest plan errs") != std::string::npos;
    EXPECT_EQ(err().find("the calibration's sensitivities") != std::string::npos, breaks) << err();
    EXPECT_LE(recorded["accuracy"]["error"].get<double>(), 0.001);
    const json measured = plan_by(precision, "ranges.calibration");
    EXPECT_EQ(err().find("every layer is measured") != std::string::npos, breaks) << err();
    EXPECT_EQ(recorded, measured);
  }
  // Without a limit they have no effect.
  EXPECT_EQ(
      run("select --precision bf16 --calibration " + file("all.calibration") + " " + by_model()), 0)
      << err();
}

TEST_F(SelectVerb, InputsThatAreGivenTwiceCountOnce) {
  const std::string inputs = shell_->write("inputs.npy", two_inputs());
  ASSERT_EQ(run("select --json --precision bf16 " + by_model() + " --max-output-error 0.5 " +
                "--calibrate " + inputs + " " + inputs),
            0)
      << err();
  EXPECT_EQ(out_json()["accuracy"]["samples"], 2);
  EXPECT_NE(err().find("checked on 2 inputs alone"), std::string::npos) << err();
}

TEST_F(SelectVerb, KeepsAnErrorBudget) {
  ASSERT_EQ(run("select --precision bf16 --max-output-error 0.01 " + by_model()), 0) << err();
  EXPECT_NE(out().find("(allowed: 0.01)"), std::string::npos) << out();
  EXPECT_NE(err().find("random inputs"), std::string::npos) << err();
  ASSERT_EQ(run("select --precision bf16 --min-cosine 0.999 --json " + by_model()), 0) << err();
  const json accuracy = out_json()["accuracy"];
  EXPECT_GE(accuracy["cosine"].get<double>(), 0.999);
  EXPECT_EQ(accuracy["allowed_cosine"].get<double>(), 0.999);
  EXPECT_TRUE(accuracy["allowed_error"].is_null());
  EXPECT_EQ(accuracy["samples"], 2);
}

TEST_F(SelectVerb, MeasuredBeatsPredicted) {
  ASSERT_EQ(run("select --json " + by_model() + "--profile " + file("profile.jsonl")), 0) << err();
  for (const json& layer : layers()) EXPECT_EQ(layer["source"], "measured") << layer;
}

TEST_F(SelectVerb, ExportsWhatItSolved) {
  ASSERT_EQ(run("select " + by_model() + "-o " + file("plan.json") + " --export-problem " +
                file("problem.json")),
            0)
      << err();
  const json plan = json::parse(shell_->read("plan.json"), nullptr, false);
  const json problem = json::parse(shell_->read("problem.json"), nullptr, false);
  ASSERT_TRUE(plan.is_object() && problem.is_object());
  double value = 0;
  const json& chosen = problem["solution"];
  for (std::size_t n = 0; n < chosen.size(); ++n) {
    value += problem["nodes"][n]["costs"][chosen[n].get<int>()].get<double>();
  }
  for (const json& edge : problem["edges"]) {
    const json& cost = edge["costs"][chosen[edge["from"].get<int>()].get<int>()]
                           [chosen[edge["to"].get<int>()].get<int>()];
    ASSERT_TRUE(cost.is_number()) << "the solution takes what is impossible";
    value += cost.get<double>();
  }
  EXPECT_NEAR(value, problem["value"].get<double>(), 1e-6);
  EXPECT_NEAR(value, plan["predicted_ms"].get<double>() * 1e3, 0.02);
}

TEST_F(SelectVerb, Limits) {
  ASSERT_EQ(run("select --json --exclude onednn,winograd " + by_model()), 0) << err();
  for (const json& layer : layers()) {
    if (layer["op"] != "conv") continue;
    EXPECT_NE(layer["family"], "onednn");
    EXPECT_NE(layer["family"], "winograd");
  }
  ASSERT_EQ(run("select --json --allow direct " + by_model()), 0) << err();
  for (const json& layer : layers()) {
    if (layer["op"] != "conv") continue;
    EXPECT_EQ(layer["family"], "direct");
  }
}

TEST_F(SelectVerb, BadRequestsHaveTheirExitCodeAndSentence) {
  // Binary data is told from text that is nested too deep.
  shell_->write("brackets.bin", std::string(100, '[') + std::string(3, '\1'));
  const struct {
    std::string arguments;
    int code;
    std::string sentence;
  } cases[] = {
      {"slect", 2, "did you mean 'select'"},
      {"select", 2, "network is required; see convopt select --help"},
      {"", 2, "required; see convopt --help"},
      {"fleet", 2, "required; see convopt fleet --help"},
      {"select " + by_model() + "--exclude direct,zzz", 2, "'zzz'; `convopt list` shows them"},
      {"select " + by_model() + "--allow winogard", 2, "'winograd'"},
      {"select " + by_model() + "--allow depthwise", 2, "'c1'"},
      {"select " + by_model() + "--max-error 1e-30", 2, "too inexact"},
      {"select " + by_model() + "--max-workspace 3parsec", 2, "--max-workspace"},
      {"select " + by_model() + "--time-limit soon", 2, "--time-limit"},
      {"select " + by_model() + "--isa avx1024", 2, "avx1024"},
      {"select " + by_model() + "--precision int8", 2, "convopt calibrate"},
      {"select " + by_model() + "--calibration " + net(), 2,
       "without --precision bf16, int8 or auto"},
      {"select " + by_model() + "--precision int8 --calibration " + net(), 3, "tiny.json"},
      {"select " + by_model() + "--precision int8 --range 3 --calibration x", 2, "--range"},
      {"calibrate " + net(), 2, "--input"},
      {"calibrate " + net() + " --input " + net(), 3, "tiny.json"},
      {"calibrate " + net() + " --input x.npy --range least", 2, "--range"},
      {"select " + by_model() + "--precision bf17", 2, "none of f32, bf16, int8 and auto"},
      {"select " + by_model() + "--max-output-error 0.01", 2, "no effect with --precision f32"},
      {"select " + by_model() + "--precision bf16 --min-cosine 1.5", 2, "from 0 to 1"},
      {"select " + by_model() + "--precision bf16 --min-cosine x", 2, "from 0 to 1"},
      {"select " + by_model() + "--precision bf16 --min-cosine 1", 2, "no difference at all"},
      {"select " + by_model() + "--precision bf16 --max-output-error 0", 2, "no difference at all"},
      {"select " + by_model() + "--precision bf16 --max-output-error=-1", 2, "above zero"},
      {"select " + by_model() + "--precision bf16 --min-cosine 0.99 --confirm", 2, "--confirm"},
      {"select " + by_model() + "--precision bf16 --calibrate " + net(), 3, "tiny.json"},
      {"select " + by_model() + "--batch 0", 2, "--batch"},
      {"select " + file("none.json") + " --threads 1 --model " + file("model.ubj"), 3, "none.json"},
      {"select " + file("model.ubj") + " --threads 1 --model " + file("model.ubj"), 3, "model.ubj"},
      {"select " + net() + " --threads 1 --model " + net(), 3, "tiny.json"},
      {"select " + by_model() + "--profile " + net(), 3, "tiny.json"},
      {"select " + net() + " --threads 1 --isa sse4 --model " + file("model.ubj") + " --profile " +
           file("profile.jsonl"),
       4, "not on this platform"},
      {"select " + by_model() + "--profile /bin/sh", 3, "/bin/sh"},
      {"select /bin/sh --threads 1", 3, "neither an ONNX model nor a network"},
      {"run " + net() + " --plan /bin/sh", 3, "binary data"},
      {"run " + net() + " --plan " + file("brackets.bin"), 3, "binary data"},
      {"select " + by_model() + "-o /dev/null/plan.json", 4, "/dev/null"},
      {"explain " + by_model() + "c3", 2, "'c1'"},
      {"list --op nothing", 2, "nothing"},
      {"select " + net() + " --thread 2", 2,
       "no option of convopt select; did you mean '--threads'"},
      {"select --thread=2 " + net(), 2, "'--thread' is no option of convopt select"},
      {"select --max_memory 1MB " + net(), 2, "did you mean '--max-memory'?"},
      {"run --verfy " + net(), 2, "did you mean '--verify'?"},
      {"profile -budget 5s", 2, "did you mean '--budget'?"},
      {"bench --famly direct", 2, "did you mean '--family'?"},
      {"train --sed 1", 2, "did you mean '--seed'?"},
      {"merge --fast", 2, "did you mean '--fastest'?"},
      {"check --nothing-like-it", 2, "see convopt check --help"},
      {"--threads 2 select " + net(), 2, "options of a verb stand behind it"},
      {"--verson", 2, "did you mean '--version'?"},
  };
  for (const auto& bad : cases) {
    EXPECT_EQ(run(bad.arguments), bad.code) << bad.arguments << "\n" << err();
    EXPECT_NE(err().find(bad.sentence), std::string::npos) << bad.arguments << "\n" << err();
    EXPECT_EQ(out(), "") << bad.arguments;
  }
}

TEST_F(SelectVerb, NumbersSizesAndTimesAreReadTheSameWayEverywhere) {
  const std::string select = "select " + by_model();
  const std::string run_verb = "run " + by_model();
  const std::string huge(300, '9');
  for (const std::string& arguments : {
           select + "--max-memory -5",
           select + "--max-memory=-5MB",
           select + "--max-workspace=-1",
           select + "--max-workspace=" + huge,
           run_verb + "--max-memory=-5MB",
           run_verb + "--max-memory=nan",
           select + "--max-error 0",
           select + "--max-error=-1e-5",
           select + "--max-error inf",
           select + "--time-limit=-1s",
           select + "--refine 0",
           select + "--refine 1d",
           run_verb + "--time " + huge + "s",
           run_verb + "--repeat 0",
           run_verb + "--seed=-1",
           run_verb + "--repeat " + huge,
           select + "--batch 1.5",
           select + "--batch=-1",
           std::string("profile --budget 0s"),
           std::string("profile --timeout=-3"),
           std::string("profile --configs=-3"),
           std::string("bench --time forever"),
           std::string("transfer --budget 10parsec"),
           std::string("check --points 2"),
           std::string("list --threads 100000"),
           std::string("list --threads 4000"),
           std::string("bench --threads 4000 --shape n1_ic8_ih8_iw8_oc8_kh1_kw1_s1_p0"),
           std::string("transfer --threads 4000"),
           std::string("profile --threads 4000"),
           "select " + net() + " --threads 4000 --model " + file("model.ubj"),
       }) {
    EXPECT_EQ(run(arguments), 2) << arguments << "\n" << err();
    EXPECT_NE(err().find("--"), std::string::npos) << err();
    EXPECT_LT(err().size(), 300U) << err();
    EXPECT_EQ(out(), "") << arguments;
  }
  // Leading zeros do not make a number octal, and units have a case of the user's choice.
  EXPECT_EQ(run(select + "--batch 010 --max-workspace 64mb --max-memory 1.5GiB"), 0) << err();
}

TEST_F(SelectVerb, AWrongLevelInTheEnvironmentIsAnError) {
  setenv("CONVOPT_ISA", "AVX2", 1);
  EXPECT_EQ(run("select " + by_model()), 2);
  EXPECT_NE(err().find("CONVOPT_ISA=AVX2"), std::string::npos) << err();
  unsetenv("CONVOPT_ISA");
}

TEST_F(SelectVerb, OutputsAreCheckedBeforeAnythingIsDone) {
  const std::string before = shell_->read("tiny.json");
  const auto refused = [&](const std::string& arguments, int code, const std::string& why) {
    EXPECT_EQ(run(arguments), code) << arguments;
    EXPECT_NE(err().find(why), std::string::npos) << arguments << "\n" << err();
  };
  refused("select " + by_model() + "-o " + net(), 2, "is read, so --output must not overwrite it");
  refused("select " + by_model() + "-o " + file("model.ubj"), 2, "is read");
  refused("run " + by_model() + "--output name=" + net(), 2, "is read");
  refused("select " + by_model() + "-o " + file("new") + " --export-problem " + file("./new"), 2,
          "would be written twice");
  refused("select " + by_model() + "-o ''", 2, "names no file");
  refused("run " + by_model() + "--output -", 2, "only to files");
  refused("train " + file("profile.jsonl") + " -o " + file("no/folder.ubj"), 4, "cannot write");
  EXPECT_EQ(shell_->read("tiny.json"), before);
  // Profiles may be joined into one of them, and a device takes any number of outputs.
  EXPECT_EQ(run("merge " + file("profile.jsonl") + " -o " + file("profile.jsonl")), 0) << err();
  EXPECT_EQ(run("select " + by_model() + "-o /dev/null --export-problem /dev/null"), 0) << err();
}

TEST_F(SelectVerb, DamagedFilesOfThisMachineAreLeftOut) {
  ASSERT_EQ(run("select --json " + by_model()), 0) << err();
  const std::string id = out_json()["platform"]["id"];
  std::string name = id;
  std::ranges::replace(name, '/', '-');
  std::filesystem::create_directories(file("convopt/profiles"));
  std::filesystem::create_directories(file("convopt/models"));
  const std::string profile = shell_->write("convopt/profiles/" + name + ".jsonl", "{\"run\":");
  ASSERT_EQ(run("select --threads 1 " + net()), 0) << err();
  EXPECT_NE(err().find("it is left out: move it away"), std::string::npos) << err();
  const std::string model = shell_->write("convopt/models/" + name + ".ubj", "cut");
  ASSERT_EQ(run("select --threads 1 " + net()), 0) << err();
  EXPECT_NE(err().find("the shipped model is taken"), std::string::npos) << err();
  // What the user names is used or refused.
  EXPECT_EQ(run("select --threads 1 --profile " + profile + " " + net()), 3) << err();
  EXPECT_EQ(run("select --threads 1 --model " + model + " " + net()), 3) << err();
  std::filesystem::remove(profile);
  std::filesystem::remove(model);
}

TEST_F(SelectVerb, ExplainShowsEveryCandidateAndReason) {
  ASSERT_EQ(run("explain --json " + by_model() + " c2"), 0) << err();
  const json explanation = out_json();
  ASSERT_TRUE(explanation.is_object());
  ASSERT_GE(explanation["candidates"].size(), 3U);
  const double best = explanation["plan_ms"].get<double>();
  int chosen = 0;
  for (const json& candidate : explanation["candidates"]) {
    EXPECT_GE(candidate["plan_ms"].get<double>(), best - 1e-9);
    chosen += candidate["chosen"].get<bool>() ? 1 : 0;
  }
  EXPECT_EQ(chosen, 1);
  EXPECT_FALSE(explanation["absent"].empty());
  for (const json& absent : explanation["absent"]) EXPECT_NE(absent["reason"], "");
  EXPECT_EQ(run("explain " + by_model() + " r1"), 0) << err();

  // For people, the absent are counted by reason unless all are asked for.
  ASSERT_EQ(run("explain " + by_model() + " c2"), 0) << err();
  const std::string brief = out();
  ASSERT_EQ(run("explain --all " + by_model() + " c2"), 0) << err();
  const auto lines = [](const std::string& text) { return std::ranges::count(text, '\n'); };
  const auto absent = static_cast<std::ptrdiff_t>(explanation["absent"].size());
  const auto candidates = static_cast<std::ptrdiff_t>(explanation["candidates"].size());
  EXPECT_GE(lines(out()), absent + candidates);
  EXPECT_LE(lines(brief), candidates + 20);
  EXPECT_NE(brief.find("--all names them"), std::string::npos) << brief;
}

TEST_F(SelectVerb, LongNamesAreShownShortAndFoundByWhatIsShown) {
  // As converters from TensorFlow make them.
  const std::string name = "a/first/long/name/of/a/layer/of/many;b/the/name/of/its/bias;c2/relu";
  std::string text = kTinyNetwork;
  for (std::size_t at = 0; (at = text.find("\"c2\"", at)) != std::string::npos; at += name.size()) {
    text.replace(at, 4, '"' + name + '"');
  }
  shell_->write("long.json", text);
  const std::string long_net =
      file("long.json") + " --threads 1 --model " + file("model.ubj") + " ";
  ASSERT_EQ(run("select " + long_net), 0) << err();
  EXPECT_EQ(out().find(name), std::string::npos) << out();
  const std::size_t begin = out().find("a/first/long");
  ASSERT_NE(begin, std::string::npos) << out();
  const std::string cell = out().substr(begin, out().find(' ', begin) - begin);
  EXPECT_LE(cell.size(), 64U);
  EXPECT_NE(cell.find("..."), std::string::npos) << cell;

  ASSERT_EQ(run("explain " + long_net + "'" + cell + "'"), 0) << err();
  EXPECT_NE(out().find(name), std::string::npos) << out();
  ASSERT_EQ(run("explain " + long_net + "its/bias"), 0) << err();
  ASSERT_EQ(run("explain " + by_model() + "'c1 + r1'"), 0) << err();
  EXPECT_EQ(run("explain " + by_model() + "c"), 2);
  EXPECT_NE(err().find("2 layers like 'c': 'c1', 'c2'"), std::string::npos) << err();
}

TEST_F(SelectVerb, AnotherTypeThanF32IsExplainedAndRefused) {
  std::string text = kTinyNetwork;
  const auto at = text.find("\"shape\":");
  ASSERT_NE(at, std::string::npos);
  text.insert(at, "\"type\": \"f16\", ");
  shell_->write("f16.json", text);
  const std::string with = file("f16.json") + " --threads 1 --model " + file("model.ubj") + " ";
  for (const char* verb : {"select ", "run "}) {
    EXPECT_EQ(run(verb + with), 4) << err();
    EXPECT_NE(err().find("'c1' cannot be planned: no primitive computes conv of f16"),
              std::string::npos)
        << err();
  }
  EXPECT_EQ(run("explain " + with + "c2"), 0) << err();
  EXPECT_NE(out().find("no primitive computes conv of f16"), std::string::npos) << out();
  ASSERT_EQ(run("explain --json " + with + "c2"), 0) << err();
  const json explanation = out_json();
  EXPECT_TRUE(explanation["candidates"].empty());
  EXPECT_EQ(explanation["absent"][0]["reason"], "no primitive computes conv of f16");
}

TEST_F(SelectVerb, ListsPrimitives) {
  ASSERT_EQ(run("list --json"), 0) << err();
  const json list = out_json();
  ASSERT_TRUE(list.is_array());
  EXPECT_GT(list.size(), 20U);
  for (const json& primitive : list) {
    for (const char* field :
         {"name", "family", "description", "input_layout", "output_layout", "available"}) {
      EXPECT_TRUE(primitive.contains(field)) << field;
    }
  }
}

}  // namespace
