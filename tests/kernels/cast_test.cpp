// Conversions of numbers between types, as functions and as primitives.
#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

#include "core/conversion.h"
#include "primitives/flush_denormals.h"
#include "primitives/own.h"
#include "tests/kernels/special_values.h"

namespace convopt {
namespace {

template <class T>
std::vector<T> converted(const std::vector<float>& values, DataType type) {
  std::vector<T> result(values.size());
  from_floats(values.data(), std::ssize(values), type, result.data());
  return result;
}

template <class T>
std::vector<float> floats(const std::vector<T>& values, DataType type) {
  std::vector<float> result(values.size());
  to_floats(values.data(), type, std::ssize(values), result.data());
  return result;
}

TEST(Conversion, EveryHalfSurvivesTheWayThroughFloats) {
  std::vector<std::uint16_t> halves;
  for (int bits = 0; bits < 1 << 16; ++bits) halves.push_back(static_cast<std::uint16_t>(bits));
  const std::vector<float> values = floats(halves, DataType::f16);
  const auto back = converted<std::uint16_t>(values, DataType::f16);
  for (std::size_t i = 0; i < halves.size(); ++i) {
    if (std::isnan(values[i])) {
      EXPECT_GT(back[i] & 0x7FFF, 0x7C00) << i;
    } else {
      ASSERT_EQ(back[i], halves[i]);
    }
  }
}

TEST(Conversion, RoundsHalvesToTheNearestAndToEven) {
  // Between 1 and the next half lie 2^-10; half of that is a tie.
  const auto bits = converted<std::uint16_t>(
      {1 + 0x1p-11F, 1 + 0x3p-11F, 1 + 0x1.1p-11F, 65519, 65520, 0x1p-25F, 0x1.8p-25F, -0x1p-24F},
      DataType::f16);
  EXPECT_EQ(bits,
            (std::vector<std::uint16_t>{0x3C00, 0x3C02, 0x3C01, 0x7BFF, 0x7C00, 0, 1, 0x8001}));
}

TEST(Conversion, RoundsFloatsOfEverySizeToTheNearestHalf) {
  // Halves above 2^-14 have 10 places behind the leading one, smaller ones end at 2^-24. Quarters
  // of a place are on, between and beside ties.
  for (int exponent = -28; exponent < 18; ++exponent) {
    const int place = std::max(exponent, -14) - 10;
    for (int quarters = 0; quarters < 1 << 12; ++quarters) {
      const double value = std::ldexp((1 << 12) + quarters, exponent - 12);
      const double nearest = std::ldexp(std::nearbyint(std::ldexp(value, -place)), place);
      const double expected = nearest > 65504 ? kInfinity : nearest;
      ASSERT_EQ(rounded(static_cast<float>(value), DataType::f16), expected) << value;
      ASSERT_EQ(rounded(static_cast<float>(-value), DataType::f16), -expected) << -value;
    }
  }
}

TEST(Conversion, KeepsDenormalHalvesWhereDenormalFloatsAreZero) {
  const FlushDenormals flush(1);
  std::vector<float> values;
  for (int i = -1023; i < 1024; ++i) values.push_back(static_cast<float>(i) * 0x1p-24F);
  const auto halves = converted<std::uint16_t>(values, DataType::f16);
  EXPECT_EQ(halves.back(), 1023);
  EXPECT_EQ(floats(halves, DataType::f16), values);
}

TEST(Conversion, RoundsBfloatsToTheNearestAndToEven) {
  const auto bits =
      converted<std::uint16_t>({1, 1 + 0x1p-8F, 1 + 0x3p-8F, -2, kInfinity}, DataType::bf16);
  EXPECT_EQ(bits, (std::vector<std::uint16_t>{0x3F80, 0x3F80, 0x3F82, 0xC000, 0x7F80}));
  EXPECT_TRUE(
      std::isnan(floats(converted<std::uint16_t>({kNaN}, DataType::bf16), DataType::bf16)[0]));
}

TEST(Conversion, CutsWholeNumbersAtTheirLimits) {
  const std::vector<float> values = {-1.9F, 2.9F, 300, -300, kNaN, kInfinity, -kInfinity};
  EXPECT_EQ(converted<std::int8_t>(values, DataType::s8),
            (std::vector<std::int8_t>{-1, 2, 127, -128, 0, 127, -128}));
  EXPECT_EQ(converted<std::uint8_t>(values, DataType::u8),
            (std::vector<std::uint8_t>{0, 2, 255, 0, 0, 255, 0}));
  EXPECT_EQ(converted<std::int16_t>({-40000, 40000, -7}, DataType::s16),
            (std::vector<std::int16_t>{-32768, 32767, -7}));
  EXPECT_EQ(converted<std::uint16_t>({-1, 40000, 70000}, DataType::u16),
            (std::vector<std::uint16_t>{0, 40000, 65535}));
  EXPECT_EQ(converted<std::uint32_t>({-1, 3e9F, 5e9F}, DataType::u32),
            (std::vector<std::uint32_t>{0, 3'000'000'000, 4'294'967'295}));
  EXPECT_EQ(converted<std::uint64_t>({-1, 0x1p63F, 1e30F}, DataType::u64),
            (std::vector<std::uint64_t>{0, std::uint64_t{1} << 63,
                                        std::numeric_limits<std::uint64_t>::max()}));
  constexpr auto kLeast = std::numeric_limits<std::int64_t>::min();
  constexpr auto kMost = std::numeric_limits<std::int64_t>::max();
  EXPECT_EQ(converted<std::int64_t>({kNaN, 1e30F, -1e30F, 16777216}, DataType::s64),
            (std::vector<std::int64_t>{0, kMost, kLeast, 16777216}));
  EXPECT_EQ(converted<std::uint8_t>({0, -0.0F, 0.5F, kNaN}, DataType::boolean),
            (std::vector<std::uint8_t>{0, 0, 1, 1}));
}

TEST(CastPrimitives, ComputeWhatTheFunctionsSay) {
  const Context context{default_isa(), 2};
  int casts = 0;
  for (const auto& primitive : own_primitives(context)) {
    const PrimitiveInfo& info = primitive->info();
    if (info.op != Op::convert || !info.plain || info.input_type == info.output_type) continue;
    SCOPED_TRACE(info.name);
    ++casts;
    // More than one part of the work, and not a whole number of them.
    const TensorShape shape{3, 20001};
    Workload workload = Workload::pointwise(Op::convert, shape);
    workload.input_type = info.input_type;
    workload.output_type = info.output_type;
    ASSERT_TRUE(info.computes(workload));
    std::vector<float> values;
    for (int i = 0; i < shape.elements(); ++i)
      values.push_back(static_cast<float>(i % 200) - 50.5F);
    std::vector<double> source(values.size()), result(values.size()), expected(values.size());
    from_floats(values.data(), std::ssize(values), info.input_type, source.data());
    std::vector<float> middle(values.size());
    to_floats(source.data(), info.input_type, std::ssize(values), middle.data());
    from_floats(middle.data(), std::ssize(values), info.output_type, expected.data());
    auto kernel = primitive->prepare(workload, {}, context);
    ASSERT_TRUE(kernel);
    const std::array sources = {
        TensorView::dense(source.data(), info.input_type, shape, Layout::nchw)};
    (*kernel)->run({sources,
                    TensorView::dense(result.data(), info.output_type, shape, Layout::nchw),
                    {},
                    nullptr});
    EXPECT_EQ(floats(result, info.output_type), floats(expected, info.output_type));
  }
  EXPECT_EQ(casts, 2 * (static_cast<int>(kDataTypes.size()) - 1));
}

}  // namespace
}  // namespace convopt
