#include "src/fleet/attempt.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <fstream>
#include <random>
#include <utility>

#include "core/clock.h"
#include "core/files.h"

namespace convopt::fleet {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kAttemptSchema = "convopt.fleet_attempt/1",
                           kDoneSchema = "convopt.fleet_done/1", kDoneFile = "done.json";

double wall_seconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

/// Begins with the moment, so that names are in the order of time.
std::string attempt_name() {
  std::string name = utc_now();
  std::erase_if(name, [](char c) { return c == '-' || c == ':'; });
  std::random_device entropy;
  constexpr std::size_t kDigits = 8;
  return name + "-" +
         hex16(hash64(std::to_string(entropy()) + std::to_string(entropy()) +
                      std::to_string(getpid())))
             .substr(0, kDigits);
}

/// The moment by the clock of the folder's file system, which may not be that of this machine.
double now_of(const fs::path& folder) {
  struct stat status {};
  std::string name = (folder / ".now.XXXXXX").string();
  const int file = mkostemp(name.data(), O_CLOEXEC);
  if (file >= 0) {
    const bool known = fstat(file, &status) == 0;
    close(file);
    unlink(name.c_str());
    if (known) return static_cast<double>(status.st_mtim.tv_sec);
  }
  return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
}

double age(const fs::path& file, double now) {
  struct stat status {};
  if (stat(file.c_str(), &status) != 0) return 0;
  return std::max(0.0, now - static_cast<double>(status.st_mtim.tv_sec));
}

/// Files of the folder that end so, in the order of their names.
std::vector<fs::path> files_of(const fs::path& folder, const std::string& extension) {
  std::vector<fs::path> files;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(folder, error)) {
    if (entry.path().extension() == extension && entry.path().filename() != kDoneFile)
      files.push_back(entry.path());
  }
  std::ranges::sort(files);
  return files;
}

/// Whether the first line is whole, which is the header of a run.
bool has_header(const fs::path& profile) {
  std::ifstream file(profile, std::ios::binary);
  std::string line;
  if (!std::getline(file, line) || file.eof()) return false;
  const auto json = parse_json(line, profile.string());
  return json && run_header_from_json(*json);
}

}  // namespace

AttemptWriter::AttemptWriter(fs::path folder, std::string node)
    : folder_(std::move(folder)), started_(wall_seconds()) {
  state_.name = attempt_name();
  state_.node = std::move(node);
  state_.state = "running";
  write();
}

void AttemptWriter::progress(const ProfileProgress& progress) {
  constexpr double kPause = 5;
  state_.workloads_done = progress.workloads_done;
  state_.workloads_total = progress.workloads_total;
  state_.times = progress.measurements;
  state_.left = progress.remaining_seconds;
  if (wall_seconds() - written_ >= kPause) write();
}

void AttemptWriter::end(const std::string& state, const std::string& reason) {
  state_.state = state;
  state_.reason = reason;
  state_.left = 0;
  write();
}

void AttemptWriter::write() {
  written_ = wall_seconds();
  Json json;
  json["schema"] = kAttemptSchema;
  json["attempt"] = state_.name;
  json["node"] = state_.node;
  json["state"] = state_.state;
  if (!state_.reason.empty()) json["reason"] = state_.reason;
  json["workloads_done"] = state_.workloads_done;
  json["workloads_total"] = state_.workloads_total;
  json["times"] = state_.times;
  json["seconds"] = written_ - started_;
  json["left_seconds"] = state_.left;
  static_cast<void>(write_object(folder_ / (state_.name + ".json"), json));
}

std::vector<AttemptState> attempts(const fs::path& task) {
  std::vector<AttemptState> result;
  const std::vector<fs::path> files = files_of(task, ".json");
  if (files.empty()) return result;
  const double now = now_of(task);
  for (const fs::path& file : files) {
    const auto json = read_object(file, kAttemptSchema);
    if (!json) continue;
    AttemptState state;
    state.name = text_in(*json, "attempt");
    state.node = text_in(*json, "node");
    state.state = text_in(*json, "state");
    state.reason = text_in(*json, "reason");
    state.workloads_done = static_cast<std::size_t>(number_in(*json, "workloads_done"));
    state.workloads_total = static_cast<std::size_t>(number_in(*json, "workloads_total"));
    state.times = static_cast<std::size_t>(number_in(*json, "times"));
    state.seconds = number_in(*json, "seconds");
    state.left = number_in(*json, "left_seconds");
    state.age = age(file, now);
    result.push_back(std::move(state));
  }
  return result;
}

double age_of(const fs::path& file) { return age(file, now_of(file.parent_path())); }

std::vector<fs::path> attempt_profiles(const fs::path& task) {
  std::vector<fs::path> profiles = files_of(task, ".jsonl");
  std::erase_if(profiles, [](const fs::path& profile) { return !has_header(profile); });
  return profiles;
}

std::optional<Done> done(const fs::path& task) {
  const auto json = read_object(task / kDoneFile, kDoneSchema);
  if (!json) return std::nullopt;
  Done done;
  done.attempt = text_in(*json, "attempt");
  done.node = text_in(*json, "node");
  done.workloads = static_cast<std::size_t>(number_in(*json, "workloads"));
  done.times = static_cast<std::size_t>(number_in(*json, "times"));
  done.seconds = number_in(*json, "seconds");
  done.budget_exhausted = json->contains("budget_exhausted");
  return done;
}

Result<void> write_done(const fs::path& task, const Done& done) {
  Json json;
  json["schema"] = kDoneSchema;
  json["attempt"] = done.attempt;
  json["node"] = done.node;
  json["workloads"] = done.workloads;
  json["times"] = done.times;
  json["seconds"] = done.seconds;
  if (done.budget_exhausted) json["budget_exhausted"] = true;
  return write_object(task / kDoneFile, json);
}

}  // namespace convopt::fleet
