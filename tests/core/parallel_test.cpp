#include "core/parallel.h"

#include <gtest/gtest.h>

#include <stdexcept>
#include <vector>

namespace convopt {
namespace {

TEST(Parallel, CallsEveryPartOnce) {
  for (const std::size_t count : {0, 1, 2, 3, 100}) {
    std::vector<int> calls(count);
    in_parallel(count, [&](std::size_t i) { ++calls[i]; });
    EXPECT_EQ(calls, std::vector<int>(count, 1));
  }
}

TEST(Parallel, ThrowsWhatAPartThrows) {
  EXPECT_THROW(in_parallel(4,
                           [](std::size_t i) {
                             if (i == 2) throw std::runtime_error("part 2");
                           }),
               std::runtime_error);
}

}  // namespace
}  // namespace convopt
