#include "src/tune/rehearsal.h"

#include <unordered_set>
#include <utility>

#include "profiler/instance.h"
#include "src/select/problem.h"
#include "src/tune/refine.h"

namespace convopt {
namespace {

// What timing takes besides the kernel's own time: for a round a new child process, for a workload
// tensors, a reference result and emptied caches, for a primitive checking and moving its data.
// With these, five seconds of refinement on Zen 5 come to 5.2 (ResNet-50, 353 primitives), 5.3
// (VGG-16, 60), 4.2 (U-Net, 59) and 6.0 (DarkNet-53, 256).
constexpr double kRoundSeconds = 0.12, kWorkloadSeconds = 0.035, kPrimitiveSeconds = 0.001,
                 kSecondsPerByte = 1e-9;
// The first two runs, and those of a race.
constexpr double kRuns = 6;

std::string key(const std::string& workload, const std::string& primitive) {
  return workload + '\n' + primitive;
}

/// The times of another source, but only those that were asked for.
class RevealedCosts final : public CostSource {
 public:
  explicit RevealedCosts(const CostSource& all) : all_(all) {}

  void reveal(std::string entry) { revealed_.insert(std::move(entry)); }

  Result<std::vector<Cost>> costs(std::span<const Query> queries) const override {
    Result<std::vector<Cost>> result = all_.costs(queries);
    if (!result) return result;
    for (std::size_t i = 0; i < queries.size(); ++i) {
      if (revealed_.contains(key(queries[i].workload->text(), queries[i].primitive->name)))
        continue;
      result.value()[i] = {Cost::Source::unknown, {}, "not timed yet"};
    }
    return result;
  }

 private:
  const CostSource& all_;
  std::unordered_set<std::string> revealed_;
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
    // One that was cut short ran but twice.
    const double taken = m.status == MeasurementStatus::ok ? kRuns : 2;
    const auto bytes = static_cast<double>(m.packed_bytes +
                                           Instance::tensor_bytes(m.workload, *primitive->second));
    seconds_[key(m.workload.text(), m.primitive)] =
        (m.prepare_ns + taken * m.median_ns) / 1e9 + kPrimitiveSeconds + kSecondsPerByte * bytes;
  }
}

double TimingEffort::seconds(const std::string& workload, const std::string& primitive) const {
  const auto found = seconds_.find(key(workload, primitive));
  return found == seconds_.end() ? 0 : found->second;
}

Result<Rehearsal> rehearse(const Network& network, const Registry& registry,
                           const CostSource& predicted, const CostSource& measured,
                           const TimingEffort& effort, double seconds) {
  Rehearsal result;
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
      const std::string workload = query.workload->text();
      result.seconds += effort.seconds(workload, query.primitive->name);
      revealed.reveal(key(workload, query.primitive->name));
    }
    return &known;
  };
  const SelectOptions options;
  auto refinement = refine(network, registry, known, options, measure);
  if (!refinement) return refinement.error();
  result.timed = refinement->timed;
  result.settled = refinement->settled;
  const auto problem = build_problem(network, registry, *refinement->costs);
  if (!problem) return problem.error();
  const auto solution = solve(*problem, options.time_limit);
  if (!solution) return solution.error();
  const auto price = price_ns(*problem, solution->assignment, measured);
  if (!price) return price.error();
  result.ns = *price;
  result.optimal = solution->optimal;
  return result;
}

}  // namespace convopt
