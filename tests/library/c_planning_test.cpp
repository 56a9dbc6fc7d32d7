// convopt/planning.h: what its functions refuse. Whole runs are in tests/install.
#include <gtest/gtest.h>

#include <convopt/planning.h>
#include <string>

namespace convopt {
namespace {

testing::AssertionResult is_refused(convopt_status status, convopt_status expected,
                                    const std::string& part) {
  const std::string sentence = convopt_last_error();
  if (status == expected && sentence.find(part) != std::string::npos)
    return testing::AssertionSuccess();
  return testing::AssertionFailure() << status << ": " << sentence;
}

TEST(CPlanning, RefusesWithASentence) {
  const char* const model = "/no/such/model.onnx";
  const char* const bundle = "/no/such/folder/a.convopt";
  EXPECT_TRUE(is_refused(convopt_plan(nullptr, nullptr, bundle), CONVOPT_USAGE, "model is null"));
  EXPECT_TRUE(is_refused(convopt_plan(model, nullptr, nullptr), CONVOPT_USAGE, "bundle is null"));
  EXPECT_TRUE(is_refused(convopt_plan(model, nullptr, bundle), CONVOPT_BAD_INPUT, model));

  convopt_plan_options options = {};
  options.precision = "half";
  EXPECT_TRUE(is_refused(convopt_plan(model, &options, bundle), CONVOPT_USAGE, "'half'"));
  options = {};
  options.threads = -1;
  EXPECT_TRUE(is_refused(convopt_plan(model, &options, bundle), CONVOPT_USAGE, "negative"));
  options = {};
  options.max_output_error = -1;
  EXPECT_TRUE(is_refused(convopt_plan(model, &options, bundle), CONVOPT_USAGE, "negative"));
  options = {};
  options.calibration = "/no/such/calibration.json";
  EXPECT_TRUE(
      is_refused(convopt_plan(model, &options, bundle), CONVOPT_BAD_INPUT, options.calibration));

  const char* const real = CONVOPT_SOURCE_DIR "/data/networks/squeezenet1_1.json";
  for (double convopt_plan_options::*seconds :
       {&convopt_plan_options::refine, &convopt_plan_options::confirm}) {
    options = {};
    options.*seconds = -1;
    EXPECT_TRUE(is_refused(convopt_plan(real, &options, bundle), CONVOPT_USAGE, "0 or more"));
  }

  EXPECT_TRUE(is_refused(convopt_transfer(-1, 5), CONVOPT_USAGE, "negative"));
  EXPECT_TRUE(is_refused(convopt_transfer(1, 0), CONVOPT_USAGE, "above 0"));
}

}  // namespace
}  // namespace convopt
