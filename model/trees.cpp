#include "model/trees.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <utility>

namespace convopt {
namespace {

// Rows that stay in the first-level cache while the trees pass by.
constexpr std::size_t kRowsOfBlock = 32;
// Rows that walk down a tree side by side.
constexpr std::size_t kWalks = 8;

void append(std::string& bytes, std::uint32_t value, int count) {
  for (int i = 0; i < count; ++i) bytes.push_back(static_cast<char>(value >> (8 * i)));
}

/// Little-endian numbers from the front of `bytes`, which must be long enough.
std::uint32_t take(std::string_view& bytes, std::size_t count) {
  std::uint32_t value = 0;
  for (std::size_t i = 0; i < count; ++i) {
    value |= std::uint32_t{static_cast<unsigned char>(bytes[i])} << (8 * i);
  }
  bytes.remove_prefix(count);
  return value;
}

Error damaged() { return make_error(ErrorCode::bad_input, "has damaged trees"); }

}  // namespace

Trees::Trees(std::vector<std::string> feature_names)
    : names_(std::move(feature_names)), columns_(names_.size()) {}

Result<void> Trees::add(std::span<const TreeNode> tree) {
  std::vector<std::uint32_t> order = {0};
  std::vector<Node> nodes;
  for (std::size_t i = 0; i < order.size(); ++i) {
    if (order[i] >= tree.size() || order.size() > tree.size() || order.size() >= kLeaf) {
      return damaged();
    }
    const TreeNode& node = tree[order[i]];
    if (node.leaf) {
      nodes.push_back({node.value, kLeaf, 0});
      continue;
    }
    if (node.feature >= names_.size() || node.feature >= kMissingLeft - 1U) return damaged();
    const auto split =
        static_cast<std::uint16_t>(node.feature | (node.missing_left ? kMissingLeft : 0U));
    nodes.push_back({node.value, split, static_cast<std::uint16_t>(order.size())});
    order.push_back(node.left);
    order.push_back(node.right);
  }
  roots_.push_back(static_cast<std::uint32_t>(nodes_.size()));
  nodes_.insert(nodes_.end(), nodes.begin(), nodes.end());
  return {};
}

Result<void> Trees::read_from(std::span<const std::string> columns) {
  columns_ = columns.size();
  chosen_.clear();
  if (std::ranges::equal(names_, columns)) return {};
  for (const std::string& name : names_) {
    const auto at = std::ranges::find(columns, name);
    if (at == columns.end()) {
      return make_error(ErrorCode::bad_input,
                        "was trained on the feature '" + name +
                            "', which this version does not compute; train it again");
    }
    chosen_.push_back(static_cast<std::size_t>(at - columns.begin()));
  }
  return {};
}

FeatureMatrix Trees::features_of(const FeatureMatrix& rows) const {
  if (chosen_.empty()) return rows;
  FeatureMatrix result;
  result.columns = chosen_.size();
  result.values.reserve(rows.rows() * chosen_.size());
  for (std::size_t row = 0; row < rows.rows(); ++row) {
    for (const std::size_t column : chosen_) result.values.push_back(rows.row(row)[column]);
  }
  return result;
}

template <std::size_t kRows>
void Trees::add_leaves(const Node* tree, const FeatureMatrix& features, std::size_t first,
                       float* sums) {
  // Where the walks are. They go on side by side, without branches that depend on the features,
  // because each step of a single one waits for the step before; one that has ended stays.
  std::array<std::uint32_t, kRows> at{};
  const float* const values = features.values.data() + first * features.columns;
  for (bool goes_on = true; goes_on;) {
    goes_on = false;
    for (std::size_t i = 0; i < kRows; ++i) {
      const Node node = tree[at[i]];
      const bool leaf = node.split == kLeaf;
      const std::size_t feature = leaf ? 0 : node.split & ~kMissingLeft;
      const float value = values[i * features.columns + feature];
      const bool left =
          (value < node.value) | (std::isnan(value) & static_cast<bool>(node.split & kMissingLeft));
      at[i] = leaf ? at[i] : node.left + (left ? 0U : 1U);
      goes_on |= !leaf;
    }
  }
  for (std::size_t i = 0; i < kRows; ++i) sums[i] += tree[at[i]].value;
}

Result<std::vector<float>> Trees::predict(const FeatureMatrix& rows) const {
  if (rows.columns != columns_) {
    return make_error(ErrorCode::internal, "the model was trained on other features");
  }
  const FeatureMatrix chosen = chosen_.empty() ? FeatureMatrix() : features_of(rows);
  const FeatureMatrix& features = chosen_.empty() ? rows : chosen;
  std::vector<float> sums(rows.rows(), 0.0F);
  for (std::size_t first = 0; first < sums.size(); first += kRowsOfBlock) {
    const std::size_t last = std::min(sums.size(), first + kRowsOfBlock);
    for (const std::uint32_t root : roots_) {
      std::size_t row = first;
      for (; row + kWalks <= last; row += kWalks)
        add_leaves<kWalks>(nodes_.data() + root, features, row, sums.data() + row);
      for (; row < last; ++row)
        add_leaves<1>(nodes_.data() + root, features, row, sums.data() + row);
    }
  }
  return sums;
}

std::string Trees::encode() const {
  std::string bytes;
  bytes.reserve(4 * (1 + roots_.size()) + 6 * nodes_.size());
  append(bytes, static_cast<std::uint32_t>(roots_.size()), 4);
  for (std::size_t i = 0; i < roots_.size(); ++i) {
    const std::size_t end = i + 1 < roots_.size() ? roots_[i + 1] : nodes_.size();
    append(bytes, static_cast<std::uint32_t>(end - roots_[i]), 4);
  }
  for (const Node& node : nodes_) append(bytes, node.split, 2);
  for (const Node& node : nodes_) append(bytes, std::bit_cast<std::uint32_t>(node.value), 4);
  return bytes;
}

Result<Trees> Trees::decode(std::string_view bytes, std::vector<std::string> feature_names,
                            std::span<const std::string> columns) {
  Trees trees(std::move(feature_names));
  if (auto read = trees.read_from(columns); !read) return read.error();
  if (bytes.size() < 4) return damaged();
  const std::size_t count = take(bytes, 4);
  if (bytes.size() / 4 < count) return damaged();
  std::vector<std::size_t> sizes(count);
  std::size_t total = 0;
  for (std::size_t& size : sizes) {
    size = take(bytes, 4);
    if (size > kLeaf) return damaged();
    total += size;
  }
  if (bytes.size() != 6 * total) return damaged();
  std::string_view values = bytes.substr(2 * total);
  trees.nodes_.resize(total);
  std::size_t root = 0;
  for (const std::size_t size : sizes) {
    std::size_t children = 1;  // the place of the next one
    for (std::size_t i = 0; i < size; ++i) {
      Node& node = trees.nodes_[root + i];
      node.split = static_cast<std::uint16_t>(take(bytes, 2));
      node.value = std::bit_cast<float>(take(values, 4));
      if (node.split == kLeaf) continue;
      // A child after its parent and within the tree: every walk ends in a leaf.
      if ((node.split & ~kMissingLeft) >= static_cast<int>(trees.names_.size()) || children <= i ||
          children + 1 >= size) {
        return damaged();
      }
      node.left = static_cast<std::uint16_t>(children);
      children += 2;
    }
    if (children != size) return damaged();
    trees.roots_.push_back(static_cast<std::uint32_t>(root));
    root += size;
  }
  return trees;
}

}  // namespace convopt
