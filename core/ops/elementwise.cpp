// Element-wise operations.
#include "core/ops/fields.h"

namespace convopt::ops {
namespace {

std::vector<int> sizes_of(const TensorShape& shape) {
  return {shape.sizes().begin(), shape.sizes().end()};
}

/// The sizes of a second source that is repeated; none where the two are of one shape. Read after
/// those of the first.
constexpr OpField kSecond = {
    "by", Form::sizes,
    [](const Workload& w) { return w.repeats() ? sizes_of(w.second) : std::vector<int>{}; },
    [](Workload& w, std::span<const int> values) {
      if (std::ssize(values) > kMaxRank) return false;
      w.second = values.empty() ? w.first : TensorShape(values);
      return true;
    }};
constexpr OpField kBinaryImage[] = {kImages, kChannels, kRows, kColumns, kSecond};
constexpr OpField kBinaryPlain[] = {kSizes, kSecond};

/// Every size is the first source's or 1.
bool repeatable(const Workload& w) {
  if (w.second.rank() != w.first.rank()) return false;
  for (int d = 0; d < w.first.rank(); ++d) {
    if (w.second[d] != 1 && w.second[d] != w.first[d]) return false;
  }
  return true;
}

constexpr OpDescriptor unary(std::string_view name) {
  return {.name = name,
          .image_fields = kImageFields,
          .plain_fields = kPlainFields,
          .json_fields = {},
          .constants = {},
          .json_name = {},
          .json_mode = {},
          .output = same_shape,
          .valid = always,
          .reduction_length = fixed<1>,
          .arithmetic = fixed<1>};
}

constexpr OpDescriptor binary(std::string_view name) {
  OpDescriptor result = unary(name);
  result.image_fields = kBinaryImage;
  result.plain_fields = kBinaryPlain;
  result.sources = 2;
  result.valid = repeatable;
  return result;
}

constexpr OpDescriptor plain(std::string_view name, int sources) {
  OpDescriptor result = unary(name);
  result.image_fields = {};
  result.sources = sources;
  return result;
}

}  // namespace

constinit const OpDescriptor kConvert = unary("convert");
constinit const OpDescriptor kActivation = unary("activation");
constinit const OpDescriptor kAdd = binary("add");
constinit const OpDescriptor kMultiply = binary("multiply");
constinit const OpDescriptor kSubtract = binary("subtract");
constinit const OpDescriptor kDivide = binary("divide");
constinit const OpDescriptor kMaximum = binary("maximum");
constinit const OpDescriptor kMinimum = binary("minimum");
constinit const OpDescriptor kPower = binary("power");
constinit const OpDescriptor kModulo = binary("modulo");
constinit const OpDescriptor kRemainder = binary("remainder");
constinit const OpDescriptor kEqual = binary("equal");
constinit const OpDescriptor kLess = binary("less");
constinit const OpDescriptor kLessOrEqual = binary("less_or_equal");
constinit const OpDescriptor kPrelu = binary("prelu");
constinit const OpDescriptor kSelect = plain("select", 3);

}  // namespace convopt::ops
