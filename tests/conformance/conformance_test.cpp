// Holds the outcome of ONNX's conformance tests to the list refused.txt, which names every case
// that does not pass, with its verdict and the reason.
//
//   test_conformance                  compares; prints a table by operator
//   test_conformance --update         writes the list anew
//   test_conformance --cases=TEXT     only cases whose name contains TEXT, with their outcomes
#include <gtest/gtest.h>

#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <memory>
#include <sstream>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tests/conformance/cases.h"
#include "tests/conformance/isolated.h"
#include "tests/conformance/trial.h"

namespace convopt::conformance {
namespace {

constexpr const char* kData = "/usr/share/libonnx-testdata/data";
constexpr const char* kModel = CONVOPT_SOURCE_DIR "/data/models/default.ubj";
constexpr const char* kList = CONVOPT_SOURCE_DIR "/tests/conformance/refused.txt";
constexpr const char* kListHead =
    "# Conformance tests that do not pass: case, verdict, reason. Written by `test_conformance "
    "--update`.\n";

struct Options {
  bool update = false;
  std::string cases;
} options;

/// The verdicts of cases that do not pass.
using List = std::map<std::string, Verdict>;

/// Reads lines `CASE VERDICT REASON`; those that begin with # are comments.
List read_list() {
  List list;
  std::ifstream file(kList);
  for (std::string line; std::getline(file, line);) {
    if (line.empty() || line.front() == '#') continue;
    std::istringstream words(line);
    std::string name, word;
    words >> name >> word;
    const auto verdict = parse_verdict(word);
    EXPECT_TRUE(verdict.has_value()) << kList << ": " << line;
    if (verdict) list[name] = *verdict;
  }
  return list;
}

std::vector<std::string> disagreements(List list, const std::vector<Case>& cases,
                                       const std::vector<Outcome>& outcomes) {
  std::vector<std::string> sentences;
  for (std::size_t i = 0; i < cases.size(); ++i) {
    const auto entry = list.extract(cases[i].name);
    const Verdict listed = entry.empty() ? Verdict::passed : entry.mapped();
    const auto& [verdict, reason] = outcomes[i];
    if (verdict == listed) continue;
    if (verdict == Verdict::passed) {
      sentences.push_back(cases[i].name + " passes: remove its line from refused.txt");
    } else {
      sentences.push_back(cases[i].name + " is " + std::string(to_string(verdict)) + ", not " +
                          std::string(to_string(listed)) + " as listed: " + reason);
    }
  }
  for (const auto& [name, verdict] : list) {
    sentences.push_back(name + " is no case: remove its line from refused.txt");
  }
  return sentences;
}

void write_list(const std::vector<Case>& cases, const std::vector<Outcome>& outcomes) {
  std::ofstream file(kList);
  file << kListHead;
  for (std::size_t i = 0; i < cases.size(); ++i) {
    if (outcomes[i].verdict == Verdict::passed) continue;
    file << cases[i].name << ' ' << to_string(outcomes[i].verdict) << ' ' << outcomes[i].reason
         << '\n';
  }
}

/// A sentence without what differs between cases of a kind: names in quotes, and numbers.
std::string kind_of(const std::string& reason) {
  std::string kind;
  bool quoted = false, in_number = false;
  for (const char c : reason) {
    const bool digit = !quoted && c >= '0' && c <= '9';
    if (digit && !in_number) kind += 'N';
    in_number = digit;
    if (c == '\'') {
      quoted = !quoted;
      if (quoted) kind += "'...";
    }
    if (!quoted && !digit) kind += c;
  }
  return kind;
}

std::string group_of(const Case& test) {
  if (test.op.empty()) return "several operators";
  return test.op + (test.spelt_out ? ", spelt out" : "");
}

using Counts = std::array<int, kVerdicts.size()>;

void print_left_out(const std::vector<Case>& cases) {
  std::map<std::string, int> counts;
  for (const Case& test : cases) {
    if (test.left_out) ++counts[*test.left_out];
  }
  std::printf("left out\n");
  for (const auto& [reason, count] : counts) std::printf("%5d  %s\n", count, reason.c_str());
  std::printf("\n");
}

void print_tables(const std::vector<Case>& cases, const std::vector<Outcome>& outcomes) {
  std::map<std::string, Counts> by_group;
  std::map<std::string, std::string> reason_of;
  std::map<std::string, int> reasons;
  Counts total{};
  for (std::size_t i = 0; i < cases.size(); ++i) {
    const auto verdict = static_cast<std::size_t>(outcomes[i].verdict);
    const std::string group = group_of(cases[i]);
    ++by_group[group][verdict];
    ++total[verdict];
    if (outcomes[i].verdict == Verdict::passed) continue;
    reason_of.emplace(group, outcomes[i].reason);
    ++reasons[kind_of(outcomes[i].reason)];
  }
  const auto print = [](const std::string& name, const Counts& counts, const std::string& reason) {
    std::printf("%-36s", name.c_str());
    for (const int count : counts) std::printf(" %7d", count);
    std::printf("  %s\n", reason.c_str());
  };
  std::printf("%-36s", "operator");
  for (const Verdict verdict : kVerdicts) std::printf(" %7s", to_string(verdict).data());
  std::printf("  first reason\n");
  for (const auto& [group, counts] : by_group) print(group, counts, reason_of[group]);
  print("all", total, "");

  std::vector<std::pair<int, std::string>> sorted;
  for (const auto& [reason, count] : reasons) sorted.emplace_back(count, reason);
  std::ranges::sort(sorted, std::greater{});
  std::printf("\nreasons, most frequent first\n");
  for (const auto& [count, reason] : sorted) std::printf("%5d  %s\n", count, reason.c_str());
  std::fflush(stdout);
}

/// A folder of this process.
class Scratch {
 public:
  Scratch() {
    std::string name = (std::filesystem::temp_directory_path() / "conformanceXXXXXX").string();
    if (mkdtemp(name.data()) == nullptr) std::abort();
    path_ = name;
  }
  ~Scratch() { std::filesystem::remove_all(path_); }
  Scratch(const Scratch&) = delete;
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

/// A trial by plans of the shipped model for one thread.
Trial make_trial(const std::filesystem::path& scratch) {
  PlannerOptions planning;
  planning.threads = 1;
  planning.model = kModel;
  planning.measure_machine = true;
  auto planner = Planner::create(planning);
  if (!planner) abort_with(planner.error().message);
  return [planner = std::make_shared<Planner>(std::move(*planner)), scratch](const Case& test) {
    return try_case(*planner, test, scratch);
  };
}

TEST(Conformance, OutcomesAreThoseOfTheList) {
  std::vector<Case> cases = find_cases(kData);
  ASSERT_FALSE(cases.empty()) << "there is nothing in " << kData
                              << ": install Debian's package libonnx-testdata";
  if (options.cases.empty()) print_left_out(cases);
  std::erase_if(cases, [](const Case& test) {
    return test.left_out || test.name.find(options.cases) == std::string::npos;
  });
  const Scratch scratch;
  // The plans rest on invented figures of the machine, so that they are the same in every run.
  setenv("XDG_DATA_HOME", scratch.path().c_str(), 1);
  setenv("CONVOPT_TEST_CLOCK", "1", 1);
  const auto outcomes = try_isolated(cases, [&] { return make_trial(scratch.path()); });
  if (!options.cases.empty()) {
    for (std::size_t i = 0; i < cases.size(); ++i) {
      std::printf("%s %s %s\n", cases[i].name.c_str(), to_string(outcomes[i].verdict).data(),
                  outcomes[i].reason.c_str());
    }
  } else {
    print_tables(cases, outcomes);
    if (options.update) write_list(cases, outcomes);
  }

  List list = read_list();
  if (!options.cases.empty()) {
    std::erase_if(list, [](const auto& entry) {
      return entry.first.find(options.cases) == std::string::npos;
    });
  }
  for (const std::string& sentence : disagreements(std::move(list), cases, outcomes)) {
    ADD_FAILURE() << sentence;
  }
}

TEST(Conformance, EveryDisagreementWithTheListIsNamed) {
  const std::vector<Case> cases{{"as_listed"}, {"worse"}, {"new"}, {"better"}, {"fine"}};
  const std::vector<Outcome> outcomes{{Verdict::refused, "for another reason"},
                                      {Verdict::wrong, "1 of 2 values differ"},
                                      {Verdict::crashed, "Aborted"},
                                      {},
                                      {}};
  const List list{{"as_listed", Verdict::refused},
                  {"worse", Verdict::refused},
                  {"better", Verdict::wrong},
                  {"gone", Verdict::refused}};
  EXPECT_EQ(disagreements(list, cases, outcomes),
            (std::vector<std::string>{"worse is wrong, not refused as listed: 1 of 2 values differ",
                                      "new is crashed, not passed as listed: Aborted",
                                      "better passes: remove its line from refused.txt",
                                      "gone is no case: remove its line from refused.txt"}));
}

TEST(Conformance, ACrashEndsOneCaseOnly) {
  const std::vector<Case> cases{{"first"}, {"aborts"}, {"third"}, {"exits"}};
  const auto outcomes = try_isolated(cases, [] {
    return [](const Case& test) -> Outcome {
      if (test.name == "aborts") std::abort();
      if (test.name == "exits") std::_Exit(3);
      return {Verdict::refused, test.name};
    };
  });
  ASSERT_EQ(outcomes.size(), 4U);
  EXPECT_EQ(outcomes[0].reason, "first");
  EXPECT_EQ(outcomes[1].verdict, Verdict::crashed);
  EXPECT_EQ(outcomes[1].reason, "Aborted");
  EXPECT_EQ(outcomes[2].reason, "third");
  EXPECT_EQ(outcomes[3].verdict, Verdict::crashed);
  EXPECT_EQ(outcomes[3].reason, "ended with code 3");
}

}  // namespace

void parse_options(int count, char** arguments) {
  for (int i = 1; i < count; ++i) {
    const std::string_view argument = arguments[i];
    if (argument == "--update") {
      options.update = true;
    } else if (argument.starts_with("--cases=")) {
      options.cases = argument.substr(8);
    } else {
      std::fprintf(stderr, "unknown argument: %s\n", arguments[i]);
      std::exit(2);
    }
  }
}

}  // namespace convopt::conformance

int main(int argc, char** argv) {
  ::testing::InitGoogleTest(&argc, argv);
  convopt::conformance::parse_options(argc, argv);
  return RUN_ALL_TESTS();
}
