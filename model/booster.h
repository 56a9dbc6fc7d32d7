// Gradient-boosted regression trees. booster.cpp is the only file that knows XGBoost.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "convopt/error.hpp"
#include "model/matrix.h"

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

/// What the trees learn for one row.
struct Target {
  double value = 0;
  double weight = 1;
  bool lower_bound = false;  ///< the truth is `value` or more: only predictions below it are wrong
};

/// A sum of trees that starts at zero. Names of features and free attributes travel with it.
class Booster {
 public:
  Booster(Booster&&) noexcept;
  Booster& operator=(Booster&&) noexcept;
  ~Booster();

  static Result<Booster> train(const FeatureMatrix& features, std::span<const Target> targets,
                               std::span<const std::string> feature_names,
                               const BoosterParameters& parameters);
  /// More trees on top of those there, fitted to what these leave unexplained of `targets`.
  Result<void> boost(const FeatureMatrix& features, std::span<const Target> targets,
                     const BoosterParameters& parameters);

  /// One value per row. Uses the calling thread only.
  Result<std::vector<float>> predict(const FeatureMatrix& features) const;

  std::size_t feature_count() const;

  /// XGBoost's UBJSON model with these attributes; other tools that know XGBoost can read it.
  Result<std::string> serialize(const std::map<std::string, std::string>& attributes) const;

  struct Loaded;
  /// `bytes` must have been checked for integrity: XGBoost's reader trusts what it reads.
  static Result<Loaded> deserialize(std::string_view bytes);

 private:
  struct State;
  explicit Booster(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

struct Booster::Loaded {
  Booster booster;
  std::vector<std::string> feature_names;
  std::map<std::string, std::string> attributes;
};

/// "1.7.4", as the library itself says.
std::string xgboost_version();

}  // namespace convopt
