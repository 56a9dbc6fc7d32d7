#include "src/tune/evaluate.h"

#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <set>

#include "src/select/workloads.h"
#include "src/tune/recorded_model.h"
#include "src/tune/recorded_registry.h"
#include "tests/model/synthetic.h"

namespace convopt {
namespace {

using Law = std::function<double(const Workload&, const PrimitiveInfo&)>;

/// Says what a function says, and that it may be wrong by a factor.
class LawModel final : public PerformanceModel {
 public:
  explicit LawModel(Law law, double factor = 1.1) : law_(std::move(law)), factor_(factor) {
    info_.id = "law";
  }
  const ModelInfo& info() const override { return info_; }
  Result<std::vector<Estimate>> predict(std::span<const Query> queries,
                                        const Platform&) const override {
    std::vector<Estimate> result;
    for (const Query& q : queries) {
      const double ns = law_(*q.workload, *q.primitive);
      result.push_back({ns, ns / factor_, ns * factor_, false});
    }
    return result;
  }
  Result<void> save(const std::filesystem::path&) const override {
    return make_error(ErrorCode::internal, "not a file");
  }

 private:
  Law law_;
  double factor_;
  ModelInfo info_;
};

double hashed_ns(const Workload& workload, const PrimitiveInfo& primitive) {
  std::uint64_t seed = 0;
  for (const char c : workload.text() + primitive.name) seed = seed * 131 + std::uint8_t(c);
  synthetic::Random random(seed);
  return 1e4 * std::exp(synthetic::gaussian(random));
}

/// Every workload of the network by one primitive per operation and layout, two for convolutions.
Profile profile_of(const Network& network) {
  Profile profile;
  RunHeader header;
  header.run = "r";
  header.platform = synthetic::platform();
  std::set<Op> ops;
  const std::vector<Workload> workloads = network_workloads(network);
  for (const Workload& workload : workloads) ops.insert(workload.op);
  for (const Op op : ops) {
    for (const Layout in : {Layout::nchw, Layout::nChw16c}) {
      for (const Layout out : {Layout::nchw, Layout::nChw16c}) {
        if ((op == Op::convert) == (in == out)) continue;
        PrimitiveInfo info =
            synthetic::primitive(std::string(to_string(op)) + "_" + std::string(to_string(in)) +
                                     "_" + std::string(to_string(out)),
                                 Algorithm::copy, in, 0, 0);
        info.op = op;
        info.output_layout = out;
        header.primitives.push_back(info);
        if (op != Op::conv) continue;
        info.name += "_b";
        header.primitives.push_back(info);
      }
    }
  }
  for (const Workload& workload : workloads) {
    for (const PrimitiveInfo& info : header.primitives) {
      if (!info.computes(workload)) continue;
      Measurement m;
      m.run = header.run;
      m.workload = workload;
      m.primitive = info.name;
      m.revision = info.revision;
      m.isa = header.platform.isa;
      m.threads = header.platform.threads;
      m.median_ns = hashed_ns(workload, info);
      profile.measurements.push_back(std::move(m));
    }
  }
  profile.runs.push_back(std::move(header));
  return profile;
}

Network squeezenet() {
  auto network = load_network(CONVOPT_SOURCE_DIR "/data/networks/squeezenet1_1.json");
  EXPECT_TRUE(network.ok());
  return std::move(*network);
}

TEST(Evaluate, APerfectModelHasNoErrorAndNoRegret) {
  const Network network = squeezenet();
  const Profile profile = profile_of(network);
  const auto e = evaluate(LawModel(hashed_ns), profile, synthetic::platform(), {&network, 1});
  ASSERT_TRUE(e.ok()) << e.error().message;
  EXPECT_EQ(e->samples, profile.measurements.size());
  EXPECT_EQ(e->mdrae, 0);
  EXPECT_EQ(e->within_10_percent, 1);
  EXPECT_NEAR(e->spearman, 1, 1e-12);
  EXPECT_EQ(e->interval_coverage, 1);
  EXPECT_EQ(e->regret.max, 1);
  EXPECT_EQ(e->regret.sum, 1);
  ASSERT_EQ(e->networks.size(), 1U) << e->skipped.front();
  EXPECT_NEAR(e->networks[0].regret, 1, 1e-12);
  EXPECT_GT(e->networks[0].optimum_ms, 0);
}

TEST(Evaluate, ErrorThatKeepsTheOrderCostsNothing) {
  const Network network = squeezenet();
  const Profile profile = profile_of(network);
  const LawModel model(
      [](const Workload& w, const PrimitiveInfo& p) { return 3 * hashed_ns(w, p); });
  const auto e = evaluate(model, profile, synthetic::platform(), {&network, 1});
  ASSERT_TRUE(e.ok());
  EXPECT_NEAR(e->mdrae, 2, 1e-9);
  EXPECT_EQ(e->interval_coverage, 0);
  EXPECT_EQ(e->regret.max, 1);
  EXPECT_NEAR(e->networks[0].regret, 1, 1e-9);
}

TEST(Evaluate, ChoosingTheSlowestCostsWhatItCosts) {
  const Network network = squeezenet();
  const Profile profile = profile_of(network);
  const LawModel model(
      [](const Workload& w, const PrimitiveInfo& p) { return 1e9 / hashed_ns(w, p); });
  const auto e = evaluate(model, profile, synthetic::platform(), {&network, 1});
  ASSERT_TRUE(e.ok());
  EXPECT_NEAR(e->spearman, -1, 1e-9);
  // Of each convolution, slowest over fastest.
  std::map<std::string, std::pair<double, double>> extremes;
  for (const Measurement& m : profile.measurements) {
    if (m.workload.op != Op::conv) continue;
    auto [at, inserted] =
        extremes.try_emplace(m.workload.text(), std::pair(m.median_ns, m.median_ns));
    at->second.first = std::min(at->second.first, m.median_ns);
    at->second.second = std::max(at->second.second, m.median_ns);
  }
  double worst = 0, fast = 0, slow = 0;
  for (const auto& [text, range] : extremes) {
    worst = std::max(worst, range.second / range.first);
    fast += range.first;
    slow += range.second;
  }
  EXPECT_NEAR(e->regret.max, worst, 1e-9);
  EXPECT_NEAR(e->regret.sum, slow / fast, 1e-9);
  EXPECT_EQ(e->regret.workloads, extremes.size());
  ASSERT_EQ(e->networks.size(), 1U);
  EXPECT_GT(e->networks[0].regret, 1.5);
  EXPECT_NEAR(e->networks[0].chosen_ms / e->networks[0].optimum_ms, e->networks[0].regret, 1e-12);
}

TEST(Evaluate, RehearsedRefinementFindsThePlanThatAWrongModelMisses) {
  const Network network = squeezenet();
  const Profile profile = profile_of(network);
  const LawModel model(
      [](const Workload& w, const PrimitiveInfo& p) {
        PrimitiveInfo other = p;
        other.name += "?";
        return hashed_ns(w, p) * std::pow(hashed_ns(w, other) / 1e4, 0.5);
      },
      3);
  const auto refined_for = [&](double seconds) {
    const auto e = evaluate(model, profile, synthetic::platform(), {&network, 1}, seconds);
    EXPECT_TRUE(e.ok());
    EXPECT_TRUE(e->networks[0].refined.has_value());
    return e->networks[0];
  };
  const NetworkRegret patient = refined_for(1e6);
  EXPECT_GT(patient.regret, 1.05);
  EXPECT_LT(patient.refined->regret, 1.01);
  EXPECT_TRUE(patient.refined->settled);
  EXPECT_LT(patient.refined->timed, 2 * profile.measurements.size() / 3);
  EXPECT_GT(patient.refined->seconds, 0);
  // What a short refinement ends with lies between.
  const NetworkRegret hasty = refined_for(patient.refined->seconds / 4);
  EXPECT_FALSE(hasty.refined->settled);
  EXPECT_LT(hasty.refined->timed, patient.refined->timed);
  EXPECT_LT(hasty.refined->seconds, patient.refined->seconds / 2);
  EXPECT_GE(hasty.refined->regret, patient.refined->regret);
  EXPECT_FALSE(evaluate(model, profile, synthetic::platform(), {&network, 1})
                   ->networks[0]
                   .refined.has_value());
}

TEST(Evaluate, SkipsANetworkThatIsNotInTheProfile) {
  const Network network = squeezenet();
  Profile profile = profile_of(network);
  const std::string text = network.operators.front().workload.text();
  std::erase_if(profile.measurements, [&](const Measurement& m) {
    return m.workload.shape == network.operators.front().workload.shape;
  });
  const auto e = evaluate(LawModel(hashed_ns), profile, synthetic::platform(), {&network, 1});
  ASSERT_TRUE(e.ok());
  EXPECT_TRUE(e->networks.empty());
  ASSERT_EQ(e->skipped.size(), 1U);
}

TEST(Evaluate, RefusesAProfileOfAnotherPlatform) {
  const Profile profile = profile_of(squeezenet());
  const auto e = evaluate(LawModel(hashed_ns), profile, synthetic::platform("GenuineIntel"), {});
  ASSERT_FALSE(e.ok());
  EXPECT_EQ(e.error().code, ErrorCode::bad_input);
}

TEST(Evaluate, ListsPlatformsByTheirMeasurements) {
  Profile profile =
      synthetic::profile(synthetic::platform(), synthetic::time_function(), {.shapes = 5});
  const Profile other = synthetic::profile(synthetic::platform("GenuineIntel"),
                                           synthetic::time_function(), {.shapes = 9, .seed = 2});
  profile.runs.push_back(other.runs[0]);
  profile.measurements.insert(profile.measurements.end(), other.measurements.begin(),
                              other.measurements.end());
  const auto platforms = measured_platforms(profile, TimingMode::warm);
  ASSERT_EQ(platforms.size(), 2U);
  EXPECT_EQ(platforms[0].id(), synthetic::platform("GenuineIntel").id());
  EXPECT_TRUE(measured_platforms(profile, TimingMode::cold_weights).empty());
}

TEST(RecordedModel, PredictsTheRepeatOfItsProfile) {
  const Network network = squeezenet();
  const Profile first = profile_of(network);
  // The repeat is 5 % slower here and there, and knows one time more.
  Profile repeat = first;
  for (std::size_t i = 0; i < repeat.measurements.size(); i += 2) {
    repeat.measurements[i].median_ns *= 1.05;
  }
  Measurement more = repeat.measurements.back();
  more.workload = Workload::fully_connected(1, 3, 5);
  repeat.measurements.push_back(more);

  const auto model = RecordedModel::create(first);
  ASSERT_TRUE(model) << model.error().message;
  EXPECT_EQ((*model)->info().samples, first.measurements.size());
  EXPECT_FALSE(evaluate(**model, repeat, synthetic::platform(), {&network, 1}));
  const Profile known = (*model)->known_part(repeat);
  EXPECT_EQ(known.measurements.size(), first.measurements.size());
  const auto e = evaluate(**model, known, synthetic::platform(), {&network, 1});
  ASSERT_TRUE(e) << e.error().message;
  EXPECT_LT(e->mdrae, 0.05);
  ASSERT_EQ(e->networks.size(), 1U);
  EXPECT_GE(e->networks[0].regret, 1);
  EXPECT_LT(e->networks[0].regret, 1.05);

  EXPECT_FALSE(RecordedModel::create({}));
  EXPECT_FALSE((*model)->save("anywhere"));
}

TEST(RecordedRegistry, KnowsWhatWasTimed) {
  const Profile profile =
      synthetic::profile(synthetic::platform(), synthetic::time_function(), {.shapes = 5});
  const RecordedRegistry registry(profile, synthetic::platform());
  EXPECT_EQ(registry.primitives().size(), 5U);
  const Primitive* winograd = registry.find("winograd");
  ASSERT_NE(winograd, nullptr);
  EXPECT_EQ(registry.find("nobody"), nullptr);
  for (const Measurement& m : profile.measurements) {
    if (m.primitive != "winograd") continue;
    EXPECT_EQ(bool(winograd->applicability(m.workload, registry.context())),
              m.status == MeasurementStatus::ok);
  }
  EXPECT_FALSE(winograd->prepare(profile.measurements[0].workload, {}, registry.context()).ok());
  EXPECT_EQ(registry.libraries().at("onednn"), "2.6.3");
}

}  // namespace
}  // namespace convopt
