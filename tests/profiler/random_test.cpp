#include "profiler/random.h"

#include <gtest/gtest.h>

namespace convopt {
namespace {

TEST(Random, OctavesAreEquallyLikely) {
  Random random(3);
  int low = 0;
  constexpr int kDraws = 20000;
  for (int i = 0; i < kDraws; ++i) {
    const int value = random.octave_uniform(1, 255);
    ASSERT_GE(value, 1);
    ASSERT_LE(value, 255);
    if (value < 16) ++low;
  }
  EXPECT_NEAR(low, kDraws / 2, 400);
}

}  // namespace
}  // namespace convopt
