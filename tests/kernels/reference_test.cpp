// What the reference itself promises.
#include <gtest/gtest.h>

#include <array>
#include <limits>
#include <vector>

#include "primitives/reference/reference.h"
#include "tests/kernels/special_values.h"

namespace convopt {
namespace {

constexpr float kNone = std::numeric_limits<float>::quiet_NaN();

double error(std::vector<float> result, std::vector<float> expected) {
  const TensorShape shape = {static_cast<int>(result.size())};
  return reference::max_relative_error(TensorView::dense(result.data(), shape, Layout::nchw),
                                       TensorView::dense(expected.data(), shape, Layout::nchw));
}

TEST(MaxRelativeError, IsOfTheLargestExpectedValue) {
  EXPECT_EQ(error({1, 2, 4}, {1, 2, 4}), 0);
  EXPECT_EQ(error({1, 3, 4}, {1, 2, 4}), 0.25);
  EXPECT_EQ(error({0, 1}, {0, 0}), kInfinity);
}

TEST(MaxRelativeError, ValuesThatAreNotFiniteMustBeTheSame) {
  EXPECT_EQ(error({kInfinity, 2, kNone}, {kInfinity, 2, kNone}), 0);
  EXPECT_EQ(error({kInfinity, 2}, {-kInfinity, 2}), kInfinity);
  EXPECT_EQ(error({kNone, 2}, {1, 2}), kInfinity);
  EXPECT_EQ(error({1, 2}, {kNone, 2}), kInfinity);
  EXPECT_EQ(error({3, kInfinity}, {2, kInfinity}), 0.5);
}

TEST(Reference, ReadsAndWritesViewsOfAnyStrides) {
  std::array<float, 12> from = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11};
  TensorView every_second = TensorView::dense(from.data(), {2, 3}, Layout::nchw);
  every_second.strides = {6, 2};
  std::array<float, 6> to{};
  TensorView turned = TensorView::dense(to.data(), {2, 3}, Layout::nchw);
  turned.strides = {1, 2};
  const TensorView sources[] = {every_second};
  reference::run(Workload::pointwise(Op::convert, {2, 3}), {}, {sources, turned, {}, nullptr});
  EXPECT_EQ(to, (std::array<float, 6>{0, 6, 2, 8, 4, 10}));
}

}  // namespace
}  // namespace convopt
