// The verb run, as a user or a shell meets it. The plan is made from times measured in a moment; no
// test depends on what they are.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "tests/cli/command_line.h"

namespace {

using nlohmann::json;

class RunVerb : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    shell_ = std::make_unique<CommandLine>("run");
    shell_->write("tiny.json", kTinyNetwork);
    const std::string profile = file("p.jsonl");
    ASSERT_EQ(call("profile --threads 1 --quiet --network " + net() + " -o " + profile), 0)
        << err();
    ASSERT_EQ(
        call("select " + net() + " --threads 1 --profile " + profile + " -o " + file("plan.json")),
        0)
        << err();
  }
  static void TearDownTestSuite() { shell_.reset(); }

  static std::string file(const std::string& name) { return shell_->file(name); }
  static std::string text(const std::string& name) { return shell_->read(name); }
  static std::string net() { return file("tiny.json"); }
  static int call(const std::string& arguments) { return shell_->run(arguments); }
  static int run(const std::string& arguments) {
    return call("run " + net() + " --repeat 2 " + arguments);
  }
  static int run_plan(const std::string& arguments = "") {
    return run("--plan " + file("plan.json") + " " + arguments);
  }
  static std::string out() { return shell_->out(); }
  static std::string err() { return shell_->err(); }

  static inline std::unique_ptr<CommandLine> shell_;
};

TEST_F(RunVerb, JsonHasWhatTheSchemaPromises) {
  ASSERT_EQ(run_plan("--json --verify --compare " + file("plan.json")), 0) << err();
  const json report = shell_->out_json();
  ASSERT_TRUE(report.is_object()) << out();
  EXPECT_EQ(report["schema"], "convopt.run/1");
  EXPECT_EQ(report["network"], "tiny");
  EXPECT_EQ(report["threads"], 1);
  EXPECT_EQ(report["runs"], 2);
  EXPECT_EQ(report["verified"], true);
  EXPECT_LT(report["max_relative_error"], 1e-4);
  for (const char* positive : {"median_ms", "p95_ms", "min_ms", "prepare_ms", "peak_bytes"}) {
    EXPECT_GT(report[positive], 0) << positive;
  }
  ASSERT_EQ(report["compare"].size(), 1U);
  EXPECT_GT(report["compare"][0]["median_ms"], 0);
  // Every layer and conversion of the plan is a step, in the sum that was predicted.
  const json plan = json::parse(text("plan.json"), nullptr, false);
  EXPECT_EQ(report["layers"].size(), plan["layers"].size() + plan["conversions"].size());
  double predicted_us = 0;
  for (const json& layer : report["layers"]) predicted_us += layer["predicted_us"].get<double>();
  EXPECT_NEAR(predicted_us, report["predicted_ms"].get<double>() * 1e3, 0.1);
}

TEST_F(RunVerb, TablesForPeople) {
  ASSERT_EQ(run_plan("--layers --verify"), 0) << err();
  for (const char* part : {"tiny by", "median", "verified", "c1", "sum"}) {
    EXPECT_NE(out().find(part), std::string::npos) << part << "\n" << out();
  }
}

/// What is in the message behind the option.
std::string suggested(const std::string& message, const std::string& option) {
  const auto at = message.rfind(option + " ");
  if (at == std::string::npos) return "nothing";
  const std::string rest = message.substr(at + option.size() + 1);
  return rest.substr(0, rest.find_first_of(" \n"));
}

TEST_F(RunVerb, RefusesAPlanThatNeedsMoreMemoryThanAllowed) {
  EXPECT_EQ(run_plan("--max-memory 1MB"), 0) << err();
  EXPECT_EQ(run_plan("--max-memory 1000"), 4);
  EXPECT_NE(err().find("of memory (weights"), std::string::npos) << err();
  EXPECT_NE(err().find("allows 1000 B"), std::string::npos) << err();
  EXPECT_EQ(run_plan("--max-memory " + suggested(err(), "--max-memory")), 0) << err();
}

TEST_F(RunVerb, RefusesWhatDoesNotFitIntoMemory) {
#if defined(__SANITIZE_ADDRESS__)
  GTEST_SKIP() << "the sanitizer itself needs more address space";
#endif
  const std::string huge =
      shell_->write("huge.json", R"({"schema":"convopt.network/1","name":"huge","source":"a test",
          "input":{"shape":[64,64,700,700]},
          "operators":[{"name":"a","op":"relu"},{"name":"b","op":"sigmoid"}]})");
  EXPECT_EQ(shell_->run_limited("-v 8000000", "run " + huge + " --threads 1 --no-confirm"), 4);
  EXPECT_NE(err().find("huge: running it takes"), std::string::npos) << err();
}

TEST_F(RunVerb, SaysHowMuchWorkspaceIsNeeded) {
  const std::string select = "select " + net() + " --threads 1 --profile " + file("p.jsonl") +
                             " --allow im2col -o " + file("im2col.json") + " --max-workspace ";
  ASSERT_EQ(call(select + "0"), 2) << err();
  const std::string enough = suggested(err(), "--max-workspace");
  ASSERT_EQ(call(select + enough), 0) << enough << err();
  const std::string run_it = "--plan " + file("im2col.json") + " --max-workspace ";
  ASSERT_EQ(run(run_it + "0"), 2) << err();
  EXPECT_EQ(run(run_it + suggested(err(), "--max-workspace")), 0) << err();
}

TEST_F(RunVerb, TellsHowFarAVerificationIs) {
  ASSERT_EQ(run_plan("--verify"), 0) << err();
  EXPECT_NE(err().find("verifying, 2/2 layers with weights"), std::string::npos) << err();
  ASSERT_EQ(run_plan("--verify --quiet"), 0) << err();
  EXPECT_EQ(err().find("verifying"), std::string::npos) << err();
}

TEST_F(RunVerb, OutputsThatFindNoRoomAreErrorsAndTimesAreTold) {
  const std::string output = file("no_room.npy");
  const std::string given = "run " + net() + " --repeat 2 --plan " + file("plan.json") + " ";
  EXPECT_EQ(shell_->run_limited("-f 4", given + "--output " + output), 4) << err();
  EXPECT_NE(err().find("cannot write " + output), std::string::npos) << err();
  EXPECT_NE(out().find("median"), std::string::npos) << out();
  EXPECT_FALSE(std::filesystem::exists(output));
  // Whatever is written to.
  for (const std::string& arguments :
       {"select " + net() + " --threads 1 --profile " + file("p.jsonl") + " -o " + output,
        "merge " + file("p.jsonl") + " -o " + output, "train " + file("p.jsonl") + " -o " + output,
        "profile --threads 1 --quiet --configs 1 --ops convert -o " + output,
        "list --json >" + output}) {
    EXPECT_EQ(shell_->run_limited("-f 1", arguments), 4) << arguments << "\n" << err();
    EXPECT_NE(err().find("cannot write"), std::string::npos) << err();
    std::filesystem::remove(output);
  }
}

TEST_F(RunVerb, MeasurementsBeforeADiskIsFullAreKept) {
  const std::string profile = file("full.jsonl");
  std::filesystem::copy_file(file("p.jsonl"), profile);
  const auto lines = [&] { return std::ranges::count(text("full.jsonl"), '\n'); };
  const auto before = lines();
  const auto blocks = std::filesystem::file_size(profile) / 512;
  // The header of a new run takes as much as all that was measured.
  ASSERT_EQ(shell_->run_limited("-f " + std::to_string(2 * blocks),
                                "profile --threads 1 --quiet --configs 200 -o " + profile),
            4)
      << err();
  EXPECT_NE(err().find("what was measured before is kept"), std::string::npos) << err();
  EXPECT_GT(lines(), before);
  EXPECT_EQ(call("merge " + profile + " -o " + file("sound.jsonl")), 0) << err();
}

TEST_F(RunVerb, SelectsAPlanThatFits) {
  const std::string by_times = "--threads 1 --profile " + file("p.jsonl") + " --json ";
  ASSERT_EQ(run(by_times), 0) << err();
  const auto peak = shell_->out_json()["peak_bytes"].get<std::size_t>();
  for (const std::size_t limit : {peak, peak / 100 * 95, peak / 100 * 70}) {
    if (run(by_times + "--max-memory " + std::to_string(limit)) == 0) {
      EXPECT_LE(shell_->out_json()["peak_bytes"], limit);
    } else {
      EXPECT_NE(err().find("no plan fits into"), std::string::npos) << err();
      EXPECT_LT(limit, peak);
    }
  }
  EXPECT_EQ(call("select " + net() + " " + by_times + "--max-memory 1000"), 4);
  EXPECT_NE(err().find("no plan fits into 1000 B"), std::string::npos) << err();
  const std::string enough = suggested(err(), "--max-memory");
  EXPECT_EQ(call("select " + net() + " " + by_times + "--max-memory " + enough), 0) << err();
}

TEST_F(RunVerb, ConfirmedPlansWereRunBeforeTheyAreWritten) {
  const std::string select = "select " + net() + " --threads 1 --profile " + file("p.jsonl") +
                             " -o " + file("confirmed.json") + " ";
  ASSERT_EQ(call(select + "--confirm --confirm-time 100ms"), 0) << err();
  EXPECT_NE(err().find("measured: plan takes"), std::string::npos) << err();
  EXPECT_EQ(run("--plan " + file("confirmed.json") + " --verify"), 0) << err();
  const json plan = json::parse(text("confirmed.json"), nullptr, false);
  EXPECT_FALSE(plan["baselines"]["library_default_ms"].is_null());
  EXPECT_EQ(call(select + "--confirm --confirm-time soon"), 2);
  EXPECT_EQ(call(select + "--confirm-time 1s"), 2);
}

TEST_F(RunVerb, ConfirmsAPlanThatItMakesItself) {
  const std::string profile = "--threads 1 --profile " + file("p.jsonl");
  ASSERT_EQ(run(profile), 0) << err();
  EXPECT_NE(err().find("measured: plan takes"), std::string::npos) << err();
  ASSERT_EQ(run(profile + " --no-confirm"), 0) << err();
  EXPECT_EQ(err().find("measured: "), std::string::npos) << err();
  // A given plan is run as it is.
  ASSERT_EQ(run_plan(), 0) << err();
  EXPECT_EQ(err().find("measured: "), std::string::npos) << err();
}

TEST_F(RunVerb, SelectsWhereNoPlanIsGiven) {
  ASSERT_EQ(run("--threads 1 --profile " + file("p.jsonl") +
                " --compare library_default onednn_default best_single_primitive greedy"),
            0)
      << err();
  EXPECT_NE(out().find("library_default"), std::string::npos) << out();
  EXPECT_NE(out().find("onednn_default"), std::string::npos) << out();
}

TEST_F(RunVerb, SameSeedSameOutputAndTheOutputCanBeAnInput) {
  ASSERT_EQ(run_plan("--output " + file("a.npy")), 0) << err();
  ASSERT_EQ(run_plan("--output " + file("b.npy")), 0) << err();
  ASSERT_EQ(run_plan("--seed 2 --output " + file("c.npy")), 0) << err();
  EXPECT_EQ(text("a.npy"), text("b.npy"));
  EXPECT_NE(text("a.npy"), text("c.npy"));
  EXPECT_EQ(text("a.npy").size() % 64, 16 * 144 * sizeof(float) % 64);
  // It has 16 channels, the input has 3.
  EXPECT_EQ(run_plan("--input " + file("a.npy")), 3);
  EXPECT_NE(err().find("(1, 16, 12, 12)"), std::string::npos) << err();
  EXPECT_NE(err().find("(1, 3, 12, 12)"), std::string::npos) << err();
  // By name, it is the same input; nobody else is one.
  EXPECT_EQ(run_plan("--input input=" + file("a.npy")), 3);
  EXPECT_NE(err().find("(1, 16, 12, 12)"), std::string::npos) << err();
  EXPECT_EQ(run_plan("--input nobody=" + file("a.npy")), 2);
  EXPECT_NE(err().find("no input 'nobody', only 'input'"), std::string::npos) << err();
}

TEST_F(RunVerb, RefusesFilesThatDoNotFitBeforeItTimesPlans) {
  ASSERT_EQ(run_plan("--output " + file("out.npy")), 0) << err();
  const std::string chosen = "--threads 1 --profile " + file("p.jsonl") + " ";
  ASSERT_EQ(run(chosen), 0) << err();
  ASSERT_NE(err().find("measured: "), std::string::npos) << err();
  const std::pair<std::string, int> cases[] = {
      {"--input " + file("out.npy"), 3}, {"--output nobody=y.npy", 2}, {"--compare nothing", 2}};
  for (const auto& [arguments, code] : cases) {
    EXPECT_EQ(run(chosen + arguments), code) << err();
    EXPECT_EQ(err().find("measured: "), std::string::npos) << err();
  }
}

TEST_F(RunVerb, InputsAndOutputsAreKnownByTheirNames) {
  ASSERT_EQ(run_plan("--json --output " + file("a.npy")), 0) << err();
  const json report = shell_->out_json();
  ASSERT_EQ(report["outputs"].size(), 1U);
  EXPECT_EQ(report["inputs"][0]["name"], "input");
  EXPECT_EQ(report["inputs"][0]["shape"], (json{1, 3, 12, 12}));
  EXPECT_EQ(report["outputs"][0]["type"], "f32");
  const std::string name = report["outputs"][0]["name"];
  ASSERT_EQ(run_plan("--output " + name + "=" + file("named.npy")), 0) << err();
  EXPECT_EQ(text("named.npy"), text("a.npy"));
  EXPECT_EQ(run_plan("--output nobody=named.npy"), 2);
  EXPECT_NE(err().find("no output 'nobody', only '" + name + "'"), std::string::npos) << err();
  ASSERT_EQ(call("import --show " + net()), 0) << err();
  for (const std::string& word : {std::string("input"), name, std::string("1x3x12x12")})
    EXPECT_NE(out().find(word), std::string::npos) << out();
  EXPECT_EQ(run("--bind size"), 2);
  EXPECT_NE(err().find("sr=16000"), std::string::npos) << err();
  EXPECT_EQ(run("--bind input=1"), 2);
  EXPECT_NE(err().find("ONNX"), std::string::npos) << err();
}

/// A field of a protocol buffer that holds bytes, fewer than 128.
std::string field(int number, const std::string& bytes) {
  return std::string{char(number << 3 | 2), char(bytes.size())} + bytes;
}
/// One that holds a number below 128.
std::string field(int number, int value) { return {char(number << 3), char(value)}; }

/// An ONNX model of one ReLU, from `x` to `y` of N x 3 x ? x 4.
std::string open_model() {
  const std::string shape =
      field(1, field(2, "N")) + field(1, field(1, 3)) + field(1, "") + field(1, field(1, 4));
  const auto tensor = [&](const std::string& name) {
    return field(1, name) + field(2, field(1, field(1, 1) + field(2, shape)));
  };
  const std::string relu = field(1, "x") + field(2, "y") + field(4, "Relu");
  const std::string graph =
      field(1, relu) + field(2, "g") + field(11, tensor("x")) + field(12, tensor("y"));
  return field(1, 8) + field(7, graph) + field(8, field(2, 13));
}

TEST_F(RunVerb, OpenSizesAreShownByTheirNames) {
  const std::string model = shell_->write("open.onnx", open_model());
  EXPECT_EQ(call("import " + model), 3);
  ASSERT_EQ(call("import --show " + model), 0) << err();
  EXPECT_NE(out().find("<N>x3x?x4"), std::string::npos) << out();
  EXPECT_NE(err().find("--shape"), std::string::npos) << err();
  ASSERT_EQ(call("import --show --shape x=2x3x5x4 " + model), 0) << err();
  EXPECT_NE(out().find("2x3x5x4"), std::string::npos) << out();
  EXPECT_EQ(call("import --show --shape x=2x3x5 " + model), 3) << err();
  EXPECT_EQ(call("import --show --shape z=2x3x5x4 " + model), 2) << err();
}

/// A float32 array as numpy writes it.
std::string npy(const std::string& shape, const std::vector<float>& values) {
  std::string header = "{'descr': '<f4', 'fortran_order': False, 'shape': " + shape + ", }";
  header.resize(117, ' ');
  header += '\n';
  std::string bytes = std::string("\x93NUMPY\x01", 7) + '\0' + char(header.size()) + '\0' + header;
  bytes.append(reinterpret_cast<const char*>(values.data()), values.size() * sizeof(float));
  return bytes;
}

/// One of ONNX's own tests: places of what is not zero in a 2x2 tensor.
TEST_F(RunVerb, OutputsHaveTheShapesThatTheirNumbersDecide) {
  const std::string model = "/usr/share/libonnx-testdata/data/node/test_nonzero_example/model.onnx";
  shell_->write("three.npy", npy("(2, 2)", {1, 0, 1, 1}));
  shell_->write("none.npy", npy("(2, 2)", {0, 0, 0, 0}));
  const auto run_on = [&](const std::string& input) {
    return call("run " + model + " --threads 1 --repeat 1 --json --input " + file(input) +
                " --output " + file("places.npy"));
  };
  ASSERT_EQ(run_on("three.npy"), 0) << err();
  EXPECT_NE(err().find("'NonZero'"), std::string::npos) << err();
  EXPECT_EQ(shell_->out_json()["outputs"][0]["shape"], (json{2, 3}));
  EXPECT_GE(shell_->out_json()["rest_ms"], 0);
  const std::string places = text("places.npy");
  std::vector<std::int64_t> numbers(6);
  ASSERT_GT(places.size(), 48U);
  std::memcpy(numbers.data(), places.data() + places.size() - 48, 48);
  EXPECT_EQ(numbers, (std::vector<std::int64_t>{0, 1, 1, 0, 0, 1}));
  ASSERT_EQ(run_on("none.npy"), 0) << err();
  EXPECT_EQ(shell_->out_json()["outputs"][0]["shape"], (json{2, 0}));
  EXPECT_NE(text("places.npy").find("(2, 0, )"), std::string::npos);
}

TEST_F(RunVerb, OwnKernelsKeepNaNsThroughReluAndClip) {
  std::vector<float> image(1 * 8 * 12 * 12, 1.0F);
  image[5 * 12 + 5] = std::numeric_limits<float>::quiet_NaN();
  // Neither oneDNN's times nor a model that predicts them: its activations drop NaNs.
  setenv("CONVOPT_DATA_DIR", file("no_model").c_str(), 1);
  shell_->write("nan.npy", npy("(1, 8, 12, 12)", image));
  for (const std::string activation :
       {R"({"name":"a","op":"relu"})", R"({"name":"a","op":"clip","min":-1,"max":6})"}) {
    const std::string network =
        shell_->write("nan.json", R"({"schema":"convopt.network/1","name":"nan","source":"a test",
            "input":{"shape":[1,8,12,12]},
            "operators":[{"name":"c","op":"conv","oc":16,"kernel":3,"padding":1},)" +
                                      activation + "]}");
    const std::string profile = file("nan.jsonl");
    ASSERT_EQ(call("profile --threads 1 --quiet --exclude onednn --network " + network + " -o " +
                   profile),
              0)
        << err();
    int families = 0;
    for (const std::string family :
         {"direct", "im2col", "indirect", "kn2row", "mec", "winograd", "fft"}) {
      const int code =
          call("run " + network + " --repeat 1 --threads 1 --profile " + profile + " --allow " +
               family + " --input " + file("nan.npy") + " --output " + file("nan_out.npy"));
      if (code == 2) continue;  // nothing of this family applies
      ASSERT_EQ(code, 0) << family << err();
      ++families;
      const std::string output = text("nan_out.npy");
      std::vector<float> values(16 * 144);
      ASSERT_GT(output.size(), values.size() * sizeof(float));
      std::memcpy(values.data(), output.data() + output.size() - values.size() * sizeof(float),
                  values.size() * sizeof(float));
      EXPECT_TRUE(std::isnan(values[5 * 12 + 5])) << family << " " << activation;
      EXPECT_FALSE(std::isnan(values[11 * 12 + 11]) && family == "direct") << family;
    }
    EXPECT_GE(families, 5);
  }
  unsetenv("CONVOPT_DATA_DIR");
}

TEST_F(RunVerb, AGivenPlanKeepsTheLimits) {
  EXPECT_EQ(run_plan("--max-error 1"), 0) << err();
  EXPECT_EQ(run_plan("--max-error 1e-12"), 2);
  EXPECT_NE(err().find("too inexact"), std::string::npos) << err();
  EXPECT_EQ(run_plan("--allow depthwise"), 2);
  EXPECT_NE(err().find("not among the allowed"), std::string::npos) << err();
  EXPECT_EQ(run_plan("--allow depthwize"), 2);
  EXPECT_NE(err().find("did you mean"), std::string::npos) << err();
  EXPECT_EQ(run_plan("--precision bf16"), 2);
  EXPECT_NE(err().find("--precision has no effect with --plan"), std::string::npos) << err();
  EXPECT_EQ(run_plan("--precision f32"), 2);
  EXPECT_NE(err().find("--precision has no effect with --plan"), std::string::npos) << err();
  EXPECT_EQ(run_plan("--profile " + file("p.jsonl")), 2);
  EXPECT_NE(err().find("has no effect with --plan"), std::string::npos) << err();
}

TEST_F(RunVerb, MoreThreadsThanProcessorsAreRefused) {
  json plan = json::parse(text("plan.json"), nullptr, false);
  plan["platform"]["threads"] = 4000;
  shell_->write("many.json", plan.dump());
  EXPECT_EQ(run("--plan " + file("many.json")), 4);
  EXPECT_NE(err().find("--threads runs it with fewer"), std::string::npos) << err();
  EXPECT_EQ(run("--plan " + file("many.json") + " --threads 1"), 0) << err();
}

TEST_F(RunVerb, RefusesWithTheCauseAndItsExitCode) {
  std::string other = kTinyNetwork;
  other.replace(other.find("[1,3,12,12]"), 11, "[1,3,14,14]");
  shell_->write("other.json", other);
  EXPECT_EQ(call("run " + file("other.json") + " --plan " + file("plan.json")), 3);
  EXPECT_NE(err().find("another input size or batch: layer 'c1' is n1_ic3_ih12"), std::string::npos)
      << err();

  json magic = json::parse(text("plan.json"), nullptr, false);
  magic["layers"][0]["primitive"] = "magic";
  shell_->write("magic.json", magic.dump());
  EXPECT_EQ(run("--plan " + file("magic.json")), 4);
  EXPECT_NE(err().find("'magic', which does not exist here"), std::string::npos) << err();

  EXPECT_EQ(run("--plan " + net()), 3);
  EXPECT_EQ(call("run " + file("plan.json")), 3);
  EXPECT_NE(err().find("this is a plan; the network comes first"), std::string::npos) << err();
  EXPECT_EQ(run("--plan " + file("missing.json")), 3);
  EXPECT_EQ(run_plan("--time soon"), 2);
  EXPECT_EQ(run_plan("--output x.npy --output y.npy"), 2);
  EXPECT_NE(err().find("has 1 output ('r2'), --output is given 2 times"), std::string::npos)
      << err();
  EXPECT_EQ(run_plan("--compare " + file("missing.json")), 3);
  EXPECT_EQ(run_plan("--output " + file("tiny.json") + "/y.npy"), 4);
}

}  // namespace
