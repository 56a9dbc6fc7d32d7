#include "src/tune/recorded_model.h"

#include <algorithm>
#include <unordered_set>
#include <utility>

namespace convopt {
namespace {

std::unordered_map<std::string_view, const RunHeader*> headers(const Profile& profile,
                                                               TimingMode mode) {
  std::unordered_map<std::string_view, const RunHeader*> result;
  for (const RunHeader& header : profile.runs) {
    if (header.timing_mode == mode) result[header.run] = &header;
  }
  return result;
}

}  // namespace

Result<std::unique_ptr<RecordedModel>> RecordedModel::create(const Profile& profile) {
  std::unique_ptr<RecordedModel> model(new RecordedModel);
  ModelInfo& info = model->info_;
  info.id = "recorded";
  if (!profile.runs.empty()) {
    info.timing_mode = profile.runs.back().timing_mode;
    info.seed = profile.runs.back().seed;
    info.libraries = profile.runs.back().libraries;
  }
  const auto runs = headers(profile, info.timing_mode);
  std::unordered_set<std::string> workloads;
  for (const Measurement& m : profile.measurements) {
    const auto run = runs.find(m.run);
    if (run == runs.end() || m.status != MeasurementStatus::ok || !(m.median_ns > 0)) continue;
    model->estimates_[run->second->platform.id()][{m.workload.text(), m.primitive}] = {
        m.median_ns, std::max(0.0, m.median_ns - m.mad_ns), m.median_ns + m.mad_ns, false};
    workloads.insert(m.workload.text());
  }
  for (const auto& [platform, estimates] : model->estimates_) info.samples += estimates.size();
  info.workloads = workloads.size();
  if (info.samples == 0) return make_error(ErrorCode::bad_input, "the profile holds no times");
  return model;
}

const Estimate* RecordedModel::find(const std::string& platform, const TimingKey& key) const {
  const auto estimates = estimates_.find(platform);
  if (estimates == estimates_.end()) return nullptr;
  const auto found = estimates->second.find(key);
  return found == estimates->second.end() ? nullptr : &found->second;
}

Result<std::vector<Estimate>> RecordedModel::predict(std::span<const Query> queries,
                                                     const Platform& platform) const {
  const std::string id = platform.id();
  std::vector<Estimate> result;
  result.reserve(queries.size());
  for (const Query& query : queries) {
    const Estimate* found = find(id, {query.workload->text(), query.primitive->name});
    if (found == nullptr) {
      return make_error(
          ErrorCode::bad_input,
          query.primitive->name + " on " + query.workload->text() + " was not timed on " + id);
    }
    result.push_back(*found);
  }
  return result;
}

Result<void> RecordedModel::save(const std::filesystem::path& path) const {
  return make_error(ErrorCode::usage,
                    "a profile is no model to be saved as '" + path.string() + "'");
}

Profile RecordedModel::known_part(const Profile& profile) const {
  const auto runs = headers(profile, info_.timing_mode);
  Profile result;
  result.runs = profile.runs;
  for (const Measurement& m : profile.measurements) {
    const auto run = runs.find(m.run);
    if (run == runs.end()) continue;
    if (find(run->second->platform.id(), {m.workload.text(), m.primitive}) != nullptr) {
      result.measurements.push_back(m);
    }
  }
  return result;
}

}  // namespace convopt
