// Where the parameters of a network come from.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "convopt/error.hpp"
#include "convopt/network.hpp"
#include "convopt/primitive.hpp"

namespace convopt {

/// Parameters of one operator, in vectors of their own or lent by somebody who keeps them until
/// they are packed.
struct Weights {
  std::vector<float> weights;                      ///< [oc][ic / groups][kh][kw]
  std::vector<float> bias;                         ///< [oc], or empty for zeros
  std::span<const float> lent_weights, lent_bias;  ///< instead of the vectors

  std::span<const float> all_weights() const {
    return lent_weights.empty() ? std::span(weights) : lent_weights;
  }
  std::span<const float> all_bias() const {
    return lent_weights.empty() ? std::span(bias) : lent_bias;
  }
  Parameters parameters() const { return {all_weights(), all_bias()}; }
};

/// Asked once per operator with weights when a network is prepared, and again by a verification.
class WeightSource {
 public:
  virtual ~WeightSource() = default;
  virtual Result<Weights> weights(const Operator& op) const = 0;
};

/// The caller's arrays, by the operators' names. They are lent: nothing is copied before it is
/// packed, so they must live until the session is made.
class GivenWeights final : public WeightSource {
 public:
  /// Replaces what was given for that operator before. No bias means zeros.
  void give(std::string operator_name, std::span<const float> weights,
            std::span<const float> bias = {});
  Result<Weights> weights(const Operator& op) const override;

 private:
  struct Arrays {
    std::span<const float> weights, bias;
  };
  std::unordered_map<std::string, Arrays> given_;
};

/// Seeded random weights for networks that come without: zero mean, of He's variance, so that
/// activations keep their size through the depth, and small biases. The values depend on the seed
/// and the name of the operator only, not on the machine or the plan.
std::unique_ptr<WeightSource> random_weights(const Network& network, std::uint64_t seed);

/// What the network's file brought along (ONNX), and random weights for operators without. The
/// network's operators must live as long as what this source lends.
std::unique_ptr<WeightSource> network_weights(const Network& network, std::uint64_t seed);

}  // namespace convopt
