#include "convopt/tensor.hpp"

#include <gtest/gtest.h>

#include <set>
#include <vector>

namespace convopt {
namespace {

TEST(TensorView, EveryElementHasAPlaceOfItsOwn) {
  const TensorShape shape{2, 19, 3, 5};
  for (const Layout layout : kLayouts) {
    std::vector<float> data(static_cast<std::size_t>(padded_elements(shape, layout)));
    const auto view = TensorView::dense(data.data(), shape, layout);
    EXPECT_TRUE(view.is_dense());
    std::set<std::int64_t> places;
    for (int n = 0; n < shape.n(); ++n) {
      for (int c = 0; c < shape.c(); ++c) {
        for (int h = 0; h < shape.h(); ++h) {
          for (int w = 0; w < shape.w(); ++w) places.insert(view.offset(n, c, h, w));
        }
      }
    }
    EXPECT_EQ(static_cast<std::int64_t>(places.size()), shape.elements()) << to_string(layout);
    EXPECT_GE(*places.begin(), 0);
    EXPECT_LT(*places.rbegin(), static_cast<std::int64_t>(data.size()));
  }
}

TEST(TensorView, AChannelRangeIsAViewOfTheSameElements) {
  const TensorShape shape{2, 48, 3, 5};
  for (const Layout layout : kLayouts) {
    std::vector<float> data(static_cast<std::size_t>(padded_elements(shape, layout)));
    const auto whole = TensorView::dense(data.data(), shape, layout);
    const auto part = whole.channels(16, 32);
    EXPECT_FALSE(part.is_dense()) << to_string(layout);
    EXPECT_EQ(&part.at(1, 5, 2, 4), &whole.at(1, 21, 2, 4)) << to_string(layout);
  }
}

TEST(TensorView, OfAnyRankIsRowMajor) {
  const TensorShape shape{3, 1, 5, 2, 7};
  std::vector<std::int8_t> data(static_cast<std::size_t>(shape.elements()));
  const auto view = TensorView::dense(data.data(), DataType::s8, shape, Layout::nchw);
  EXPECT_EQ(shape.rank(), 5);
  EXPECT_EQ(view.strides, (std::array<std::int64_t, kMaxRank>{70, 70, 14, 7, 1}));
  EXPECT_TRUE(view.is_dense());
  auto gaps = view;
  gaps.strides[1] = 1;  // of a single element, no stride is ever used
  EXPECT_TRUE(gaps.is_dense());
  gaps.strides[2] = 28;
  EXPECT_FALSE(gaps.is_dense());
  EXPECT_EQ(view.at_offset(70).as<std::int8_t>(), data.data() + 70);
}

TEST(TensorShape, OfRankZeroIsOneElement) {
  EXPECT_EQ(TensorShape().elements(), 1);
  EXPECT_EQ((TensorShape{2, 0}).elements(), 0);
  EXPECT_NE((TensorShape{2, 1}), TensorShape{2});
}

TEST(DataType, NamesSurviveParsing) {
  for (const DataType type : kDataTypes) EXPECT_EQ(parse_data_type(to_string(type)), type);
  EXPECT_EQ(to_string(DataType::boolean), "bool");
  EXPECT_FALSE(parse_data_type("float"));
  EXPECT_EQ(element_bytes(DataType::bf16), 2U);
  EXPECT_EQ(element_bytes(DataType::s64), 8U);
}

TEST(Layout, NamesSurviveParsing) {
  for (const Layout layout : kLayouts) EXPECT_EQ(parse_layout(to_string(layout)), layout);
  EXPECT_FALSE(parse_layout("NCHW"));
}

}  // namespace
}  // namespace convopt
