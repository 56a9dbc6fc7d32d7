// Training of gradient-boosted regression trees. booster.cpp is the only file that knows XGBoost.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "convopt/error.hpp"
#include "model/matrix.h"
#include "model/trees.h"

namespace convopt {

/// Training uses the calling thread only: on a busy machine the library's OpenMP loops over small
/// arrays were ten times slower with two threads than with one. Whole models run in parallel.
struct BoosterParameters {
  // Leaves where they gain most, instead of whole levels: a median error of 6.3 % on networks, at
  // 32 leaves 7.0 % (Zen 5, AVX-512); see docs/reference/model.md.
  int rounds = 300;
  int leaves = 64;  ///< of a tree, however deep
  double eta = 0.1;
  double min_child_weight = 2.0;
  double lambda = 1.0;
  double column_share = 0.6;  ///< of the features, drawn anew for every tree
  std::uint64_t seed = 0;
};

/// Regression target of one row.
struct Target {
  double value = 0;
  double weight = 1;
  bool lower_bound = false;  ///< the truth is `value` or more: only predictions below it are wrong
};

/// Trees that start at zero.
Result<Trees> train_trees(const FeatureMatrix& features, std::span<const Target> targets,
                          std::span<const std::string> feature_names,
                          const BoosterParameters& parameters);
/// Adds trees that are fitted to the residuals of the present ones. The rows are those that the
/// trees predict.
Result<void> boost(Trees& trees, const FeatureMatrix& rows, std::vector<Target> targets,
                   const BoosterParameters& parameters);

/// A model of XGBoost in UBJSON.
struct XgboostModel {
  Trees trees;
  std::map<std::string, std::string> attributes;
};
/// `bytes` must have been checked for integrity. Fails with the end of a sentence.
Result<XgboostModel> read_xgboost(std::string_view bytes);

/// "1.7.4", as the library itself says.
std::string xgboost_version();

}  // namespace convopt
