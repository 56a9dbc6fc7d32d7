// Small networks, hand-made plans, and a registry of primitives that are the reference in disguise.
#pragma once

#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "convopt/network.hpp"
#include "convopt/plan.hpp"
#include "convopt/primitive.hpp"
#include "core/primitive_list.h"
#include "src/runtime/executor.h"
#include "src/runtime/weights.h"
#include "tests/support/reference_network.h"

namespace convopt::testing {

inline constexpr std::uint64_t kSeed = 20240607;

/// What is wrong with a fake primitive.
enum class Defect {
  none,
  wrong_value,  ///< one element is off by a thousandth of the largest, in bf16 by a fiftieth
  not_a_number,
  dirty_tail,  ///< the filling of the last channel block is not zero
};

struct FakeOptions {
  bool overwrites_residual = false;
  Defect defect = Defect::none;
};

/// `OP_INPUT_OUTPUT` computes OP from format INPUT to format OUTPUT by the reference, for all ops
/// and layouts in f32, and for the ops of convolutional networks in bf16 and int8, too.
class FakeRegistry final : public PrimitiveList {
 public:
  /// Primitives whose name is in `special` behave as it says.
  explicit FakeRegistry(std::map<std::string, FakeOptions> special = {});
};

/// The operators of a network file, without its frame: one input called `x` of shape `shape`.
Network network_of(const std::string& shape, const std::string& operators,
                   const std::string& outputs = "");

/// Appends layers in the order of the calls, with the names of FakeRegistry's primitives.
class PlanBuilder {
 public:
  explicit PlanBuilder(const Network& network) : network_(network) {}
  PlanBuilder& layer(const std::string& name, TensorFormat input, TensorFormat output,
                     std::vector<std::string> fused = {});
  PlanBuilder& layer(const std::string& name, Layout input, Layout output,
                     std::vector<std::string> fused = {}) {
    return layer(name, TensorFormat{input}, TensorFormat{output}, std::move(fused));
  }
  PlanBuilder& layer(const std::string& name, Layout layout, std::vector<std::string> fused = {}) {
    return layer(name, layout, layout, std::move(fused));
  }
  PlanBuilder& convert(const std::string& tensor, TensorFormat source, TensorFormat target);
  PlanBuilder& convert(const std::string& tensor, Layout source, Layout target) {
    return convert(tensor, TensorFormat{source}, TensorFormat{target});
  }
  PlanBuilder& scale(const std::string& tensor, DataType type, float scale, int zero_point = 0) {
    plan_.scales.push_back({tensor, type, scale, zero_point});
    return *this;
  }
  Plan plan() const { return plan_; }

 private:
  const Network& network_;
  Plan plan_;
};

Tensors random_inputs(const Network& network, std::uint64_t seed = kSeed);
Tensors empty_outputs(const Network& network);
std::vector<std::span<const std::byte>> read_spans(const Tensors& tensors);
std::vector<std::span<std::byte>> write_spans(Tensors& tensors);

/// Executes the plan twice, with outputs full of NaN, and compares with reference_outputs.
void expect_computes(const Network& network, const Plan& plan, const Registry& registry,
                     double bound = 1e-6);

}  // namespace convopt::testing
