// Where the parameters of a network come from.
#pragma once

#include <cstdint>
#include <unordered_set>
#include <vector>

#include "convopt/error.hpp"
#include "convopt/network.hpp"
#include "convopt/primitive.hpp"

namespace convopt {

struct Weights {
  std::vector<float> weights;  ///< [oc][ic / groups][kh][kw]
  std::vector<float> bias;     ///< [oc], or empty for zeros

  Parameters parameters() const { return {weights.data(), bias.empty() ? nullptr : bias.data()}; }
};

/// Asked once per operator with weights when a network is prepared, and again by a verification.
class WeightSource {
 public:
  virtual ~WeightSource() = default;
  virtual Result<Weights> weights(const Operator& op) const = 0;
};

/// Seeded random weights for networks that come without: zero mean, of He's variance, so that
/// activations keep their size through the depth, and small biases. The values depend on the seed
/// and the name of the operator only, not on the machine or the plan.
class RandomWeights final : public WeightSource {
 public:
  RandomWeights(const Network& network, std::uint64_t seed);
  Result<Weights> weights(const Operator& op) const override;

 private:
  std::uint64_t seed_;
  std::unordered_set<TensorId> summands_;  ///< tensors that are added to others
};

/// What the network's file brought along, and seeded random weights for a network without.
class NetworkWeights final : public WeightSource {
 public:
  NetworkWeights(const Network& network, std::uint64_t seed) : random_(network, seed) {}
  Result<Weights> weights(const Operator& op) const override;

 private:
  RandomWeights random_;
};

}  // namespace convopt
