// The binary as a user or a shell meets it: arguments in; exit code, output and messages out.
#pragma once

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>

/// A folder of its own that also is the home of local profiles and models.
class CommandLine {
 public:
  explicit CommandLine(const std::string& name)
      : folder_(std::filesystem::temp_directory_path() /
                ("convopt-cli-" + name + "-" + std::to_string(getpid()))) {
    std::filesystem::create_directories(folder_);
    setenv("XDG_DATA_HOME", folder_.c_str(), 1);
    // Times and budgets that do not depend on how busy the machine is (profiler/timer.h).
    setenv("CONVOPT_TEST_CLOCK", "1", 1);
  }
  ~CommandLine() { std::filesystem::remove_all(folder_); }
  CommandLine(const CommandLine&) = delete;
  CommandLine& operator=(const CommandLine&) = delete;

  std::string file(const std::string& name) const { return (folder_ / name).string(); }
  std::string write(const std::string& name, const std::string& content) const {
    std::ofstream(folder_ / name) << content;
    return file(name);
  }
  std::string read(const std::string& name) const {
    std::ifstream stream(folder_ / name);
    return {std::istreambuf_iterator<char>(stream), {}};
  }

  /// The exit code; -1 if a signal ended it.
  int run(const std::string& arguments) const {
    const std::string command =
        CONVOPT_BINARY " " + arguments + " >" + file("out") + " 2>" + file("err");
    const int status = std::system(command.c_str());
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  }
  std::string out() const { return read("out"); }
  std::string err() const { return read("err"); }
  nlohmann::json out_json() const { return nlohmann::json::parse(out(), nullptr, false); }

 private:
  std::filesystem::path folder_;
};

/// A network of two convolutions, an addition and activations, small enough to profile in a moment.
constexpr const char* kTinyNetwork =
    R"({"schema":"convopt.network/1","name":"tiny","source":"a test",
  "input":{"shape":[1,3,12,12]},
  "operators":[
    {"name":"c1","op":"conv","oc":16,"kernel":3,"padding":1},
    {"name":"r1","op":"relu"},
    {"name":"c2","op":"conv","oc":16,"kernel":3,"padding":1},
    {"name":"sum","op":"add","inputs":["c2","r1"]},
    {"name":"r2","op":"relu"}]})";
