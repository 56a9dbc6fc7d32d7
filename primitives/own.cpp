#include "primitives/own.h"

#include <cmath>
#include <utility>

namespace convopt {

#define CONVOPT_PRIMITIVE(name, family, op, input, output, factory, ...) \
  namespace family {                                                     \
  Factory factory;                                                       \
  }
#include "primitives/primitives.inc"

namespace {

/// A line of the list. It is a table because as many calls take seconds to compile.
struct Line {
  const char *name, *family;
  Op op;
  Layout input, output;
  Factory* factory;
  std::initializer_list<int> variant;
};

}  // namespace

std::vector<std::unique_ptr<Primitive>> own_primitives(const Context& context) {
  static constexpr Line kLines[] = {
#define CONVOPT_PRIMITIVE(name, family, op, input, output, factory, ...) \
  {#name, #family, Op::op, Layout::input, Layout::output, &family::factory, {__VA_ARGS__}},
#include "primitives/primitives.inc"
  };
  std::vector<std::unique_ptr<Primitive>> list;
  for (const Line& line : kLines) {
    PrimitiveInfo info{line.name, line.family, {}, line.op, line.input, line.output, {}, {}};
    info.traits.cost = line.family;
    list.push_back(line.factory(std::move(info), context, line.variant));
  }
  return list;
}

namespace {

/// Values that are added up for one result.
double reduction_length(const Workload& workload) {
  const ConvShape& shape = workload.shape;
  switch (workload.op) {
    case Op::conv:
      return double{1} * shape.ic / shape.groups * shape.kh * shape.kw;
    case Op::fully_connected:
    case Op::softmax:
      return shape.ic;
    case Op::avg_pool_include:
    case Op::avg_pool_exclude:
      return double{1} * shape.kh * shape.kw;
    case Op::lrn:
      return shape.kh;
    case Op::layer_norm:
      return shape.ic;
    case Op::upsample_bilinear:
    case Op::upsample_corners:
      return 4;
    case Op::convert:
    case Op::max_pool:
    case Op::activation:
    case Op::add:
    case Op::concat:
    case Op::upsample_nearest:
    case Op::multiply:
    case Op::subtract:
    case Op::divide:
    case Op::slice:
    case Op::shuffle:
    case Op::pad:
    case Op::depth_to_space:
    case Op::transpose:
      break;
  }
  return 1;
}

}  // namespace

double error_bound(const Workload& workload, const Traits& traits) {
  constexpr double kUnitRoundoff = 0x1p-24;
  // Direct convolution of U(-1, 1) data with He-scaled weights has an RMS error of 0.29 u sqrt(K)
  // for K = 576 and K = 4608; ten times that.
  constexpr double kPerRootOfLength = 3;
  // Bias, residual, activation and rounding of the stored value: a few roundings each, not averaged
  // out in short reductions.
  constexpr double kConstantPart = 16;
  const double accumulated = kPerRootOfLength * std::sqrt(reduction_length(workload));
  return kUnitRoundoff * traits.error_amplification * (accumulated + kConstantPart);
}

}  // namespace convopt
