// Sources of a network's parameters.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "convopt/error.hpp"
#include "convopt/network.hpp"
#include "convopt/primitive.hpp"

namespace convopt {

/// Floats of one parameter: in memory of their own, or borrowed from an owner that keeps them until
/// they are packed.
class ParameterArray {
 public:
  ParameterArray() = default;
  ParameterArray(std::vector<float> values) : own_(std::move(values)) {}
  static ParameterArray borrowed(std::span<const float> values) {
    ParameterArray array;
    array.borrowed_ = values;
    return array;
  }

  std::span<const float> values() const { return own_.empty() ? borrowed_ : std::span(own_); }

 private:
  std::vector<float> own_;
  std::span<const float> borrowed_;
};

/// Parameters of one operator. Each array says for itself whether it owns its values.
struct Weights {
  ParameterArray weights;  ///< [oc][ic / groups][kh][kw]
  ParameterArray bias;     ///< [oc], or empty for zeros

  Parameters parameters() const { return {weights.values(), bias.values()}; }
};

/// Asked for every operator with weights when a network is prepared, by one thread at a time but in
/// any order, and again by a verification.
class WeightSource {
 public:
  virtual ~WeightSource() = default;
  virtual Result<Weights> weights(const Operator& op) const = 0;
};

/// The caller's arrays, by the operators' names. They are borrowed: nothing is copied before it is
/// packed, so they must live until the session is made.
class GivenWeights final : public WeightSource {
 public:
  /// Replaces the operator's earlier arrays. No bias means zeros.
  void set(std::string operator_name, std::span<const float> weights,
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

/// The weights of the network's file (ONNX), and random ones for operators without. The network's
/// operators must live as long as the arrays that this source returns.
std::unique_ptr<WeightSource> network_weights(const Network& network, std::uint64_t seed);

}  // namespace convopt
