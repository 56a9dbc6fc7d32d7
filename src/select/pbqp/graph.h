// A partitioned Boolean quadratic problem: every node takes one of its options, options cost, and
// so do pairs of options of nodes that share an edge. Wanted is the cheapest assignment.
#pragma once

#include <algorithm>
#include <cassert>
#include <limits>
#include <utility>
#include <vector>

namespace convopt::pbqp {

/// Cost of what must not be. Every other cost is finite.
inline constexpr double kImpossible = std::numeric_limits<double>::infinity();

/// Dense, row by row.
class Matrix {
 public:
  Matrix() = default;
  Matrix(int rows, int columns, double value = 0.0)
      : rows_(rows), columns_(columns), values_(static_cast<std::size_t>(rows) * columns, value) {}

  int rows() const { return rows_; }
  int columns() const { return columns_; }
  double& operator()(int row, int column) { return values_[index(row, column)]; }
  double operator()(int row, int column) const { return values_[index(row, column)]; }

  Matrix transposed() const {
    Matrix result(columns_, rows_);
    for (int row = 0; row < rows_; ++row) {
      for (int column = 0; column < columns_; ++column) result(column, row) = (*this)(row, column);
    }
    return result;
  }
  /// The given rows and columns, which are in ascending order.
  Matrix part(const std::vector<int>& kept_rows, const std::vector<int>& kept_columns) const {
    Matrix result(static_cast<int>(kept_rows.size()), static_cast<int>(kept_columns.size()));
    double* to = result.values_.data();
    for (const int row : kept_rows) {
      for (const int column : kept_columns) *to++ = (*this)(row, column);
    }
    return result;
  }
  void add(const Matrix& other) {
    assert(rows_ == other.rows_ && columns_ == other.columns_);
    for (std::size_t i = 0; i < values_.size(); ++i) values_[i] += other.values_[i];
  }

 private:
  std::size_t index(int row, int column) const {
    assert(row >= 0 && row < rows_ && column >= 0 && column < columns_);
    return static_cast<std::size_t>(row) * columns_ + column;
  }

  int rows_ = 0, columns_ = 0;
  std::vector<double> values_;
};

/// Nodes and edges are named by their index and keep it when others are removed. At most one edge
/// joins two nodes.
class Graph {
 public:
  struct Node {
    std::vector<double> costs;
    std::vector<int> labels;  ///< number that each option was added under; ascending
    std::vector<int> edges;
    bool alive = true;

    int options() const { return static_cast<int>(costs.size()); }
    int degree() const { return static_cast<int>(edges.size()); }
  };
  struct Edge {
    int a = -1, b = -1;
    Matrix costs;  ///< option of a, option of b

    int other(int node) const { return node == a ? b : a; }
    double at(int node, int own, int others) const {
      return node == a ? costs(own, others) : costs(others, own);
    }
    double& at(int node, int own, int others) {
      return node == a ? costs(own, others) : costs(others, own);
    }
  };

  int add_node(std::vector<double> costs) {
    Node node;
    node.labels.resize(costs.size());
    for (std::size_t i = 0; i < costs.size(); ++i) node.labels[i] = static_cast<int>(i);
    node.costs = std::move(costs);
    nodes_.push_back(std::move(node));
    return static_cast<int>(nodes_.size()) - 1;
  }

  /// Adds to the edge if there is one already.
  void add_edge(int a, int b, Matrix costs) {
    assert(a != b);
    assert(costs.rows() == nodes_[a].options() && costs.columns() == nodes_[b].options());
    if (const int existing = find_edge(a, b); existing >= 0) {
      Edge& edge = edges_[existing];
      edge.costs.add(edge.a == a ? costs : costs.transposed());
      return;
    }
    const int id = static_cast<int>(edges_.size());
    edges_.push_back({a, b, std::move(costs)});
    nodes_[a].edges.push_back(id);
    nodes_[b].edges.push_back(id);
  }

  int find_edge(int a, int b) const {
    for (const int id : nodes_[a].edges) {
      if (edges_[id].other(a) == b) return id;
    }
    return -1;
  }

  /// Detaches the edge from both ends; its costs stay readable.
  void remove_edge(int id) {
    std::erase(nodes_[edges_[id].a].edges, id);
    std::erase(nodes_[edges_[id].b].edges, id);
  }

  /// Keeps the given options of a node, in ascending order, and drops the others everywhere.
  void keep_options(int node, const std::vector<int>& kept) {
    Node& n = nodes_[node];
    if (static_cast<int>(kept.size()) == n.options()) return;
    for (std::size_t i = 0; i < kept.size(); ++i) {
      n.costs[i] = n.costs[kept[i]];
      n.labels[i] = n.labels[kept[i]];
    }
    n.costs.resize(kept.size());
    n.labels.resize(kept.size());
    for (const int id : n.edges) {
      Edge& edge = edges_[id];
      std::vector<int> all(edge.a == node ? edge.costs.columns() : edge.costs.rows());
      for (std::size_t i = 0; i < all.size(); ++i) all[i] = static_cast<int>(i);
      edge.costs = edge.a == node ? edge.costs.part(kept, all) : edge.costs.part(all, kept);
    }
  }

  int size() const { return static_cast<int>(nodes_.size()); }
  Node& node(int id) { return nodes_[id]; }
  const Node& node(int id) const { return nodes_[id]; }
  Edge& edge(int id) { return edges_[id]; }
  const Edge& edge(int id) const { return edges_[id]; }

  /// Cost of an assignment that gives every node the label of one of its options.
  double cost(const std::vector<int>& labels) const {
    double sum = 0;
    std::vector<int> option(nodes_.size());
    for (std::size_t n = 0; n < nodes_.size(); ++n) {
      const std::vector<int>& own = nodes_[n].labels;
      const auto found = std::lower_bound(own.begin(), own.end(), labels[n]);
      assert(found != own.end() && *found == labels[n]);
      option[n] = static_cast<int>(found - own.begin());
      sum += nodes_[n].costs[option[n]];
    }
    for (std::size_t n = 0; n < nodes_.size(); ++n) {
      for (const int id : nodes_[n].edges) {
        const Edge& edge = edges_[id];
        if (edge.a == static_cast<int>(n)) sum += edge.costs(option[edge.a], option[edge.b]);
      }
    }
    return sum;
  }

 private:
  std::vector<Node> nodes_;
  std::vector<Edge> edges_;
};

}  // namespace convopt::pbqp
