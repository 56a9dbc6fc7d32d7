// What a few times say about the predictions that are left.
#include "src/tune/bias_correction.h"

#include <gtest/gtest.h>

#include <cmath>
#include <set>
#include <string>

namespace convopt {
namespace {

Workload conv(int channels, int size) {
  ConvShape shape;
  shape.ic = shape.oc = channels;
  shape.ih = shape.iw = size;
  return Workload::conv(shape);
}

PrimitiveInfo primitive(const std::string& name, Algorithm algorithm) {
  PrimitiveInfo info;
  info.name = name;
  info.traits.algorithm = algorithm;
  return info;
}

/// Predicts 1000 ns of everything, within a factor of 2. In truth "direct" takes that, "winograd"
/// half of it, and "wrong" sixty times as long, which is cut short at ten times.
class Predictions final : public CostSource {
 public:
  Result<std::vector<Cost>> costs(std::span<const Query> queries) const override {
    std::vector<Cost> result;
    for (const Query& q : queries) {
      const std::string& name = q.primitive->name;
      if (!timed.contains(q.workload->text() + name)) {
        result.push_back({Cost::Source::predicted, {1000, 500, 2000}, {}});
      } else if (name == "wrong") {
        result.push_back({Cost::Source::bound, {10000, 10000, 10000}, {}});
      } else {
        const double ns = name == "winograd" ? 500 : 1000;
        result.push_back({Cost::Source::measured, {ns, ns, ns}, {}});
      }
    }
    return result;
  }
  std::set<std::string> timed;
};

class Corrections : public testing::Test {
 protected:
  double predicted(const PrimitiveInfo& primitive, const Workload& workload) {
    const Query query{&workload, &primitive};
    return corrected_.costs({&query, 1})->front().estimate.ns;
  }
  void learn(const std::vector<Workload>& workloads) {
    std::vector<Query> queries;
    for (const Workload& workload : workloads) {
      for (const PrimitiveInfo* p : {&direct_, &winograd_, &wrong_})
        queries.push_back({&workload, p});
    }
    const auto expected = corrected_.expect(queries);
    ASSERT_TRUE(expected);
    now_ = costs_;
    for (const Query& q : queries) now_.timed.insert(q.workload->text() + q.primitive->name);
    const auto timed = corrected_.learn(now_, queries, *expected);
    ASSERT_TRUE(timed);
    EXPECT_EQ(*timed, 2 * workloads.size());
  }

  PrimitiveInfo direct_ = primitive("direct", Algorithm::direct),
                winograd_ = primitive("winograd", Algorithm::winograd),
                wrong_ = primitive("wrong", Algorithm::fft);
  Predictions costs_, now_;
  BiasCorrectedCosts corrected_{costs_};
};

TEST_F(Corrections, NothingLearntNothingChanged) {
  EXPECT_EQ(predicted(winograd_, conv(64, 28)), 1000);
}

TEST_F(Corrections, AnErrorOfAPrimitiveIsExpectedOnShapesNearby) {
  learn({conv(64, 28), conv(128, 28), conv(64, 14), conv(128, 14), conv(256, 14)});
  EXPECT_LT(predicted(winograd_, conv(128, 20)), 700);
  EXPECT_NEAR(predicted(direct_, conv(128, 20)), 1000, 150);
  EXPECT_GT(predicted(wrong_, conv(128, 20)), 2000);
  // What was timed stays as it is.
  EXPECT_EQ(predicted(winograd_, conv(64, 28)), 500);
  // Far away nothing is known.
  EXPECT_GT(predicted(winograd_, conv(2, 3000)), predicted(winograd_, conv(128, 20)));
}

TEST_F(Corrections, ABoundBelowThePredictionSaysNothing) {
  std::vector<Workload> shapes;
  for (int channels = 32; channels <= 512; channels += 32) shapes.push_back(conv(channels, 14));
  std::vector<Query> queries;
  for (const Workload& shape : shapes) queries.push_back({&shape, &direct_});
  // 1000 ns are predicted, and all were cut short at 400.
  class Bounds final : public CostSource {
   public:
    Result<std::vector<Cost>> costs(std::span<const Query> asked) const override {
      return std::vector<Cost>(asked.size(), {Cost::Source::bound, {400, 400, 400}, {}});
    }
  };
  const auto corrected = BiasCorrectedCosts::create(costs_, costs_, Bounds(), queries);
  ASSERT_TRUE(corrected);
  const Workload next = conv(200, 14);
  const Query query{&next, &direct_};
  EXPECT_EQ(corrected->costs({&query, 1})->front().estimate.ns, 1000);
}

TEST_F(Corrections, OneTimeOfABadMomentMovesLittle) {
  std::vector<Workload> shapes;
  for (int channels = 32; channels <= 512; channels += 32) shapes.push_back(conv(channels, 14));
  std::vector<Query> queries;
  for (const Workload& shape : shapes) queries.push_back({&shape, &direct_});
  // All are as predicted, but one seems to take fifty times as long.
  class Times final : public CostSource {
   public:
    explicit Times(const Workload& bad) : bad_(bad) {}
    Result<std::vector<Cost>> costs(std::span<const Query> asked) const override {
      std::vector<Cost> result;
      for (const Query& q : asked) {
        const double ns = *q.workload == bad_ ? 50000 : 1000;
        result.push_back({Cost::Source::measured, {ns, ns, ns}, {}});
      }
      return result;
    }

   private:
    const Workload& bad_;
  };
  const Times times(shapes[5]);
  const auto corrected = BiasCorrectedCosts::create(costs_, costs_, times, queries);
  ASSERT_TRUE(corrected);
  const Workload next = conv(200, 14);
  const Query query{&next, &direct_};
  EXPECT_LT(corrected->costs({&query, 1})->front().estimate.ns, 1300);
}

TEST_F(Corrections, IntervalsFollowFromHowWrongPredictionsWere) {
  std::vector<Workload> first;
  for (int channels = 32; channels < 512; channels += 32) first.push_back(conv(channels, 14));
  const Workload next = conv(200, 20);
  const auto width = [&] {
    const Query query{&next, &direct_};
    const Estimate e = corrected_.costs({&query, 1})->front().estimate;
    return std::log(e.high_ns / e.low_ns);
  };
  EXPECT_NEAR(width(), std::log(4.0), 1e-9);
  learn(first);
  EXPECT_GT(width(), std::log(4.0));  // "wrong" was a surprise
}

}  // namespace
}  // namespace convopt
