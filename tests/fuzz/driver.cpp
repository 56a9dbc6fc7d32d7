// Runs a fuzz target without libFuzzer: replays a corpus, then mutates its files for some seconds.
//
//   fuzz_TARGET CORPUS SECONDS [SEED]     every round follows from seed and number alone
//   fuzz_TARGET CORPUS round NUMBER [SEED]     that round again
//
// The number of the round is kept in fuzz_TARGET.round, which remains if the target ends the
// program.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <string>
#include <vector>

#include "tests/fuzz/fuzz.h"

namespace {

using Bytes = std::vector<std::uint8_t>;
constexpr std::size_t kMaxSize = 1 << 16;
/// A reader that computes longer for a file of this size hangs, even under sanitizers. Time in
/// which the process did not run, because others did or it was stopped, does not count.
constexpr double kMaxSeconds = 20;

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

std::vector<Bytes> load(const std::filesystem::path& folder) {
  std::vector<std::filesystem::path> paths;
  for (const auto& entry : std::filesystem::directory_iterator(folder))
    paths.push_back(entry.path());
  std::ranges::sort(paths);
  std::vector<Bytes> corpus;
  for (const auto& path : paths) {
    std::ifstream file(path, std::ios::binary);
    corpus.emplace_back(std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>());
  }
  return corpus;
}

void change_bytes(Bytes& bytes, const Bytes& other, std::mt19937_64& random) {
  const auto below = [&](std::size_t bound) { return static_cast<std::size_t>(random() % bound); };
  if (bytes.empty()) return;
  const std::size_t at = below(bytes.size());
  const auto place = bytes.begin() + static_cast<std::ptrdiff_t>(at);
  const auto piece = [&](std::size_t size) {
    return static_cast<std::ptrdiff_t>(std::min(1 + below(32), size));
  };
  switch (below(6)) {
    case 0:
      bytes[at] = static_cast<std::uint8_t>(random());
      break;
    case 1:
      bytes[at] ^= static_cast<std::uint8_t>(1U << below(8));
      break;
    case 2:
      bytes.erase(place, place + piece(bytes.size() - at));
      break;
    case 3: {
      if (other.empty()) break;
      const std::size_t from = below(other.size());
      const auto start = other.begin() + static_cast<std::ptrdiff_t>(from);
      bytes.insert(place, start, start + piece(other.size() - from));
      break;
    }
    case 4:
      if (below(8) == 0) bytes.resize(at);
      break;
    default: {
      const std::uint8_t edges[] = {0x00, 0x01, 0x7f, 0x80, 0xff};
      std::fill_n(place, piece(bytes.size() - at), edges[below(std::size(edges))]);
    }
  }
}

Bytes input_of_round(const std::vector<Bytes>& corpus, std::uint64_t seed, std::uint64_t round) {
  std::seed_seq both{seed, round};
  std::mt19937_64 random(both);
  const auto any = [&] { return corpus[static_cast<std::size_t>(random() % corpus.size())]; };
  Bytes bytes = any();
  // Mostly changes that leave something to read.
  const bool by_bytes = random() % 4 == 0;
  for (std::uint64_t left = 1 + random() % 6; left > 0; --left) {
    if (by_bytes) {
      change_bytes(bytes, any(), random);
      continue;
    }
    const std::size_t size = bytes.size();
    bytes.resize(std::max(kMaxSize, size));
    const std::size_t changed =
        LLVMFuzzerCustomMutator(bytes.data(), size, bytes.size(), static_cast<unsigned>(random()));
    bytes.resize(changed > 0 ? changed : size);
  }
  return bytes;
}

void run(const Bytes& bytes) {
  const std::clock_t start = std::clock();
  LLVMFuzzerTestOneInput(bytes.data(), bytes.size());
  const double seconds = static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC;
  if (seconds < kMaxSeconds) return;
  std::fprintf(stderr, "one input took %.1f seconds\n", seconds);
  std::abort();
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 3) {
    std::fprintf(stderr, "usage: %s CORPUS SECONDS [SEED] | %s CORPUS round NUMBER [SEED]\n",
                 argv[0], argv[0]);
    return 2;
  }
  const std::vector<Bytes> corpus = load(argv[1]);
  const bool single = std::string(argv[2]) == "round";
  const int at_seed = single ? 4 : 3;
  const std::uint64_t seed = argc > at_seed ? std::strtoull(argv[at_seed], nullptr, 10) : 1;
  if (corpus.empty() || (single && argc < 4)) {
    std::fprintf(stderr, "%s: no corpus, or no round\n", argv[0]);
    return 2;
  }
  if (single) {
    run(input_of_round(corpus, seed, std::strtoull(argv[3], nullptr, 10)));
    return 0;
  }
  for (const Bytes& bytes : corpus) run(bytes);
  const std::string kept = std::filesystem::path(argv[0]).filename().string() + ".round";
  std::FILE* const file = std::fopen(kept.c_str(), "w");
  if (file == nullptr) return 4;
  const auto start = std::chrono::steady_clock::now();
  std::uint64_t round = 0;
  for (const double wanted = std::strtod(argv[2], nullptr); seconds_since(start) < wanted;
       ++round) {
    std::rewind(file);
    std::fprintf(file, "%llu seed %llu\n", static_cast<unsigned long long>(round),
                 static_cast<unsigned long long>(seed));
    std::fflush(file);
    run(input_of_round(corpus, seed, round));
  }
  std::fclose(file);
  std::filesystem::remove(kept);
  std::printf("%zu files and %llu rounds with seed %llu\n", corpus.size(),
              static_cast<unsigned long long>(round), static_cast<unsigned long long>(seed));
}
