// Which cost counts: measured, cut short, failed, predicted, out of date.
#include "src/select/costs.h"

#include <gtest/gtest.h>

#include "tests/select/fakes.h"

namespace convopt {
namespace {

using testing::FakeCosts;

class Costs : public ::testing::Test {
 protected:
  Costs() {
    platform.machine.vendor = "AuthenticAMD";
    platform.machine.name = "AMD Test 1";
    platform.isa = Isa::avx2;
    platform.threads = 2;
    workload = Workload::pointwise(Op::convert, {1, 16, 8, 8});
    info.name = "p";
    info.family = "lib";
    info.op = Op::convert;
    info.revision = "3";
    header.run = "r";
    header.platform = platform;
    header.libraries = {{"lib", "1.0"}};
    header.primitives = {info};
    record.run = "r";
    record.workload = workload;
    record.primitive = "p";
    record.revision = "3";
    record.isa = Isa::avx2;
    record.threads = 2;
    record.median_ns = 500;
    record.mad_ns = 10;
  }

  Cost measured() const {
    const Profile profile{{header}, records.empty() ? std::vector{record} : records};
    const MeasuredCosts costs(profile, platform, TimingMode::warm, {{"lib", "1.0"}});
    return ask(costs);
  }
  Cost ask(const CostSource& source) const {
    const Query query{&workload, &info};
    return source.costs({&query, 1}).value()[0];
  }

  Platform platform;
  Workload workload;
  PrimitiveInfo info;
  RunHeader header;
  Measurement record;
  std::vector<Measurement> records;
};

TEST_F(Costs, Measured) {
  const Cost cost = measured();
  EXPECT_EQ(cost.source, Cost::Source::measured);
  EXPECT_EQ(cost.estimate.ns, 500);
  EXPECT_LT(cost.estimate.low_ns, 490);
  EXPECT_GT(cost.estimate.high_ns, 510);
}

TEST_F(Costs, EveryPartOfTheKeyCounts) {
  const auto unknown_when = [&](auto& field, auto value) {
    const auto kept = field;
    field = value;
    const bool unknown = measured().source == Cost::Source::unknown;
    field = kept;
    return unknown;
  };
  EXPECT_TRUE(unknown_when(record.primitive, "q"));
  EXPECT_TRUE(unknown_when(record.revision, "2"));
  EXPECT_TRUE(unknown_when(record.isa, Isa::avx512));
  EXPECT_TRUE(unknown_when(record.threads, 1));
  EXPECT_TRUE(unknown_when(record.run, "another"));
  EXPECT_TRUE(unknown_when(record.workload, Workload::pointwise(Op::convert, {1, 16, 8, 9})));
  EXPECT_TRUE(unknown_when(header.platform.machine.name, "AMD Test 2"));
  EXPECT_TRUE(unknown_when(header.timing_mode, TimingMode::cold_weights));
  EXPECT_TRUE(unknown_when(header.libraries["lib"], "1.1"));
  EXPECT_FALSE(unknown_when(header.seed, 77U));
  EXPECT_EQ(measured().source, Cost::Source::measured);
}

TEST_F(Costs, FailuresExclude) {
  for (const auto status :
       {MeasurementStatus::failed, MeasurementStatus::crashed, MeasurementStatus::timeout}) {
    record.status = status;
    record.reason = "for this reason";
    const Cost cost = measured();
    EXPECT_EQ(cost.source, Cost::Source::excluded);
    EXPECT_FALSE(cost.usable());
    EXPECT_NE(cost.reason.find("for this reason"), std::string::npos);
  }
}

TEST_F(Costs, ATimeIsReplacedByALaterTimeOnly) {
  Measurement later = record, failed = record;
  later.median_ns = 600;
  failed.status = MeasurementStatus::timeout;
  records = {record, later, failed};
  EXPECT_EQ(measured().estimate.ns, 600);
  records = {failed, record};
  EXPECT_EQ(measured().estimate.ns, 500);
}

TEST_F(Costs, MeasuredBeatsPredicted) {
  const FakeCosts predicted([](const Workload&, const PrimitiveInfo&) { return 100.0; });
  const auto combined = [&] {
    const Profile profile{{header}, {record}};
    const MeasuredCosts seen(profile, platform, TimingMode::warm, {});
    return ask(MeasuredOrPredicted(seen, predicted));
  };
  EXPECT_EQ(combined().source, Cost::Source::measured);
  EXPECT_EQ(combined().estimate.ns, 500);
  record.revision = "old";
  EXPECT_EQ(combined().source, Cost::Source::predicted);
  EXPECT_EQ(combined().estimate.ns, 100);
  record.revision = "3";
  record.status = MeasurementStatus::crashed;
  EXPECT_EQ(combined().source, Cost::Source::excluded);
  // Cut short at 500: not the 100 that the model hopes for.
  record.status = MeasurementStatus::censored;
  EXPECT_EQ(combined().source, Cost::Source::bound);
  EXPECT_EQ(combined().estimate.ns, 500);
  record.median_ns = 95;
  EXPECT_EQ(combined().source, Cost::Source::predicted);
  EXPECT_EQ(combined().estimate.ns, 100);
  EXPECT_EQ(combined().estimate.low_ns, 95);
}

TEST_F(Costs, OnlyWhereAnotherSourceKnows) {
  const FakeCosts predicted([](const Workload&, const PrimitiveInfo&) { return 100.0; });
  const auto combined = [&] {
    const Profile profile{{header}, {record}};
    const MeasuredCosts seen(profile, platform, TimingMode::warm, {});
    return ask(CostsWhereKnown(predicted, seen));
  };
  EXPECT_EQ(combined().estimate.ns, 100);
  record.status = MeasurementStatus::failed;
  EXPECT_FALSE(combined().usable());
}

}  // namespace
}  // namespace convopt
