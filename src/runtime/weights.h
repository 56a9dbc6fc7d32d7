// Weights for networks that come without.
#pragma once

#include <cstdint>
#include <unordered_map>
#include <unordered_set>

#include "convopt/weights.hpp"

namespace convopt {

/// See random_weights().
class RandomWeights final : public WeightSource {
 public:
  RandomWeights(const Network& network, std::uint64_t seed);
  Result<Weights> weights(const Operator& op) const override;

 private:
  std::uint64_t seed_;
  std::unordered_set<TensorId> summands_;  ///< tensors that are added to others
  std::unordered_map<TensorId, std::int64_t> constant_elements_;
};

/// See network_weights().
class NetworkWeights final : public WeightSource {
 public:
  NetworkWeights(const Network& network, std::uint64_t seed) : random_(network, seed) {}
  Result<Weights> weights(const Operator& op) const override;

 private:
  RandomWeights random_;
};

}  // namespace convopt
