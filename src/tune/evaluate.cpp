#include "src/tune/evaluate.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <unordered_map>
#include <unordered_set>

#include "core/try.h"
#include "model/regret.h"
#include "model/statistics.h"
#include "src/select/costs.h"
#include "src/tune/offline_replay.h"

namespace convopt {
namespace {

struct Row {
  const Measurement* measurement = nullptr;
  const PrimitiveInfo* primitive = nullptr;
  Estimate estimate;

  double ratio() const { return estimate.ns / measurement->median_ns; }
};

std::vector<Row> usable_rows(const Profile& profile, const Platform& platform, TimingMode mode) {
  struct Run {
    std::unordered_map<std::string_view, const PrimitiveInfo*> primitives;
  };
  std::unordered_map<std::string_view, Run> runs;
  for (const RunHeader& header : profile.runs) {
    if (header.platform.id() != platform.id() || header.timing_mode != mode) continue;
    for (const PrimitiveInfo& info : header.primitives) {
      runs[header.run].primitives[info.name] = &info;
    }
  }
  std::vector<Row> rows;
  for (const Measurement& m : profile.measurements) {
    if (m.status != MeasurementStatus::ok || !(m.median_ns > 0)) continue;
    const auto run = runs.find(m.run);
    if (run == runs.end()) continue;
    const auto primitive = run->second.primitives.find(m.primitive);
    if (primitive != run->second.primitives.end()) rows.push_back({&m, primitive->second, {}});
  }
  return rows;
}

RegretSummary single_regrets(const std::vector<Row>& rows) {
  std::map<std::string, Decision> choices;
  for (const Row& row : rows) {
    const Workload& workload = row.measurement->workload;
    if (workload.op != Op::conv) continue;
    choices[workload.text()].add(row.estimate.ns, row.measurement->median_ns);
  }
  std::erase_if(choices, [](const auto& entry) { return entry.second.candidates < 2; });
  RegretSummary summary;
  std::vector<double> regrets;
  for (const auto& [text, choice] : choices) regrets.push_back(choice.chosen / choice.best);
  if (regrets.empty()) return summary;
  std::ranges::sort(regrets);
  summary.workloads = regrets.size();
  summary.mean = 0;
  for (const double regret : regrets) summary.mean += regret / double(regrets.size());
  summary.p95 = regrets[static_cast<std::size_t>(std::lround(0.95 * double(regrets.size() - 1)))];
  summary.max = regrets.back();
  summary.sum = total_regret(choices);
  return summary;
}

}  // namespace

std::vector<Platform> measured_platforms(const Profile& profile, TimingMode mode) {
  std::unordered_map<std::string_view, std::string> platform_of_run;
  std::map<std::string, std::pair<std::size_t, Platform>> found;
  for (const RunHeader& header : profile.runs) {
    if (header.timing_mode != mode) continue;
    platform_of_run[header.run] = header.platform.id();
    found[header.platform.id()].second = header.platform;  // the latest description counts
  }
  for (const Measurement& m : profile.measurements) {
    const auto platform = platform_of_run.find(m.run);
    if (platform != platform_of_run.end() && m.status == MeasurementStatus::ok) {
      ++found[platform->second].first;
    }
  }
  std::vector<std::pair<std::size_t, Platform>> counted;
  for (auto& [id, entry] : found) {
    if (entry.first > 0) counted.push_back(std::move(entry));
  }
  std::ranges::stable_sort(counted, std::ranges::greater(),
                           &std::pair<std::size_t, Platform>::first);
  std::vector<Platform> platforms;
  for (auto& [count, platform] : counted) platforms.push_back(std::move(platform));
  return platforms;
}

Result<Evaluation> evaluate(const PerformanceModel& model, const Profile& profile,
                            const Platform& platform, std::span<const Network> networks,
                            double refine_seconds) {
  const TimingMode mode = model.info().timing_mode;
  std::vector<Row> rows = usable_rows(profile, platform, mode);
  if (rows.empty()) {
    return make_error(ErrorCode::bad_input, "the profile holds no times of " + platform.id() +
                                                " in the model's timing mode, " +
                                                std::string(to_string(mode)));
  }
  std::vector<Query> queries;
  for (const Row& row : rows) queries.push_back({&row.measurement->workload, row.primitive});
  CONVOPT_TRY(const auto estimates, model.predict(queries, platform));

  Evaluation result;
  result.platform = platform;
  result.model = model.info().id;
  result.samples = rows.size();
  std::vector<double> errors, measured_ns, predicted_ns;
  std::map<std::string, std::vector<double>> errors_of;
  double inside = 0, close = 0;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    Row& row = rows[i];
    row.estimate = estimates[i];
    const double error = std::abs(row.ratio() - 1);
    errors.push_back(error);
    errors_of[row.primitive->name].push_back(error);
    measured_ns.push_back(row.measurement->median_ns);
    predicted_ns.push_back(row.estimate.ns);
    close += error <= 0.1 ? 1 : 0;
    inside += row.measurement->median_ns >= row.estimate.low_ns &&
                      row.measurement->median_ns <= row.estimate.high_ns
                  ? 1
                  : 0;
  }
  const auto count = static_cast<double>(rows.size());
  result.mdrae = statistics::median(errors);
  result.within_10_percent = close / count;
  result.interval_coverage = inside / count;
  result.spearman = statistics::spearman(measured_ns, predicted_ns);
  result.regret = single_regrets(rows);
  for (auto& [name, of_primitive] : errors_of) {
    const std::size_t samples = of_primitive.size();
    result.primitives.push_back({name, statistics::median(std::move(of_primitive)), samples});
  }
  std::ranges::stable_sort(result.primitives, std::ranges::greater(), &PrimitiveError::mdrae);

  const PlanRegrets regrets(profile, platform, mode, networks);
  const PredictedCosts predicted(model, platform);
  result.skipped = regrets.skipped();
  std::optional<TimingEffort> effort;
  if (refine_seconds > 0) effort.emplace(profile, platform, mode);
  for (std::size_t i = 0; i < regrets.networks().size(); ++i) {
    CONVOPT_TRY(NetworkRegret regret, regrets.of_network(i, predicted));
    if (effort) {
      CONVOPT_TRY(const Replay refined,
                  replay_refinement(*regrets.networks()[i], regrets.registry(), predicted,
                                    regrets.measured(), *effort, refine_seconds));
      regret.optimal = regret.optimal && refined.optimal;
      const double ms = refined.ns / 1e6;
      regret.refined = {regret.optimum_ms > 0 ? ms / regret.optimum_ms : 1, ms, refined.seconds,
                        refined.timed, refined.settled};
    }
    result.networks.push_back(std::move(regret));
  }
  return result;
}

}  // namespace convopt
