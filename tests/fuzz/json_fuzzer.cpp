// The readers of network, plan and calibration files.
#include <algorithm>
#include <iterator>
#include <random>
#include <string>
#include <string_view>

#include "convopt/calibration.hpp"
#include "convopt/plan.hpp"
#include "tests/fuzz/fuzz.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace convopt;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  fuzz::check(parse_network(text, "fuzz"));
  // What is read can be written, and that be read again.
  const auto plan = parse_plan(text, "fuzz");
  fuzz::check_error(plan);
  if (plan) fuzz::require_read(parse_plan(to_json(*plan), "fuzz"));
  const auto calibration = parse_calibration(text, "fuzz");
  fuzz::check_error(calibration);
  if (calibration) fuzz::require_read(parse_calibration(to_json(*calibration), "fuzz"));
  return 0;
}

extern "C" std::size_t LLVMFuzzerCustomMutator(std::uint8_t* data, std::size_t size,
                                               std::size_t max_size, unsigned seed) {
  constexpr std::string_view kValues[] = {
      "-1",        "0",        "1",         "2",          "3",
      "7",         "16777216", "16777217",  "2147483647", "2147483648",
      "-0",        "[]",       "{}",        "null",       "true",
      "1e400",     "0.5",      "\"\"",      "[1,2]",      "[3,3]",
      "[0,1,2,3]", "\"same\"", "\"valid\"", "[1,1,2,2]",  "99999999999999999999"};
  constexpr std::string_view kOps[] = {"conv",
                                       "max_pool",
                                       "avg_pool",
                                       "global_max_pool",
                                       "global_avg_pool",
                                       "fully_connected",
                                       "relu",
                                       "clip",
                                       "elu",
                                       "pow",
                                       "add",
                                       "multiply",
                                       "subtract",
                                       "divide",
                                       "concat",
                                       "softmax",
                                       "layer_norm",
                                       "slice",
                                       "shuffle",
                                       "pad",
                                       "transpose",
                                       "depth_to_space",
                                       "lrn",
                                       "upsample",
                                       "flatten",
                                       "reshape",
                                       "batch_norm",
                                       "dropout",
                                       "identity",
                                       "whatever"};
  std::mt19937 random(seed);
  const auto below = [&](std::size_t bound) { return static_cast<std::size_t>(random() % bound); };
  std::string text(reinterpret_cast<const char*>(data), size);
  if (text.empty()) return 0;
  const std::size_t from = below(text.size());
  // From one quote to the next a name or a key; digits are numbers.
  const auto quoted = [&](std::size_t at, std::size_t& end) {
    const std::size_t start = text.find('"', at);
    if (start == std::string::npos) return start;
    end = text.find('"', start + 1);
    return end == std::string::npos ? end : start + 1;
  };
  std::size_t end = 0;
  switch (below(5)) {
    case 0: {
      constexpr std::string_view kOp = "\"op\":";
      const std::size_t at = text.find(kOp, from);
      if (at == std::string::npos) break;
      const std::size_t start = quoted(at + kOp.size(), end);
      if (start == std::string::npos) break;
      text.replace(start, end - start, kOps[below(std::size(kOps))]);
      break;
    }
    case 1: {  // one quoted text in the place of another
      std::size_t other_end = 0;
      const std::size_t other = quoted(below(text.size()), other_end);
      if (other == std::string::npos) break;
      const std::string name = text.substr(other, other_end - other);
      const std::size_t start = quoted(from, end);
      if (start != std::string::npos) text.replace(start, end - start, name);
      break;
    }
    case 2: {  // an operator more, fewer, or elsewhere
      const std::size_t start = text.find('{', from);
      end = text.find('}', from);
      if (start == std::string::npos || end == std::string::npos || end < start) break;
      const std::string piece = text.substr(start, end + 1 - start);
      const std::size_t place = text.find('{', below(text.size()));
      if (place != std::string::npos) text.insert(place, piece + ",");
      break;
    }
    default: {
      const std::size_t start = text.find_first_of("0123456789", from);
      if (start == std::string::npos) break;
      end = std::min(text.find_first_not_of("0123456789.", start), text.size());
      text.replace(start, end - start, kValues[below(std::size(kValues))]);
    }
  }
  if (text.size() > max_size) return 0;
  std::ranges::copy(text, data);
  return text.size();
}
