// The solver against enumeration, on graphs of the shapes that networks have and on harder ones.
#include <gtest/gtest.h>

#include <functional>
#include <random>

#include "src/select/pbqp/graph.h"
#include "src/select/pbqp/reductions.h"
#include "src/select/pbqp/solver.h"

namespace convopt::pbqp {
namespace {

struct Enumerated {
  double cost = kImpossible;
  std::vector<int> choice;
};

Enumerated brute_force(const Graph& graph) {
  Enumerated best;
  std::vector<int> choice(graph.size(), 0);
  while (true) {
    const double cost = graph.cost(choice);
    if (cost < best.cost) best = {cost, choice};
    int n = 0;
    while (n < graph.size() && ++choice[n] == graph.node(n).options()) choice[n++] = 0;
    if (n == graph.size()) return best;
  }
}

class Random {
 public:
  explicit Random(std::uint64_t seed) : engine_(seed) {}
  int below(int n) { return static_cast<int>(engine_() % static_cast<std::uint64_t>(n)); }
  /// Whole numbers, so that sums are exact.
  double cost(int impossible_percent) {
    return below(100) < impossible_percent ? kImpossible : below(60);
  }

 private:
  std::mt19937_64 engine_;
};

using Pairs = std::vector<std::pair<int, int>>;

struct Shape {
  const char* name;
  int nodes;
  int max_options;
  Pairs edges;
};

Pairs complete(int n) {
  Pairs edges;
  for (int a = 0; a < n; ++a) {
    for (int b = a + 1; b < n; ++b) edges.emplace_back(a, b);
  }
  return edges;
}

const Shape kShapes[] = {
    {"one node", 1, 5, {}},
    {"unconnected", 4, 4, {}},
    {"chain", 7, 4, {{0, 1}, {1, 2}, {2, 3}, {3, 4}, {4, 5}, {5, 6}}},
    {"tree", 8, 3, {{0, 1}, {0, 2}, {1, 3}, {1, 4}, {2, 5}, {2, 6}, {6, 7}}},
    {"star", 7, 4, {{0, 1}, {0, 2}, {0, 3}, {0, 4}, {0, 5}, {0, 6}}},
    {"diamond", 6, 4, {{0, 1}, {1, 2}, {1, 3}, {2, 4}, {3, 4}, {4, 5}}},
    {"two diamonds",
     8,
     3,
     {{0, 1}, {0, 2}, {1, 3}, {2, 3}, {3, 4}, {3, 5}, {4, 6}, {5, 6}, {6, 7}}},
    {"inception",
     9,
     3,
     {{0, 1}, {0, 2}, {0, 3}, {0, 4}, {2, 5}, {3, 6}, {4, 7}, {1, 8}, {5, 8}, {6, 8}, {7, 8}}},
    {"nested skips",
     7,
     4,
     {{0, 1}, {1, 2}, {2, 3}, {3, 4}, {4, 5}, {5, 6}, {0, 6}, {1, 5}, {2, 4}}},
    {"grid",
     9,
     3,
     {{0, 1},
      {1, 2},
      {3, 4},
      {4, 5},
      {6, 7},
      {7, 8},
      {0, 3},
      {3, 6},
      {1, 4},
      {4, 7},
      {2, 5},
      {5, 8}}},
    {"complete 4", 4, 6, complete(4)},
    {"complete 6", 6, 4, complete(6)},
    {"complete 8", 8, 3, complete(8)},
    {"two complete parts",
     8,
     3,
     {{0, 1},
      {0, 2},
      {0, 3},
      {1, 2},
      {1, 3},
      {2, 3},
      {4, 5},
      {4, 6},
      {4, 7},
      {5, 6},
      {5, 7},
      {6, 7}}},
    {"double edges", 5, 4, {{0, 1}, {1, 0}, {1, 2}, {2, 3}, {3, 4}, {4, 3}, {0, 4}, {1, 3}}},
};

Graph random_graph(const Shape& shape, int impossible_percent, Random& random) {
  Graph graph;
  for (int n = 0; n < shape.nodes; ++n) {
    std::vector<double> costs(1 + random.below(shape.max_options));
    for (double& c : costs) c = random.cost(impossible_percent / 4);
    graph.add_node(costs);
  }
  for (const auto& [a, b] : shape.edges) {
    Matrix costs(graph.node(a).options(), graph.node(b).options());
    for (int i = 0; i < costs.rows(); ++i) {
      for (int j = 0; j < costs.columns(); ++j) costs(i, j) = random.cost(impossible_percent);
    }
    graph.add_edge(a, b, costs);
  }
  return graph;
}

class EveryShape : public ::testing::TestWithParam<Shape> {};

TEST_P(EveryShape, CostsWhatEnumerationFinds) {
  int infeasible = 0;
  for (const int impossible_percent : {0, 20, 60}) {
    for (std::uint64_t seed = 0; seed < 60; ++seed) {
      SCOPED_TRACE(::testing::Message()
                   << "seed " << seed << ", impossible " << impossible_percent);
      Random random(seed * 100 + impossible_percent);
      const Graph graph = random_graph(GetParam(), impossible_percent, random);
      const Enumerated expected = brute_force(graph);
      const GraphSolution found = solve(graph);
      ASSERT_TRUE(found.optimal());
      ASSERT_EQ(found.feasible(), expected.cost < kImpossible);
      if (!found.feasible()) {
        ++infeasible;
        continue;
      }
      ASSERT_NEAR(found.cost, expected.cost, 1e-9 * expected.cost);
      ASSERT_EQ(graph.cost(found.choice), found.cost);
      ASSERT_LE(found.lower_bound, expected.cost + 1e-9 * expected.cost);
    }
  }
  RecordProperty("infeasible", infeasible);
}

INSTANTIATE_TEST_SUITE_P(Pbqp, EveryShape, ::testing::ValuesIn(kShapes), [](const auto& instance) {
  std::string name = instance.param.name;
  std::replace(name.begin(), name.end(), ' ', '_');
  return name;
});

TEST(Pbqp, SeriesParallelGraphsNeedNoBranches) {
  for (const Shape& shape : kShapes) {
    const std::string name = shape.name;
    if (name != "chain" && name != "tree" && name != "diamond" && name != "two diamonds" &&
        name != "inception") {
      continue;
    }
    Random random(7);
    const GraphSolution found = solve(random_graph(shape, 0, random));
    EXPECT_EQ(found.branches, 0) << name;
    EXPECT_EQ(found.eliminated, shape.nodes) << name;
  }
}

TEST(Pbqp, AnInfeasibleProblemIsProvenSo) {
  Graph graph;
  const int a = graph.add_node({1, 2});
  const int b = graph.add_node({3, 4});
  graph.add_edge(a, b, Matrix(2, 2, kImpossible));
  const GraphSolution found = solve(graph);
  EXPECT_FALSE(found.feasible());
  EXPECT_TRUE(found.optimal());
}

TEST(Pbqp, InfeasibleByAnOddCycleOfInequalities) {
  // Two colours for a complete graph of four nodes: every node and edge is possible by itself.
  Graph graph;
  for (int n = 0; n < 4; ++n) graph.add_node({0, 0});
  Matrix different(2, 2);
  different(0, 0) = different(1, 1) = kImpossible;
  for (const auto& [a, b] : complete(4)) graph.add_edge(a, b, different);
  const GraphSolution found = solve(graph);
  EXPECT_FALSE(found.feasible());
  EXPECT_TRUE(found.optimal());
}

TEST(Pbqp, NegativeCostsAreAllowed) {
  Random random(3);
  Graph graph = random_graph(kShapes[10], 0, random);
  for (int n = 0; n < graph.size(); ++n) {
    for (double& c : graph.node(n).costs) c -= 100;
  }
  EXPECT_DOUBLE_EQ(solve(graph).cost, brute_force(graph).cost);
}

TEST(Pbqp, EmptyGraph) {
  const GraphSolution found = solve(Graph());
  EXPECT_TRUE(found.optimal());
  EXPECT_EQ(found.cost, 0);
}

TEST(Pbqp, SameGraphSameSolution) {
  // Few distinct costs, so that there are many optima.
  Random random(11);
  Graph graph;
  for (int n = 0; n < 8; ++n) graph.add_node({0, 0, 0});
  for (const auto& [a, b] : complete(8)) {
    Matrix costs(3, 3);
    for (int i = 0; i < 9; ++i) costs(i / 3, i % 3) = random.below(2);
    graph.add_edge(a, b, costs);
  }
  const GraphSolution first = solve(graph);
  for (int repeat = 0; repeat < 3; ++repeat) EXPECT_EQ(solve(graph).choice, first.choice);
}

TEST(Pbqp, TimeLimitLeavesAnAnswerWithAnHonestBound) {
  Random random(5);
  Shape dense{"dense", 40, 6, complete(40)};
  Graph graph = random_graph(dense, 0, random);
  const GraphSolution cut = solve(graph, std::chrono::milliseconds(50));
  ASSERT_TRUE(cut.feasible());
  EXPECT_FALSE(cut.optimal());
  EXPECT_GT(cut.gap(), 0);
  EXPECT_LT(cut.gap(), 1);
  EXPECT_LT(cut.lower_bound, cut.cost);
  EXPECT_DOUBLE_EQ(graph.cost(cut.choice), cut.cost);
}

TEST(Pbqp, BoundOfACutSearchIsBelowTheOptimum) {
  Random random(6);
  const Shape dense{"dense", 9, 3, complete(9)};
  for (int repeat = 0; repeat < 20; ++repeat) {
    const Graph graph = random_graph(dense, 0, random);
    const GraphSolution cut = solve(graph, std::chrono::seconds(0));
    ASSERT_TRUE(cut.feasible());
    EXPECT_LE(cut.lower_bound, brute_force(graph).cost + 1e-9);
  }
}

TEST(Reductions, ReparametrisingKeepsEveryCost) {
  Random random(9);
  for (int repeat = 0; repeat < 20; ++repeat) {
    Graph graph = random_graph({"dense", 6, 3, complete(6)}, 0, random);
    Graph moved = graph;
    const double bound = reparametrise(moved, 3);
    EXPECT_LE(bound, brute_force(graph).cost + 1e-9);
    std::vector<int> choice(graph.size());
    for (int& c : choice) c = 0;
    for (int n = 0; n < graph.size(); ++n) choice[n] = random.below(graph.node(n).options());
    EXPECT_NEAR(moved.cost(choice), graph.cost(choice), 1e-9);
  }
}

TEST(Reductions, ReparametrisingIsExactOnTrees) {
  Random random(10);
  for (int repeat = 0; repeat < 20; ++repeat) {
    Graph graph = random_graph(kShapes[3], 0, random);
    const double optimum = brute_force(graph).cost;
    EXPECT_NEAR(reparametrise(graph, 8), optimum, 1e-9 * optimum);
  }
}

TEST(Reductions, DominatedOptionsGoAndLabelsStay) {
  Graph graph;
  const int a = graph.add_node({5, 1, 9});
  const int b = graph.add_node({0, 0});
  Matrix costs(3, 2);
  costs(0, 0) = 1;  // option 0 is dearer than option 1 whatever b does
  costs(1, 0) = 2;
  costs(2, 0) = 0;
  costs(2, 1) = 0;
  costs(1, 1) = 20;  // but option 2 is better beside b's option 1
  costs(0, 1) = 30;
  graph.add_edge(a, b, costs);
  EXPECT_TRUE(remove_dominated(graph, a));
  EXPECT_EQ(graph.node(a).labels, (std::vector<int>{1, 2}));
  EXPECT_EQ(graph.edge(0).costs.rows(), 2);
  EXPECT_EQ(graph.edge(0).costs(1, 1), 0);
  EXPECT_EQ(solve(graph).choice, (std::vector<int>{1, 0}));
}

TEST(Reductions, ImpossibleOptionsGo) {
  Graph graph;
  const int a = graph.add_node({0, kImpossible, 0});
  const int b = graph.add_node({0});
  Matrix costs(3, 1);
  costs(0, 0) = kImpossible;
  graph.add_edge(a, b, costs);
  EXPECT_TRUE(remove_impossible(graph, a));
  EXPECT_EQ(graph.node(a).labels, (std::vector<int>{2}));
}

}  // namespace
}  // namespace convopt::pbqp
