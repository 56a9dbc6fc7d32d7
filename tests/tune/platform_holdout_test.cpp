#include "src/tune/platform_holdout.h"

#include <gtest/gtest.h>

#include <vector>

#include "src/tune/curve_plot.h"
#include "tests/model/synthetic.h"

namespace convopt {
namespace {

TEST(PlatformHoldout, ProfilesAreJoinedByPlatform) {
  const Platform here = synthetic::platform(), there = synthetic::platform("GenuineIntel");
  Profile both = synthetic::profile(here, synthetic::time_function(), {.shapes = 3});
  const std::size_t of_here = both.measurements.size();
  Profile other = synthetic::profile(there, synthetic::time_function(), {.shapes = 4});
  other.runs[0].run = "other";
  for (Measurement& m : other.measurements) m.run = "other";
  both.runs.push_back(other.runs[0]);
  both.measurements.insert(both.measurements.end(), other.measurements.begin(),
                           other.measurements.end());
  const Profile again = synthetic::profile(here, synthetic::time_function(), {.shapes = 2});

  const std::vector<Profile> profiles{both, again};
  const auto parts = by_platform(profiles);
  ASSERT_EQ(parts.size(), 2U);
  EXPECT_EQ(parts[0].platform.id(), here.id());
  EXPECT_EQ(parts[0].profile.measurements.size(), of_here + again.measurements.size());
  EXPECT_EQ(parts[0].profile.runs.size(), 2U);
  EXPECT_EQ(parts[1].platform.id(), there.id());
  EXPECT_EQ(parts[1].profile.measurements.size(), other.measurements.size());
}

TEST(PlatformHoldout, TheTargetIsNeverLearntFrom) {
  const Profile target = synthetic::profile(synthetic::platform("GenuineIntel"),
                                            synthetic::time_function(), {.shapes = 5});
  const Profile source =
      synthetic::profile(synthetic::platform(), synthetic::time_function(), {.shapes = 20});
  const std::vector<Profile> alone{target}, both{target, source};
  CurveOptions options;
  const auto nothing_left = transfer_curves(nullptr, by_platform(alone), "", options);
  ASSERT_FALSE(nothing_left.ok());
  EXPECT_EQ(nothing_left.error().code, ErrorCode::usage);

  const auto parts = by_platform(both);
  const auto model = train_without(parts[0], parts, options);
  ASSERT_TRUE(model.ok()) << model.error().message;
  EXPECT_EQ((*model)->info().platforms, std::vector<std::string>{parts[1].platform.id()});
  // A platform by its name, of which there may be none.
  const auto none = transfer_curves(model->get(), parts, "no such platform", options);
  ASSERT_TRUE(none.ok());
  EXPECT_TRUE(none->empty());
}

TEST(CurvePlot, IsOneDocumentWithALinePerMethod) {
  Curve curve;
  curve.platform = "a<b";
  for (const std::size_t shapes : {1U, 10U}) {
    CurvePoint point;
    point.method = kAutomatic;
    point.shapes = shapes;
    point.error = 0.1;
    point.regret = 1.02;
    curve.points.push_back(point);
  }
  const std::string svg = curve_svg({&curve, 1});
  EXPECT_TRUE(svg.starts_with("<svg"));
  EXPECT_TRUE(svg.ends_with("</svg>\n"));
  EXPECT_NE(svg.find("a&lt;b"), std::string::npos);
  EXPECT_NE(svg.find("polyline"), std::string::npos);
  EXPECT_EQ(svg.find("nan"), std::string::npos);
}

}  // namespace
}  // namespace convopt
