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
    return code_of(std::system(command.c_str()));
  }
  /// The same under a limit of the shell's `ulimit`, which standard output is free from.
  int run_limited(const std::string& limit, const std::string& arguments) const {
    const std::string command = "{ ulimit " + limit + "; " CONVOPT_BINARY " " + arguments + " 2>" +
                                file("err") + "; echo $? >" + file("code") + "; } | cat >" +
                                file("out");
    if (std::system(command.c_str()) != 0) return -1;
    const int code = std::atoi(read("code").c_str());
    return code > 128 && code != 130 ? -1 : code;
  }
  /// Starts it without waiting.
  pid_t start(const std::string& arguments) const {
    std::filesystem::remove(file("err"));
    const pid_t child = fork();
    if (child == 0) {
      const std::string command =
          "exec " CONVOPT_BINARY " " + arguments + " >" + file("out") + " 2>" + file("err");
      execl("/bin/sh", "sh", "-c", command.c_str(), nullptr);
      _exit(127);
    }
    return child;
  }
  /// The exit code of what was started.
  static int wait(pid_t child) {
    int status = 0;
    waitpid(child, &status, 0);
    return code_of(status);
  }
  std::string out() const { return read("out"); }
  std::string err() const { return read("err"); }
  nlohmann::json out_json() const { return nlohmann::json::parse(out(), nullptr, false); }

 private:
  static int code_of(int status) { return WIFEXITED(status) ? WEXITSTATUS(status) : -1; }

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
