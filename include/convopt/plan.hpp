// A plan: a primitive per convolution, a layout per operator, the conversions between them.
//
// Types of tensors are those of tensors that the network has in f32; all others keep their own,
// whatever a plan says.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <limits>
#include <optional>
#include <string>
#include <vector>

#include "convopt/error.hpp"
#include "convopt/platform.hpp"
#include "convopt/tensor.hpp"

namespace convopt {

struct PlanLayer {
  std::string name;      ///< of the operator; of the convolution where others are fused into it
  std::string op;        ///< `conv` for convolutions, otherwise the name of the operation
  std::string shape;     ///< canonical text of the workload's shape
  std::string workload;  ///< canonical text of the whole workload, epilogue included
  std::string primitive, family;
  std::vector<std::string> fused;  ///< operators computed in this layer's epilogue
  Layout input_layout = Layout::nchw, output_layout = Layout::nchw;
  double predicted_us = 0, low_us = 0, high_us = 0;
  bool measured = false;      ///< the time was measured on this platform, not predicted
  bool extrapolated = false;  ///< the model had seen nothing like it
  DataType input_type = DataType::f32, output_type = DataType::f32;

  TensorFormat input() const { return {input_layout, input_type}; }
  TensorFormat output() const { return {output_layout, output_type}; }
};

struct PlanConversion {
  std::string tensor;
  Layout source_layout = Layout::nchw, target_layout = Layout::nchw;
  std::string primitive;
  double predicted_us = 0;
  DataType source_type = DataType::f32, target_type = DataType::f32;

  TensorFormat source() const { return {source_layout, source_type}; }
  TensorFormat target() const { return {target_layout, target_type}; }
};

/// A concatenation that takes no time: the producers of its parts write straight into their
/// channels of its result. It is no layer.
struct PlanInPlace {
  std::string name;  ///< of the operator
  Layout layout = Layout::nchw;
  DataType type = DataType::f32;

  TensorFormat format() const { return {layout, type}; }
};

/// A tensor that is stored in u8 or s8: value = scale * (stored number - zero point).
struct PlanScale {
  std::string tensor;
  DataType type = DataType::u8;
  float scale = 1;
  int zero_point = 0;  ///< other than 0 only for u8
};

/// Bytes that executing a network holds, without the caller's inputs and outputs.
struct MemoryUse {
  std::size_t packed_weights = 0;
  std::size_t tensors = 0;    ///< activations, which share memory where their lifetimes allow
  std::size_t workspace = 0;  ///< scratch memory of the layer that needs most

  std::size_t total() const { return packed_weights + tensors + workspace; }
};

struct PlanBaselines {
  double library_default_ms = 0;  ///< 0: the baseline is impossible here
  std::string library;            ///< whose default that is, such as `onednn`
  double best_single_primitive_ms = 0;
  std::string best_single_primitive;
  double greedy_ms = 0;
};

/// Measured deviation of the outputs from those of a plan in the network's own types.
struct PlanAccuracy {
  double error = 0;   ///< largest difference over the range of the output's values
  double cosine = 1;  ///< smallest, of the angle between both
  /// What 99 in 100 other inputs of the kind keep, by the spread over at least three inputs; of
  /// fewer the same as above.
  double error_bound = 0, cosine_bound = 1;
  double allowed_error = std::numeric_limits<double>::infinity();  ///< of the bound
  double allowed_cosine = -1;
  std::size_t samples = 0;  ///< inputs that it was measured on
};

struct Plan {
  std::string network, network_hash, model;
  std::uint64_t seed = 0;
  Libraries libraries;
  Platform platform;
  double predicted_ms = 0;  ///< sum over layers and conversions
  PlanBaselines baselines;
  bool optimal = false;  ///< proven with the costs at hand
  double gap = 0;        ///< relative distance to the proven lower bound; 0 if optimal
  std::size_t workspace_bytes = 0, packed_weight_bytes = 0;
  double load_ms = 0, predict_ms = 0, solve_ms = 0, total_ms = 0;
  std::vector<PlanLayer> layers;
  std::vector<PlanConversion> conversions;
  std::vector<PlanInPlace> in_place;
  std::vector<PlanScale> scales;
  std::optional<PlanAccuracy> accuracy;  ///< where it was measured
};

/// JSON as documented in docs/reference/plan-format.md, schema `convopt.plan/1`.
std::string to_json(const Plan& plan);
Result<Plan> parse_plan(std::string_view json, std::string_view file_name);
Result<Plan> load_plan(const std::filesystem::path& path);

}  // namespace convopt
