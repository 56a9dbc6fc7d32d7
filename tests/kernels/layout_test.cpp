// Conversions move values without changing a bit of them.
#include <gtest/gtest.h>

#include <cstring>
#include <map>
#include <vector>

#include "primitives/own.h"
#include "primitives/reference/reference.h"

namespace convopt {
namespace {

using Buffer = std::vector<float>;

Buffer buffer(const TensorShape& shape, Layout layout) {
  return Buffer(static_cast<std::size_t>(padded_elements(shape, layout)));
}

class Conversions : public testing::TestWithParam<Isa> {
 protected:
  void SetUp() override {
    for (auto& primitive : own_primitives(context_)) {
      const PrimitiveInfo& info = primitive->info();
      // Those that change the type are in types_test.cpp.
      if (info.op != Op::convert || info.plain || info.input_type != DataType::f32 ||
          info.output_type != DataType::f32) {
        continue;
      }
      const auto pair = std::pair(info.input_layout, info.output_layout);
      EXPECT_TRUE(by_layouts_.emplace(pair, std::move(primitive)).second);
    }
  }

  void convert(const Buffer& from, Layout from_layout, Buffer& to, Layout to_layout,
               const TensorShape& shape) const {
    const Primitive& primitive = *by_layouts_.at({from_layout, to_layout});
    auto kernel = primitive.prepare(Workload::pointwise(Op::convert, shape), {}, context_);
    ASSERT_TRUE(kernel.ok());
    const TensorView source =
        TensorView::dense(const_cast<float*>(from.data()), shape, from_layout);
    RunArgs args;
    args.sources = {&source, 1};
    args.destination = TensorView::dense(to.data(), shape, to_layout);
    (*kernel)->run(args);
  }

  Context context_{GetParam(), 2};
  std::map<std::pair<Layout, Layout>, std::unique_ptr<Primitive>> by_layouts_;
};

TEST_P(Conversions, ExistForEveryPair) {
  for (const Layout from : kLayouts) {
    for (const Layout to : kLayouts) {
      EXPECT_EQ(by_layouts_.contains({from, to}), from != to)
          << to_string(from) << " to " << to_string(to);
    }
  }
}

TEST_P(Conversions, ThereAndBackIsTheIdentity) {
  const std::vector<TensorShape> shapes = {{1, 1, 1, 1},
                                           {1, 16, 16, 16},
                                           {2, 17, 3, 5},
                                           {1, 24, 7, 7},
                                           {3, 3, 4, 19},
                                           {1, 40, 1, 33},
                                           // Lists of boxes.
                                           {1, 2, 300, 1},
                                           {1, 3, 301, 1},
                                           {150, 2, 1, 1},
                                           {1, 300, 2, 1},
                                           {1, 299, 3, 1},
                                           {1, 33, 500, 1}};
  for (const TensorShape& shape : shapes) {
    for (const Layout from : kLayouts) {
      Buffer original = buffer(shape, from);
      reference::fill_random(TensorView::dense(original.data(), shape, from), 7);
      for (const Layout to : kLayouts) {
        if (from == to) continue;
        Buffer converted = buffer(shape, to);
        Buffer expected = buffer(shape, to);
        reference::fill_random(TensorView::dense(expected.data(), shape, to), 7);
        Buffer back = buffer(shape, from);
        convert(original, from, converted, to, shape);
        convert(converted, to, back, from, shape);
        EXPECT_EQ(converted, expected) << to_string(from) << " to " << to_string(to);
        EXPECT_EQ(back, original) << to_string(to) << " to " << to_string(from);
      }
    }
  }
}

TEST_P(Conversions, KeepEveryBit) {
  const TensorShape shape{1, 32, 5, 9};
  Buffer original = buffer(shape, Layout::nchw);
  for (std::size_t i = 0; i < original.size(); ++i) {
    // Infinities, NaNs, negative zeros and subnormal numbers among them.
    const auto bits = static_cast<std::uint32_t>(i * 0x9E3779B9U);
    std::memcpy(&original[i], &bits, sizeof bits);
  }
  for (const Layout to : kLayouts) {
    if (to == Layout::nchw) continue;
    Buffer converted = buffer(shape, to);
    Buffer back = buffer(shape, Layout::nchw);
    convert(original, Layout::nchw, converted, to, shape);
    convert(converted, to, back, Layout::nchw, shape);
    EXPECT_EQ(std::memcmp(back.data(), original.data(), original.size() * sizeof(float)), 0)
        << to_string(to);
  }
}

INSTANTIATE_TEST_SUITE_P(Isa, Conversions, testing::ValuesIn(supported_isas()),
                         [](const auto& test) { return std::string(to_string(test.param)); });

}  // namespace
}  // namespace convopt
