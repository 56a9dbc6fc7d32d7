// Plans that must fit, against an enumeration of all of them.
#include "src/select/memory.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>

#include "src/select/select.h"
#include "tests/select/fakes.h"

namespace convopt {
namespace {

using testing::FakeCosts;
using testing::FakeRegistry;
using testing::NetworkBuilder;

constexpr std::size_t kLarge = 900, kMiddle = 500, kSmall = 100;

/// Four convolutions in a row, each of a fast, a middling and a slow primitive that pack much,
/// less and least; the middling one has a large workspace.
class WithinMemory : public ::testing::Test {
 protected:
  WithinMemory() {
    const auto add = [&](const char* name, std::size_t packed, std::size_t workspace) {
      auto& primitive = registry_.add(name, "own", Op::conv, Layout::nchw, Layout::nchw);
      primitive.packed = packed;
      primitive.workspace = workspace;
    };
    add("fast", kLarge, 50);
    add("middling", kMiddle, 400);
    add("slow", kSmall, 0);
    NetworkBuilder builder;
    TensorId last = builder.input();
    for (const auto& [name, kernel] :
         {std::pair("a", 1), std::pair("b", 3), std::pair("c", 5), std::pair("d", 7)})
      last = builder.conv(name, last, kernel);
    network_ = builder.build({last});
    problem_ = std::make_unique<Problem>(*build_problem(network_, registry_, costs_));
  }

  static double ns_of(const Workload& workload, const std::string& primitive) {
    const double work = 10.0 * workload.shape.kh;
    return primitive == "fast" ? work : primitive == "middling" ? 2 * work : 5 * work;
  }

  /// Packed weights of all, the largest workspace.
  std::size_t bytes_of(const Solution& solution) const {
    std::size_t packed = 0, workspace = 0;
    for (std::size_t op = 0; op < problem_->operators.size(); ++op) {
      const Option& option = problem_->operators[op][solution.assignment.operators[op]];
      const Candidate& c = problem_->candidates[option.candidate];
      const Workload& workload = problem_->workloads[c.workload];
      packed += c.primitive->packed_bytes(workload, problem_->context);
      workspace = std::max(workspace, c.primitive->workspace_bytes(workload, problem_->context));
    }
    return packed + workspace;
  }

  /// The time of the fastest of all 81 plans that fits; infinity if none does.
  double enumerated(std::size_t max_bytes) const {
    double best = std::numeric_limits<double>::infinity();
    const struct {
      const char* name;
      std::size_t packed, workspace;
    } choices[] = {{"fast", kLarge, 50}, {"middling", kMiddle, 400}, {"slow", kSmall, 0}};
    for (int number = 0; number < 81; ++number) {
      double ns = 0;
      std::size_t packed = 0, workspace = 0;
      for (int op = 0, rest = number; op < 4; ++op, rest /= 3) {
        const auto& choice = choices[rest % 3];
        ns += ns_of(network_.operators[op].workload, choice.name);
        packed += choice.packed;
        workspace = std::max(workspace, choice.workspace);
      }
      if (packed + workspace <= max_bytes) best = std::min(best, ns);
    }
    return best;
  }

  Result<Solution> solve(std::size_t max_bytes) const {
    return solve_within(*problem_, std::chrono::seconds(5), max_bytes,
                        [&](const Solution& s) -> Result<std::size_t> { return bytes_of(s); });
  }

  FakeRegistry registry_;
  FakeCosts costs_{[](const Workload& w, const PrimitiveInfo& p) { return ns_of(w, p.name); }};
  Network network_;
  std::unique_ptr<Problem> problem_;
};

TEST_F(WithinMemory, TakesTheOptimumWhereItFits) {
  const auto solution = solve(4 * kLarge + 50);
  ASSERT_TRUE(solution.ok()) << solution.error().message;
  EXPECT_TRUE(solution->optimal);
  EXPECT_DOUBLE_EQ(solution->ns, 160);
}

TEST_F(WithinMemory, FitsWheneverAnythingDoesAndIsNearTheFastest) {
  for (std::size_t bytes = 0; bytes <= 4 * kLarge + 50; bytes += 50) {
    SCOPED_TRACE(bytes);
    const double fastest = enumerated(bytes);
    const auto solution = solve(bytes);
    ASSERT_EQ(solution.ok(), std::isfinite(fastest));
    if (!solution) {
      EXPECT_EQ(solution.error().code, ErrorCode::environment);
      EXPECT_NE(solution.error().message.find("no plan fits"), std::string::npos);
      continue;
    }
    EXPECT_LE(bytes_of(*solution), bytes);
    EXPECT_GE(solution->ns, fastest);
    // Prices reach only what lies on the convex hull of times and bytes.
    EXPECT_LE(solution->ns, 1.5 * fastest);
    EXPECT_NEAR(solution->gap, (solution->ns - 160) / solution->ns, 1e-9);
  }
}

}  // namespace
}  // namespace convopt
