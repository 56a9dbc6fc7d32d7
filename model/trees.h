// A sum of regression trees as it predicts and is stored. Trained by model/booster.
#pragma once

#include <cstdint>
#include <limits>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "convopt/error.hpp"
#include "model/matrix.h"

namespace convopt {

/// A node as libraries describe it; children are indices into the nodes of its tree.
struct TreeNode {
  bool leaf = false;
  float value = 0;  ///< of a leaf; else the split: smaller values of the feature go left
  std::uint32_t feature = 0;
  bool missing_left = false;  ///< where rows without the feature go
  std::uint32_t left = 0, right = 0;
};

class Trees {
 public:
  /// Of features with these names, the columns of the rows that it predicts. No trees predict 0.
  explicit Trees(std::vector<std::string> feature_names);
  /// Reads what encode() wrote. `columns` names those of the rows that it will be given, its own
  /// features among them. Any bytes are safe; fails with the end of a sentence.
  static Result<Trees> decode(std::string_view bytes, std::vector<std::string> feature_names,
                              std::span<const std::string> columns);

  /// The root first. Fails if it is no tree over these features.
  Result<void> add(std::span<const TreeNode> tree);
  /// What the features are called in rows of more columns; fails if one is missing.
  Result<void> read_from(std::span<const std::string> columns);

  /// One value per row: the leaves that it reaches, added in single precision, tree by tree. Fails
  /// if rows have another number of columns.
  Result<std::vector<float>> predict(const FeatureMatrix& rows) const;
  /// The columns that are features, in the order of their names.
  FeatureMatrix features_of(const FeatureMatrix& rows) const;

  /// Number of trees, nodes of each, then feature and value of all nodes, little-endian.
  std::string encode() const;

  std::span<const std::string> feature_names() const { return names_; }
  std::size_t columns() const { return columns_; }
  std::size_t size() const { return roots_.size(); }

 private:
  // Level by level, so that the right child follows the left one and no child needs storing.
  struct Node {
    float value = 0;
    std::uint16_t split = 0;  ///< feature, and the top bit for missing_left; kLeaf
    std::uint16_t left = 0;   ///< from the root
  };
  static constexpr std::uint16_t kLeaf = std::numeric_limits<std::uint16_t>::max();
  static constexpr std::uint16_t kMissingLeft = 0x8000;

  /// Adds what the rows from `first` reach in one tree.
  template <std::size_t kRows>
  static void add_leaves(const Node* tree, const FeatureMatrix& features, std::size_t first,
                         float* sums);

  std::vector<std::string> names_;
  std::vector<Node> nodes_;           ///< of all trees
  std::vector<std::uint32_t> roots_;  ///< first node of each tree
  std::size_t columns_ = 0;           ///< of the rows that it is given
  std::vector<std::size_t> chosen_;   ///< the features' columns; empty: all are features
};

}  // namespace convopt
