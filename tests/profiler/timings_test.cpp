#include <gtest/gtest.h>

#include "profiler/timings.h"

namespace convopt {
namespace {

constexpr const char* kHeader = "kernel,mr,nr,m,k,n,seconds\n";

TEST(ImportTimings, AProductIsAConvolutionAndAKernelAPrimitiveWithATile) {
  const auto imported = import_timings(
      std::string(kHeader) + "fma_16x6,16,6,96,32,50,2e-5\nfma_16x6,16,6,96,32,50,4e-5\n", "t");
  ASSERT_TRUE(imported.ok()) << imported.error().message;
  EXPECT_TRUE(imported->warnings.empty());
  const Profile& profile = imported->profile;
  ASSERT_EQ(profile.runs.size(), 1U);
  ASSERT_EQ(profile.runs[0].primitives.size(), 1U);
  EXPECT_EQ(profile.runs[0].primitives[0].traits.tile_oc, 16);
  EXPECT_EQ(profile.runs[0].primitives[0].traits.tile_pixels, 6);
  EXPECT_EQ(profile.runs[0].platform.isa, Isa::avx2);
  ASSERT_EQ(profile.measurements.size(), 1U);
  const Measurement& m = profile.measurements[0];
  EXPECT_EQ(m.workload.text(), "conv:n1_ic32_ih1_iw50_oc96_kh1_kw1_s1_p0");
  EXPECT_EQ(m.samples_ns.size(), 2U);
  EXPECT_NEAR(m.median_ns, 3e4, 1e-6);
}

TEST(ImportTimings, ColumnsAreFoundByName) {
  const auto imported = import_timings(
      "\xef\xbb\xbfseconds,n,k,m,host,nr,mr,kernel\r\n1e-5,4,5,6,x,2,8,\"a\"\r\n", "t");
  ASSERT_TRUE(imported.ok()) << imported.error().message;
  const Workload& w = imported->profile.measurements.at(0).workload;
  EXPECT_EQ(w.shape.oc, 6);
  EXPECT_EQ(w.shape.ic, 5);
  EXPECT_EQ(w.shape.iw, 4);
}

TEST(ImportTimings, BadRowsAreLeftOutWithTheirNumberAndWhy) {
  const auto imported = import_timings(std::string(kHeader) +
                                           "a,8,8,64,64,64,1e-5\n"
                                           "a,8,8,64,6x,64,1e-5\n"
                                           "a,8,9,64,64,60,1e-5\n"
                                           "a,8,8,64,64\n"
                                           "a,8,8,64,64,60,nan\n"
                                           "a,8,8,64,64,60,-1\n"
                                           ",8,8,64,64,60,1e-5\n"
                                           "a,8,8,0,64,60,1e-5\n",
                                       "t.csv");
  ASSERT_TRUE(imported.ok()) << imported.error().message;
  EXPECT_EQ(imported->profile.measurements.size(), 1U);
  ASSERT_EQ(imported->warnings.size(), 7U);
  for (std::size_t i = 0; i < 7; ++i) {
    EXPECT_NE(imported->warnings[i].find("t.csv: line " + std::to_string(i + 3)), std::string::npos)
        << imported->warnings[i];
  }
}

TEST(ImportTimings, ATableOfAnotherKindIsRefused) {
  for (const std::string& table :
       {std::string(), std::string("# nothing\n"), std::string("kernel,m,k,n,seconds\na,1,1,1,1\n"),
        std::string(kHeader), std::string(kHeader) + "a,8,8\n"}) {
    const auto imported = import_timings(table, "t.csv");
    ASSERT_FALSE(imported.ok());
    EXPECT_EQ(imported.error().code, ErrorCode::bad_input);
    EXPECT_NE(imported.error().message.find("t.csv"), std::string::npos);
  }
}

}  // namespace
}  // namespace convopt
