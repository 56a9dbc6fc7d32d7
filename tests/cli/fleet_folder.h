// The folder of a fleet as tests look at it: attempts, their measurements, the processes at work.
#pragma once

#include <gtest/gtest.h>
#include <signal.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>
#include <vector>

class FleetFolder {
 public:
  using Path = std::filesystem::path;

  explicit FleetFolder(Path path) : path_(std::move(path)) {}
  const Path& path() const { return path_; }
  Path task(const std::string& kind, int shard) const {
    return path_ / "tasks" / kind / std::to_string(shard);
  }

  static std::vector<Path> files(const Path& folder, const std::string& extension) {
    std::vector<Path> result;
    std::error_code error;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(folder, error)) {
      if (entry.path().extension() == extension) result.push_back(entry.path());
    }
    return result;
  }
  std::vector<Path> attempts(const std::string& kind, int shard) const {
    return files(task(kind, shard), ".jsonl");
  }
  bool is_done(const std::string& kind, int shard) const {
    return std::filesystem::exists(task(kind, shard) / "done.json");
  }

  /// How often each measurement stands in the profile; lines that are cut off are left out.
  static std::map<std::string, int> measurements(const Path& profile) {
    std::map<std::string, int> keys;
    std::ifstream file(profile);
    for (std::string line; std::getline(file, line);) {
      const auto record = nlohmann::json::parse(line, nullptr, false);
      if (!record.is_object() || !record.contains("status")) continue;
      ++keys[record["workload"].get<std::string>() + "|" + record["primitive"].get<std::string>()];
    }
    return keys;
  }
  /// Measurements of all attempts at all tasks of the kind.
  std::map<std::string, int> all_measurements(const std::string& kind) const {
    std::map<std::string, int> keys;
    for (const Path& profile : files(path_ / "tasks" / kind, ".jsonl")) {
      for (const auto& [key, count] : measurements(profile)) keys[key] += count;
    }
    return keys;
  }
  /// Whether an attempt at the task has measured a little. Counts lines, since it is asked often.
  bool has_begun(const std::string& kind, int shard) const {
    constexpr int kFew = 4;
    for (const Path& profile : attempts(kind, shard)) {
      std::ifstream file(profile);
      int lines = 0;
      for (std::string line; lines < kFew && std::getline(file, line);) ++lines;
      if (lines == kFew) return true;
    }
    return false;
  }

  /// The process at work on the task; 0: there is none.
  pid_t process_of(const std::string& kind, int shard) const {
    std::error_code error;
    const std::string words =
        path_.string() + '\0' + "measure" + '\0' + kind + '\0' + std::to_string(shard) + '\0';
    for (const auto& entry : std::filesystem::directory_iterator("/proc", error)) {
      std::ifstream file(entry.path() / "cmdline");
      const std::string line{std::istreambuf_iterator<char>(file), {}};
      if (line.find(words) == std::string::npos || line.starts_with("ssh")) continue;
      return static_cast<pid_t>(std::atoi(entry.path().filename().c_str()));
    }
    return 0;
  }

 private:
  Path path_;
};

/// Whether this processor can pass for an older one, at the level SSE4.
inline bool has_older_kind() {
#if defined(__x86_64__)
  return __builtin_cpu_supports("avx2") != 0;
#else
  return false;
#endif
}

/// Waits until it is so, for minutes at most: busy machines are slow.
inline bool wait_until(const std::function<bool()>& is_so) {
  constexpr int kPatience = 30000;
  for (int i = 0; i < kPatience; ++i) {
    if (is_so()) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  return false;
}
