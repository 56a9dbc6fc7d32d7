#include "src/tune/offline_replay.h"

#include <unordered_set>
#include <utility>

#include "core/try.h"
#include "profiler/instance.h"
#include "src/select/problem.h"
#include "src/tune/refine.h"

namespace convopt {
namespace {

// Time that measuring takes besides the kernel's own: a child process per round; tensors, a
// reference result and emptied caches per workload; checking and moving data per primitive. With
// these, five seconds of refinement on Zen 5 come to 5.2 (ResNet-50, 353 primitives), 5.3 (VGG-16,
// 60), 4.2 (U-Net, 59) and 6.0 (DarkNet-53, 256).
constexpr double kRoundSeconds = 0.12, kWorkloadSeconds = 0.035, kPrimitiveSeconds = 0.001,
                 kSecondsPerByte = 1e-9;
// Runs of a primitive: the first two, and those of a race.
constexpr double kRunsOfOne = 6;

/// Costs of another source, limited to the pairs that were revealed.
class RevealedCosts final : public CostSource {
 public:
  explicit RevealedCosts(const CostSource& all) : all_(all) {}

  void reveal(TimingKey key) { revealed_.insert(std::move(key)); }

  Result<std::vector<Cost>> costs(std::span<const Query> queries) const override {
    Result<std::vector<Cost>> result = all_.costs(queries);
    if (!result) return result;
    for (std::size_t i = 0; i < queries.size(); ++i) {
      if (revealed_.contains({queries[i].workload->text(), queries[i].primitive->name})) continue;
      result.value()[i] = {Cost::Source::unknown, {}, "not timed yet"};
    }
    return result;
  }

 private:
  const CostSource& all_;
  std::unordered_set<TimingKey> revealed_;
};

}  // namespace

TimingEffort::TimingEffort(const Profile& profile, const Platform& platform, TimingMode mode) {
  std::unordered_set<std::string_view> runs;
  std::unordered_map<std::string_view, const PrimitiveInfo*> primitives;
  for (const RunHeader& header : profile.runs) {
    if (header.platform.id() == platform.id() && header.timing_mode == mode) {
      runs.insert(header.run);
      for (const PrimitiveInfo& info : header.primitives) primitives[info.name] = &info;
    }
  }
  for (const Measurement& m : profile.measurements) {
    if (!runs.contains(m.run) || !(m.median_ns > 0)) continue;
    const auto primitive = primitives.find(m.primitive);
    if (primitive == primitives.end()) continue;
    // A measurement that was cut short consists of two runs.
    const double taken = m.status == MeasurementStatus::ok ? kRunsOfOne : 2;
    const auto bytes = static_cast<double>(m.packed_bytes +
                                           Instance::tensor_bytes(m.workload, *primitive->second));
    seconds_[{m.workload.text(), m.primitive}] =
        (m.prepare_ns + taken * m.median_ns) / 1e9 + kPrimitiveSeconds + kSecondsPerByte * bytes;
  }
}

double TimingEffort::seconds(const TimingKey& key) const {
  const auto found = seconds_.find(key);
  return found == seconds_.end() ? 0 : found->second;
}

Result<Replay> replay_refinement(const Network& network, const Registry& registry,
                                 const CostSource& predicted, const CostSource& measured,
                                 const TimingEffort& effort, double seconds) {
  Replay result;
  RevealedCosts revealed(measured);
  const CostsWhereKnown expected(predicted, measured);
  const MeasuredOrPredicted known(revealed, expected);
  const MeasureContested measure =
      [&](std::span<const Query> contested) -> Result<const CostSource*> {
    if (result.seconds >= seconds) return nullptr;
    result.seconds += kRoundSeconds;
    const Workload* last = nullptr;
    for (const Query& query : contested) {
      if (query.workload != last) {
        if (result.seconds >= seconds) break;
        result.seconds += kWorkloadSeconds;
        last = query.workload;
      }
      TimingKey key{query.workload->text(), query.primitive->name};
      result.seconds += effort.seconds(key);
      revealed.reveal(std::move(key));
    }
    return &known;
  };
  const SelectOptions options;
  CONVOPT_TRY(const Refinement refinement, refine(network, registry, known, options, measure));
  result.timed = refinement.timed;
  result.settled = refinement.settled;
  CONVOPT_TRY(const auto costs, corrected_by_times(network, registry, options.limits.types, known,
                                                   expected, revealed));
  CONVOPT_TRY(const Problem problem, build_problem(network, registry, *costs));
  CONVOPT_TRY(const Solution solution, solve(problem, options.time_limit));
  CONVOPT_TRY(result.ns, price_ns(problem, solution.assignment, measured));
  result.optimal = solution.optimal;
  return result;
}

}  // namespace convopt
