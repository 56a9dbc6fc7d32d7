#include "src/select/costs.h"

#include <algorithm>
#include <utility>

#include "core/try.h"

namespace convopt {

std::string Cost::source_text() const {
  switch (source) {
    case Source::measured:
      return "measured";
    case Source::bound:
      return "cut short";
    default:
      return estimate.extrapolated ? "extrapolated" : "predicted";
  }
}

namespace {

/// Half the width of the interval that holds 90 % of a normal distribution, in median absolute
/// deviations: 1.645 standard deviations of 1.4826 such deviations each.
constexpr double kMadsTo90Percent = 1.645 * 1.4826;

Cost cost_of(const Measurement& m) {
  switch (m.status) {
    case MeasurementStatus::ok: {
      const double half = kMadsTo90Percent * m.mad_ns;
      return {Cost::Source::measured,
              {m.median_ns, std::max(0.0, m.median_ns - half), m.median_ns + half},
              {}};
    }
    case MeasurementStatus::censored:
      return {Cost::Source::bound, {m.median_ns, m.median_ns, m.median_ns}, {}};
    default: {
      std::string reason = "measured here as " + std::string(to_string(m.status));
      if (!m.reason.empty()) reason += ": " + m.reason;
      return {Cost::Source::excluded, {}, std::move(reason)};
    }
  }
}

/// Same build of the library behind the primitive's family; families without a library always
/// agree.
bool same_build(const Libraries& here, const Libraries& there, const std::string& family) {
  const auto a = here.find(family);
  const auto b = there.find(family);
  return a == here.end() || b == there.end() || a->second == b->second;
}

}  // namespace

Result<std::vector<Cost>> PredictedCosts::costs(std::span<const Query> queries) const {
  CONVOPT_TRY(const std::vector<Estimate> estimates, model_.predict(queries, platform_));
  if (estimates.size() != queries.size()) {
    return make_error(ErrorCode::internal, "the model answered " +
                                               std::to_string(estimates.size()) + " of " +
                                               std::to_string(queries.size()) + " queries");
  }
  std::vector<Cost> result;
  result.reserve(queries.size());
  for (const Estimate& estimate : estimates) {
    result.push_back({Cost::Source::predicted, estimate, {}});
  }
  return result;
}

MeasuredCosts::MeasuredCosts(const Profile& profile, const Platform& platform,
                             TimingMode timing_mode, const Libraries& libraries) {
  // Runs repeat few headers over many measurements.
  struct Run {
    bool here = false;
    std::unordered_map<std::string_view, bool> current;  // by primitive
  };
  std::unordered_map<std::string_view, Run> runs;
  for (const RunHeader& header : profile.runs) {
    Run& run = runs[header.run];
    run.here =
        header.platform.machine_id() == platform.machine_id() && header.timing_mode == timing_mode;
    for (const PrimitiveInfo& info : header.primitives) {
      run.current[info.name] = same_build(libraries, header.libraries, info.family);
    }
  }
  const Workload* last = nullptr;
  std::string text;
  for (const Measurement& m : profile.measurements) {
    const auto run = runs.find(m.run);
    if (run == runs.end() || !run->second.here) continue;
    if (m.isa != platform.isa || m.threads != platform.threads) continue;
    const auto current = run->second.current.find(m.primitive);
    if (current != run->second.current.end() && !current->second) continue;
    if (last == nullptr || !(*last == m.workload)) text = m.workload.text();
    last = &m.workload;
    Cost cost = cost_of(m);
    // The later record counts, as in the store, but only a time replaces a time.
    Cost& known = entries_[{text, m.primitive, m.revision}];
    if (known.source == Cost::Source::measured && cost.source != Cost::Source::measured) continue;
    known = std::move(cost);
  }
}

Result<std::vector<Cost>> MeasuredCosts::costs(std::span<const Query> queries) const {
  std::vector<Cost> result;
  result.reserve(queries.size());
  const Workload* last = nullptr;
  std::string text;
  for (const Query& query : queries) {
    if (query.workload != last) text = query.workload->text();
    last = query.workload;
    const auto found = entries_.find({text, query.primitive->name, query.primitive->revision});
    if (found == entries_.end()) {
      result.push_back({Cost::Source::unknown, {}, "not measured here in its present revision"});
    } else {
      result.push_back(found->second);
    }
  }
  return result;
}

Result<std::vector<Cost>> MeasuredOrPredicted::costs(std::span<const Query> queries) const {
  Result<std::vector<Cost>> result = measured_.costs(queries);
  if (!result) return result;
  std::vector<std::size_t> open;
  std::vector<Query> open_queries;
  for (std::size_t i = 0; i < queries.size(); ++i) {
    const Cost::Source source = result.value()[i].source;
    if (source == Cost::Source::unknown || source == Cost::Source::bound) {
      open.push_back(i);
      open_queries.push_back(queries[i]);
    }
  }
  if (open.empty()) return result;
  Result<std::vector<Cost>> predicted = predicted_.costs(open_queries);
  if (!predicted) return predicted;
  for (std::size_t i = 0; i < open.size(); ++i) {
    Cost& cost = result.value()[open[i]];
    Cost& expected = predicted.value()[i];
    if (!expected.usable()) continue;
    if (cost.source == Cost::Source::bound) {
      const double bound = cost.estimate.ns;
      if (expected.estimate.ns < bound) continue;
      expected.estimate.low_ns = std::max(expected.estimate.low_ns, bound);
    }
    cost = std::move(expected);
  }
  return result;
}

Result<std::vector<Cost>> CostsWhereKnown::costs(std::span<const Query> queries) const {
  Result<std::vector<Cost>> known = known_.costs(queries);
  if (!known) return known;
  Result<std::vector<Cost>> result = costs_.costs(queries);
  if (!result) return result;
  for (std::size_t i = 0; i < queries.size(); ++i) {
    if (!known.value()[i].usable()) result.value()[i] = std::move(known.value()[i]);
  }
  return result;
}

}  // namespace convopt
