// Whatever happens to a file on its way, reading it answers; run under the sanitizers this is a
// small fuzz test of the reader.
#include <gtest/gtest.h>

#include <filesystem>
#include <random>
#include <string>
#include <vector>

#include "convopt/network.hpp"
#include "core/files.h"
#include "tests/network/schema.h"

namespace convopt {
namespace {

constexpr std::uint64_t kSeed = 20240229;

/// Pieces that mean something to the format, at the edges of what it accepts.
constexpr const char* kPieces[] = {"-1",          "0",
                                   "1",           "2147483647",
                                   "2147483648",  "99999999999999999999",
                                   "1e400",       "0.5",
                                   "[]",          "{}",
                                   "[1,2]",       "null",
                                   "true",        "\"same\"",
                                   "\"\"",        "\xff",
                                   ",",           "\"",
                                   "[[[[[[",      "\"op\":",
                                   "\"inputs\"",  "\"conv\"",
                                   "\\u0000",     "}",
                                   "16777216",    "\"batch_norm\"",
                                   "\"padding\"", "\"kernel\""};

std::string mutated(std::string text, std::mt19937_64& random) {
  const auto below = [&](std::size_t bound) { return static_cast<std::size_t>(random() % bound); };
  for (std::size_t left = 1 + below(4); left > 0 && !text.empty(); --left) {
    const std::size_t at = below(text.size());
    const std::size_t length = std::min(1 + below(40), text.size() - at);
    switch (below(7)) {
      case 0:
        text[at] = static_cast<char>(random());
        break;
      case 1:
        text.erase(at, length);
        break;
      case 2:
        text.insert(at, kPieces[below(std::size(kPieces))]);
        break;
      case 3:  // a piece of the file elsewhere
        text.insert(below(text.size()), text.substr(at, length));
        break;
      case 4:
        if (below(8) == 0) text.resize(at);
        break;
      default:  // another number: the mutation that most often leaves valid JSON
        const std::size_t digit = text.find_first_of("0123456789", at);
        if (digit == std::string::npos) break;
        const std::size_t end = text.find_first_not_of("0123456789", digit);
        text.replace(digit, end == std::string::npos ? end : end - digit,
                     kPieces[below(std::size(kPieces))]);
        break;
    }
  }
  return text;
}

TEST(Mutations, AreReadOrRefused) {
  RecordProperty("seed", std::to_string(kSeed));
  std::mt19937_64 random(kSeed);
  std::vector<std::string> originals;
  const auto folder = std::filesystem::path(CONVOPT_SOURCE_DIR) / "data/networks";
  // In a fixed order, whatever the file system's.
  for (const char* name : {"alexnet_paper", "squeezenet1_1", "unet", "vgg16", "resnet18"}) {
    auto text = read_file(folder / (std::string(name) + ".json"));
    ASSERT_TRUE(text) << text.error().message;
    originals.push_back(std::move(*text));
  }
  const Schema schema = Schema::of_networks();
  int accepted = 0;
  constexpr int kRounds = 2000;
  for (int round = 0; round < kRounds; ++round) {
    SCOPED_TRACE("seed " + std::to_string(kSeed) + ", round " + std::to_string(round));
    const std::string text = mutated(originals[round % originals.size()], random);
    const auto network = parse_network(text, "mutated.json");
    if (!network) {
      EXPECT_EQ(network.error().code, ErrorCode::bad_input);
      EXPECT_TRUE(network.error().message.starts_with("mutated.json: ")) << network.error().message;
      continue;
    }
    ++accepted;
    EXPECT_TRUE(schema.accepts(*parse_json(text, "mutated.json"))) << text;
    EXPECT_FALSE(network->operators.empty());
    for (const Operator& op : network->operators) {
      EXPECT_GT(network->tensors[op.outputs[0]].shape.elements(), 0);
      if (op.kind == OperatorKind::compute) {
        EXPECT_TRUE(Workload::parse(op.workload.text())) << op.workload.text();
      }
    }
  }
  // Both ways through the reader are exercised.
  RecordProperty("accepted", accepted);
  EXPECT_GT(accepted, kRounds / 50);
  EXPECT_LT(accepted, kRounds / 2);
}

}  // namespace
}  // namespace convopt
