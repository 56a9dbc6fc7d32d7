#include "src/tune/check.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <set>
#include <span>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <utility>

#include "core/text.h"
#include "core/timing_key.h"
#include "core/try.h"
#include "model/statistics.h"
#include "profiler/machine.h"
#include "profiler/store.h"

namespace convopt {
namespace {

// Largest change on a quiet machine; above it, the clock, a neighbour or the software has changed.
constexpr double kSameWithin = 0.10;

/// A temporary profile, removed with its folder at the end.
class TemporaryFile {
 public:
  TemporaryFile() {
    std::error_code ignored;
    const auto folder = std::filesystem::temp_directory_path(ignored);
    std::string pattern = (folder / "convopt-check-XXXXXX").string();
    folder_ = mkdtemp(pattern.data()) != nullptr ? pattern : std::string();
  }
  TemporaryFile(const TemporaryFile&) = delete;
  TemporaryFile& operator=(const TemporaryFile&) = delete;
  ~TemporaryFile() {
    std::error_code ignored;
    if (!folder_.empty()) std::filesystem::remove_all(folder_, ignored);
  }
  bool ok() const { return !folder_.empty(); }
  std::filesystem::path path() const { return folder_ / "profile.jsonl"; }

 private:
  std::filesystem::path folder_;
};

std::vector<std::string> updates(const Profile& before, const Profile& now) {
  std::map<std::string, std::string> old_versions;
  for (const RunHeader& header : before.runs) {
    for (const auto& [name, version] : header.libraries) old_versions[name] = version;
  }
  std::set<std::string> result;
  for (const RunHeader& header : now.runs) {
    for (const auto& [name, version] : header.libraries) {
      const auto old = old_versions.find(name);
      if (old != old_versions.end() && old->second != version) {
        result.insert(name + " " + old->second + " -> " + version);
      }
    }
  }
  return {result.begin(), result.end()};
}

}  // namespace

std::string_view to_string(Verdict verdict) {
  switch (verdict) {
    case Verdict::holds:
      return "holds";
    case Verdict::shifted:
      return "shifted";
    case Verdict::changed:
      return "changed";
    case Verdict::unknown:
      return "unknown";
  }
  return "?";
}

std::vector<const Measurement*> points_to_check(const Profile& profile, const Platform& platform,
                                                TimingMode mode, std::size_t count) {
  std::unordered_set<std::string_view> runs;
  for (const RunHeader& header : profile.runs) {
    if (header.platform.id() == platform.id() && header.timing_mode == mode) {
      runs.insert(header.run);
    }
  }
  std::map<std::string, const Measurement*> fastest;
  for (const Measurement& m : profile.measurements) {
    if (m.status != MeasurementStatus::ok || m.workload.op != Op::conv || !runs.contains(m.run)) {
      continue;
    }
    const Measurement*& best = fastest[m.workload.text()];
    if (best == nullptr || m.median_ns < best->median_ns) best = &m;
  }
  std::vector<const Measurement*> sorted;
  for (const auto& [text, m] : fastest) sorted.push_back(m);
  std::ranges::stable_sort(sorted, {}, &Measurement::median_ns);
  if (sorted.size() <= count) return sorted;
  // The ends of the range, hundreds of nanoseconds and tenths of a second, repeat worst and are
  // left out.
  std::vector<const Measurement*> points;
  for (std::size_t i = 0; i < count; ++i) {
    points.push_back(sorted[(2 * i + 1) * sorted.size() / (2 * count)]);
  }
  return points;
}

Check compare_times(std::vector<CheckPoint> points, std::vector<std::string> updated_libraries) {
  Check check;
  check.points = std::move(points);
  check.updated_libraries = std::move(updated_libraries);
  std::vector<double> logs, distances, errors;
  for (const CheckPoint& point : check.points) {
    logs.push_back(std::log(point.ratio()));
    if (point.predicted_ns > 0) {
      errors.push_back(std::abs(point.predicted_ns / point.now_ns - 1));
    }
  }
  const double center = statistics::median(logs);
  for (const double log : logs) distances.push_back(std::abs(log - center));
  // With an odd number of points the median is one of them, at a distance of zero. It is left out:
  // otherwise two of three points that agree would make the spread small.
  if (distances.size() > 1 && distances.size() % 2 == 1)
    distances.erase(std::ranges::min_element(distances));
  check.median_ratio = std::exp(center);
  check.spread = std::expm1(statistics::median(distances));
  check.model_mdrae = statistics::median(errors);
  if (check.points.size() < kPointsToTell) {
    check.verdict = Verdict::unknown;
  } else if (check.spread > kSameWithin) {
    check.verdict = Verdict::changed;
  } else if (std::abs(center) > std::log1p(kSameWithin)) {
    check.verdict = Verdict::shifted;
  }
  return check;
}

namespace {

Result<LoadedProfile> load_earlier(const std::filesystem::path& path) {
  std::error_code ignored;
  if (std::filesystem::exists(path, ignored)) return load_profile(path);
  return make_error(ErrorCode::bad_input, "there is no profile of this machine at '" +
                                              path.string() +
                                              "'; run convopt profile or convopt transfer");
}

/// The mode of the profile's latest run on this platform.
TimingMode timing_mode_of(const Profile& profile, const Platform& platform) {
  TimingMode mode = TimingMode::cold_weights;
  for (const RunHeader& header : profile.runs) {
    if (header.platform.id() == platform.id()) mode = header.timing_mode;
  }
  return mode;
}

/// Times the primitives of these points again.
Result<Profile> time_again(const CheckRequest& request, TimingMode mode,
                           std::span<const Measurement* const> points) {
  const TemporaryFile file;
  if (!file.ok()) {
    return make_error(ErrorCode::environment, "cannot create a temporary folder");
  }
  std::vector<Workload> workloads;
  std::unordered_set<std::string> primitives;
  for (const Measurement* m : points) {
    workloads.push_back(m->workload);
    primitives.insert(m->primitive);
  }
  ProfileOptions options;
  options.context = request.context;
  options.timing_mode = mode;
  options.output = file.path();
  options.filter = [&](const Workload&, const PrimitiveInfo& info) {
    return primitives.contains(info.name);
  };
  options.progress = request.progress;
  options.stop = request.stop;
  options.worker_command = request.worker_command;
  CONVOPT_CHECK(profile(workloads, options));
  CONVOPT_TRY(LoadedProfile now, load_profile(file.path()));
  return std::move(now.profile);
}

/// The points that were timed again, with what the model predicts for them, if it is given.
Result<std::vector<CheckPoint>> matched_points(std::span<const Measurement* const> points,
                                               const Profile& now, const PerformanceModel* model,
                                               const Platform& platform) {
  std::unordered_map<TimingKey, double> times;
  std::unordered_map<std::string_view, const PrimitiveInfo*> infos;
  for (const RunHeader& header : now.runs) {
    for (const PrimitiveInfo& info : header.primitives) infos[info.name] = &info;
  }
  for (const Measurement& m : now.measurements) {
    if (m.status == MeasurementStatus::ok) times[{m.workload.text(), m.primitive}] = m.median_ns;
  }
  std::vector<CheckPoint> matched;
  std::vector<Query> queries;
  for (const Measurement* m : points) {
    const auto time = times.find({m->workload.text(), m->primitive});
    if (time == times.end()) continue;
    matched.push_back({m->workload.text(), m->primitive, m->median_ns, time->second, 0});
    const auto info = infos.find(m->primitive);
    if (info != infos.end()) queries.push_back({&m->workload, info->second});
  }
  if (model == nullptr || queries.size() != matched.size()) return matched;
  CONVOPT_TRY(const auto estimates, model->predict(queries, platform));
  for (std::size_t i = 0; i < matched.size(); ++i) matched[i].predicted_ns = estimates[i].ns;
  return matched;
}

}  // namespace

Result<Check> check(const CheckRequest& request) {
  CONVOPT_TRY(const Platform platform,
              cached_platform(request.context.isa, request.context.threads, request.messages));
  const std::filesystem::path path =
      request.profile.empty() ? local_profile_path(platform) : request.profile;
  CONVOPT_TRY(const LoadedProfile before, load_earlier(path));
  const TimingMode mode = request.timing_mode.value_or(timing_mode_of(before.profile, platform));
  const auto points = points_to_check(before.profile, platform, mode, request.points);
  if (points.empty()) {
    return make_error(ErrorCode::bad_input, "profile '" + path.string() +
                                                "' holds no convolutions of " + platform.id() +
                                                " to compare with");
  }
  CONVOPT_TRY(const Profile now, time_again(request, mode, points));
  CONVOPT_TRY(auto compared, matched_points(points, now, request.model, platform));
  if (compared.empty()) {
    return make_error(ErrorCode::environment,
                      "none of the profile's primitives could be timed again; profile anew");
  }
  const std::size_t lost = points.size() - compared.size();
  Check result = compare_times(std::move(compared), updates(before.profile, now));
  if (points.size() < request.points) {
    result.missing =
        "the profile holds times of " + counted(points.size(), "convolution") + " of this machine";
  }
  if (lost > 0) {
    result.missing += result.missing.empty() ? "" : ", of which ";
    result.missing += counted(lost, "point") + " could not be timed again";
  }
  return result;
}

}  // namespace convopt
