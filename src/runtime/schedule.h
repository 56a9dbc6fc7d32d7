// A plan bound to its network: which primitive runs when, on which tensors, and which of them share
// memory. Nothing is packed or allocated here.
#pragma once

#include <string>
#include <vector>

#include "convopt/error.hpp"
#include "convopt/network.hpp"
#include "convopt/plan.hpp"
#include "convopt/primitive.hpp"
#include "src/runtime/arena.h"

namespace convopt {

inline constexpr int kNone = -1;

/// A tensor of the network in one of the formats in which the plan wants it.
struct Value {
  TensorId tensor = 0;
  TensorFormat format;
  int storage = kNone;
  int part_of = kNone;    ///< value of which it is a range of channels: a concatenation in place
  int first_channel = 0;  ///< of that range
  float scale = 1;        ///< of a quantised tensor: what a step of its numbers stands for
  int zero_point = 0;     ///< of a quantised tensor: the number that stands for zero

  bool same_steps(const Value& other) const {
    return scale == other.scale && zero_point == other.zero_point;
  }
};

/// Memory for one value, and for those that take its place: reshapes, sums written over the
/// residual that dies in them, and the parts of a concatenation in place. It is the caller's where
/// `input` or `output` says so.
struct Storage {
  Lifetime life;
  int input = kNone;     ///< index into Network::inputs
  int output = kNone;    ///< index into Network::outputs
  int constant = kNone;  ///< operator of the network whose values it holds from the beginning
};

struct ScheduleStep {
  std::string name;  ///< of the operator, or of the tensor that is converted
  const Primitive* primitive = nullptr;
  Workload workload;           ///< epilogue included
  std::vector<int> operators;  ///< of the network, first the main one; empty for a conversion
  std::vector<int> sources;    ///< values
  int residual = kNone;
  int destination = kNone;
  /// The primitive overwrites its residual, which somebody else still needs.
  bool copies_residual = false;
  double predicted_us = 0;
  /// An earlier step that does the same with the same weights, as those of a recurrent layer do:
  /// one kernel serves both.
  int kernel_of = kNone;

  bool is_conversion() const { return operators.empty(); }
  /// Of the operators, the one that the kernel's weights belong to, if it has any: the main one, or
  /// the convolution that reads it scaled.
  int weighted_operator() const { return operators[workload.scaled ? 1 : 0]; }
};

/// An output of the network that cannot be written in place: a reshaped input, or a second name for
/// another output.
struct OutputCopy {
  int storage = kNone;
  int output = kNone;
};

struct Schedule {
  std::vector<ScheduleStep> steps;
  std::vector<Value> values;
  std::vector<Storage> storages;
  std::vector<OutputCopy> output_copies;
};

/// Fails if the plan does not compute every operator of the network exactly once, from tensors that
/// exist by then in the formats it names, with primitives that exist here.
Result<Schedule> make_schedule(const Network& network, const Plan& plan, const Registry& registry);

/// What a step's tensors of whole numbers stand for; the scale of those whose numbers it only moves
/// is nothing to a kernel.
Quantisation scales_of(const Schedule& schedule, const ScheduleStep& step);

}  // namespace convopt
