#include "model/linear_cost.h"

#include <gtest/gtest.h>

#include <cmath>
#include <numeric>

#include "model/dataset.h"
#include "model/ensemble.h"
#include "model/gaussian_process.h"
#include "tests/model/synthetic.h"

namespace convopt {
namespace {

LinearCost ones() {
  LinearCost cost;
  cost.coefficients.fill(1);
  return cost;
}

// Terms of many sizes, independent of each other.
std::vector<CostSample> samples(const LinearCost& truth, int count, double noise,
                                std::uint64_t seed) {
  synthetic::Random random(seed);
  std::vector<CostSample> result;
  for (int i = 0; i < count; ++i) {
    CostSample s;
    for (double& term : s.terms) term = std::exp(6 * synthetic::uniform(random));
    s.log_ns = truth.log_ns(s.terms) + noise * synthetic::gaussian(random);
    result.push_back(s);
  }
  return result;
}

TEST(LawTest, FindsCoefficientsAndKeepsThemNonNegative) {
  LinearCost truth;
  truth.coefficients = {3, 0.7, 0, 0, 2, 0, 0, 0, 0.5, 0};
  const auto seen = samples(truth, 400, 0.01, 3);
  const LinearCost found = fit_linear_cost(seen, ones(), 5);
  for (std::size_t j = 0; j < kCostTerms; ++j) {
    EXPECT_GE(found.coefficients[j], 0);
    EXPECT_NEAR(found.coefficients[j], truth.coefficients[j], 0.1 * truth.coefficients[j] + 0.03)
        << cost_term_names()[j];
  }
}

TEST(LawTest, StaysAtThePriorWithoutSamplesAndNearItWithOne) {
  LinearCost prior = ones();
  prior.coefficients[1] = 7;
  EXPECT_EQ(fit_linear_cost({}, prior, 0.5).coefficients, prior.coefficients);
  LinearCost slower = prior.scaled(1.3);
  const auto one = samples(slower, 1, 0, 5);
  const LinearCost found = fit_linear_cost(one, prior, 0.2);
  EXPECT_GT(found.log_ns(one[0].terms), prior.log_ns(one[0].terms) + 0.1);
  for (std::size_t j = 0; j < kCostTerms; ++j) {
    EXPECT_NEAR(found.coefficients[j], prior.coefficients[j], 0.8 * prior.coefficients[j]);
  }
}

TEST(LawTest, OneOutlierDoesNotBendIt) {
  LinearCost truth = ones();
  auto seen = samples(truth, 30, 0.01, 7);
  seen[3].log_ns += 3;
  const LinearCost found = fit_linear_cost(seen, ones(), 1);
  for (const CostSample& s : samples(truth, 20, 0, 8)) {
    EXPECT_NEAR(found.log_ns(s.terms), s.log_ns, 0.1);
  }
}

TEST(LawTest, LowerBoundsOnlyPushUp) {
  LinearCost truth = ones();
  auto seen = samples(truth, 40, 0, 9);
  for (CostSample& s : seen) {
    s.log_ns -= 1;
    s.lower_bound = true;
  }
  const LinearCost kept = fit_linear_cost(seen, truth, 1);
  EXPECT_NEAR(kept.log_ns(seen[0].terms), seen[0].log_ns + 1, 1e-6);
  for (CostSample& s : seen) s.log_ns += 2;
  const LinearCost raised = fit_linear_cost(seen, truth, 1);
  EXPECT_GT(raised.log_ns(seen[0].terms), truth.log_ns(seen[0].terms) + 0.7);
}

TEST(LawTest, TermsOfEveryShapeAreFiniteAndNotNegative) {
  const Capabilities machine = Capabilities::of(synthetic::platform());
  for (const PrimitiveInfo& primitive : synthetic::primitives()) {
    for (const int size : {1, 7, 56}) {
      const Workload conv = synthetic::conv(3, size, 64, 3, 1);
      const Workload w =
          primitive.op == Op::conv ? conv : Workload::pointwise(Op::convert, conv.input());
      const CostTerms terms =
          cost_terms(estimate_work(w, primitive, machine.vector), unaligned_results(w, primitive),
                     machine, TimingMode::cold_weights);
      for (const double term : terms) {
        EXPECT_TRUE(std::isfinite(term));
        EXPECT_GE(term, 0);
      }
      EXPECT_GT(std::accumulate(terms.begin(), terms.end(), 0.0), 0);
    }
  }
}

TEST(FieldTest, LearnsASmoothFunctionAndFadesAway) {
  const Profile profile = synthetic::profile(synthetic::platform(), synthetic::time_function(),
                                             {.shapes = 60, .noise = 0});
  const auto data = make_dataset(std::span(&profile, 1));
  ASSERT_TRUE(data.ok());
  const std::vector<std::size_t> rows = data->all_rows();
  const auto truth = [](const Workload& w) { return 0.3 * std::sin(std::log2(w.shape.ic)); };
  std::vector<double> residuals;
  for (const std::size_t row : rows) {
    residuals.push_back(truth(data->workloads[data->samples[row].workload]));
  }
  const GaussianProcess process = GaussianProcess::fit(*data, rows, residuals);
  ASSERT_FALSE(process.empty());
  Ensemble ensemble = Ensemble::nothing();
  ensemble.processes.push_back(process);
  EnsembleReader reader(ensemble);
  const CostTerms none{};
  const PrimitiveInfo direct = synthetic::primitives()[0];
  double error = 0, size = 0;
  std::vector<Workload> unseen;
  for (const int ic : {10, 24, 48, 100, 200}) unseen.push_back(synthetic::conv(ic, 20, 48, 3, 1));
  for (const Workload& w : unseen) {
    error += std::abs(reader.log_ns({0, 0, &none, &w, &direct}) - truth(w));
    size += std::abs(truth(w));
  }
  EXPECT_LT(error, 0.4 * size);
  // Away from all samples nothing but what they have in common is left.
  const Workload far = synthetic::conv(1 << 20, 2000, 1 << 20, 11, 1);
  const Workload elsewhere = synthetic::conv(1, 2000, 1 << 20, 11, 4);
  const double common = reader.log_ns({0, 0, &none, &far, &direct});
  EXPECT_NEAR(reader.log_ns({0, 0, &none, &elsewhere, &direct}), common, 0.02);
  EXPECT_LT(std::abs(common), 0.15);
}

TEST(FieldTest, SaysNothingAboutNoise) {
  const Profile profile =
      synthetic::profile(synthetic::platform(), synthetic::time_function(), {.shapes = 40});
  const auto data = make_dataset(std::span(&profile, 1));
  ASSERT_TRUE(data.ok());
  synthetic::Random random(4);
  std::vector<double> residuals;
  const std::vector<std::size_t> rows = data->all_rows();
  for (std::size_t i = 0; i < rows.size(); ++i) {
    residuals.push_back(0.05 * synthetic::gaussian(random));
  }
  Ensemble ensemble = Ensemble::nothing();
  ensemble.processes.push_back(GaussianProcess::fit(*data, rows, residuals));
  EnsembleReader reader(ensemble);
  const CostTerms none{};
  const PrimitiveInfo direct = synthetic::primitives()[0];
  const Workload w = synthetic::conv(50, 20, 48, 3, 1);
  EXPECT_NEAR(reader.log_ns({0, 0, &none, &w, &direct}), 0, 0.03);
}

TEST(BlendTest, AnAverageIsTheMeanOfTheLogarithms) {
  Ensemble a, b = Ensemble::nothing();
  a.offset = 0.4;
  a.own["direct"] = 0.1;
  LinearCosts costs;
  costs.by_op["conv"] = ones();
  b.costs.emplace_back(1, costs);
  Ensemble mean = Ensemble::nothing();
  mean.add(a, 0.25).add(b, 0.75);
  CostTerms terms{};
  terms[1] = 500;
  const Workload w = synthetic::conv(32, 20, 48, 3, 1);
  const PrimitiveInfo direct = synthetic::primitives()[0];
  const EnsembleInput input{-0.2, 6.0, &terms, &w, &direct};
  EXPECT_NEAR(EnsembleReader(mean).log_ns(input),
              0.25 * EnsembleReader(a).log_ns(input) + 0.75 * EnsembleReader(b).log_ns(input),
              1e-12);
}

}  // namespace
}  // namespace convopt
