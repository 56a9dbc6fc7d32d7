#include "profiler/sampler.h"

#include <gtest/gtest.h>

#include <map>
#include <set>
#include <string>

#include "core/files.h"
#include "core/ops/descriptor.h"

namespace convopt {
namespace {

TEST(Sampler, FirstSamplesDoNotDependOnTheCount) {
  const auto few = sample_workloads(50, 11);
  const auto many = sample_workloads(400, 11);
  ASSERT_EQ(few.size(), 50U);
  for (std::size_t i = 0; i < few.size(); ++i) EXPECT_EQ(few[i].text(), many[i].text());
}

TEST(Sampler, SameOnEveryMachine) {
  std::string all;
  // New operations are drawn after these.
  for (const Workload& workload : sample_workloads(240, 1)) all += workload.text() + "\n";
  // Changes whenever the space is changed on purpose; must not differ between machines.
  EXPECT_EQ(hex16(hash64(all)), "a2e1fdb93d599b89");
}

TEST(Sampler, SeedsDiffer) {
  EXPECT_NE(sample_workloads(3, 1)[0].text(), sample_workloads(3, 2)[0].text());
}

TEST(Sampler, NoDuplicatesAllValidAllWithinLimits) {
  const SampleLimits limits;
  std::set<std::string> seen;
  for (const Workload& workload : sample_workloads(3000, 5)) {
    EXPECT_TRUE(seen.insert(workload.text()).second) << workload.text();
    ASSERT_TRUE(workload.validate().ok()) << workload.text();
    const auto parsed = Workload::parse(workload.text());
    ASSERT_TRUE(parsed.ok()) << workload.text();
    EXPECT_EQ(parsed->text(), workload.text());
    std::int64_t elements = workload.output().elements();
    for (int i = 0; i < workload.source_count(); ++i) elements += workload.source(i).elements();
    elements += workload.weight_elements();
    if (workload.bias_elements() > 0) {
      const double steps = workload.is_recurrent() ? workload.first[0] * workload.first[1] : 1;
      const double flops = workload.is_recurrent()
                               ? 2 * steps * static_cast<double>(workload.weight_elements())
                               : geometry(workload).flops();
      EXPECT_GE(flops, limits.min_flops) << workload.text();
      EXPECT_LE(flops, limits.max_flops) << workload.text();
    }
    EXPECT_LE(static_cast<std::size_t>(elements) * sizeof(float), limits.max_bytes);
  }
}

TEST(Sampler, CoversWhatNetworksContain) {
  std::map<std::string, int> seen;
  for (const Workload& workload : sample_workloads(4500, 9)) {
    ++seen[std::string(to_string(workload.op))];
    if (!workload.is_image()) ++seen[std::string(to_string(workload.op)) + ", any rank"];
    if (workload.op != Op::conv) continue;
    const ConvShape& s = workload.shape;
    ++seen[std::to_string(s.kh) + "x" + std::to_string(s.kw)];
    ++seen["stride" + std::to_string(s.stride_h)];
    if (s.is_depthwise()) ++seen["depthwise"];
    if (s.groups > 1 && !s.is_depthwise()) ++seen["grouped"];
    if (s.ic == 3) ++seen["image"];
    if (s.dilation_h > 1) ++seen["dilated"];
    if (s.pad_top != s.pad_bottom) ++seen["asymmetric"];
    if (s.kh > 1 && s.pad_top + s.pad_bottom == 0) ++seen["valid"];
    if (s.ih != s.iw) ++seen["rectangular"];
    if (s.ih == 1 && s.kw > 31) ++seen["filter bank"];
    if (s.ih == 1 && s.kw > 1 && s.kw <= 31) ++seen["temporal"];
    if (std::max(s.kh, s.kw) >= 5 && std::min(s.kh, s.kw) == 3) ++seen["long"];
    if (s.ic % 8 != 0 && s.ic > 8) ++seen["odd channels"];
    if (workload.epilogue.residual) ++seen["residual"];
  }
  for (const char* kind :
       {"1x1",         "3x3",          "5x5",      "7x7",         "11x11",      "1x7",
        "7x1",         "1x3",          "3x1",      "stride1",     "stride2",    "stride4",
        "depthwise",   "grouped",      "image",    "dilated",     "asymmetric", "valid",
        "rectangular", "odd channels", "residual", "filter bank", "temporal",   "long"}) {
    EXPECT_GE(seen[kind], 3) << kind;
  }
  for (int op = 0; op < kOpCount; ++op) {
    EXPECT_GE(seen[std::string(to_string(static_cast<Op>(op)))], 10)
        << to_string(static_cast<Op>(op));
  }
  for (const char* op : {"activation", "add", "multiply", "subtract", "divide", "transpose",
                         "softmax", "slice", "concat", "convert"}) {
    EXPECT_GE(seen[std::string(op) + ", any rank"], 10) << op;
  }
  EXPECT_EQ(seen["conv"], 3000);
}

TEST(Sampler, OneKindIsTheSameAloneAndInCompany) {
  SampleLimits only;
  only.ops = {Op::conv};
  const auto alone = sample_workloads(20, 4, only);
  std::vector<std::string> in_company;
  for (const Workload& workload : sample_workloads(40, 4)) {
    if (workload.op == Op::conv) in_company.push_back(workload.text());
  }
  for (std::size_t i = 0; i < alone.size(); ++i) EXPECT_EQ(alone[i].text(), in_company[i]);
}

TEST(Sampler, EndsWhereTheSpaceIsEmpty) {
  SampleLimits impossible;
  impossible.max_bytes = 4;
  EXPECT_TRUE(sample_workloads(10, 1, impossible).empty());
}

}  // namespace
}  // namespace convopt
