// Random numbers that are the same on every machine: the standard library's distributions and
// <cmath> are not.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>

namespace convopt {

/// SplitMix64.
class Random {
 public:
  explicit Random(std::uint64_t seed) : state_(seed) {}

  std::uint64_t bits() {
    std::uint64_t z = state_ += 0x9E3779B97F4A7C15ULL;
    z = (z ^ (z >> 30U)) * 0xBF58476D1CE4E5B9ULL;
    z = (z ^ (z >> 27U)) * 0x94D049BB133111EBULL;
    return z ^ (z >> 31U);
  }
  /// In [0, 1).
  double unit() { return static_cast<double>(bits() >> 11U) * 0x1.0p-53; }
  /// In [0, count); the bias of at most count / 2^32 does not matter here.
  int below(int count) {
    return static_cast<int>(((bits() >> 32U) * static_cast<std::uint64_t>(count)) >> 32U);
  }
  bool chance(double probability) { return unit() < probability; }
  template <class T>
  const T& pick(std::span<const T> choices) {
    return choices[static_cast<std::size_t>(below(static_cast<int>(choices.size())))];
  }
  /// In [low, high], each octave equally likely. Exact arithmetic only.
  int octave_uniform(int low, int high) {
    for (;;) {
      int octaves = 0;
      while ((low << (octaves + 1)) <= high) ++octaves;
      const int first = low << below(octaves + 1);
      const int value = first + below(first);
      if (value <= high) return value;
    }
  }
  template <class T>
  void shuffle(std::span<T> values) {
    for (std::size_t i = values.size(); i > 1; --i) {
      std::swap(values[i - 1], values[static_cast<std::size_t>(below(static_cast<int>(i)))]);
    }
  }

 private:
  std::uint64_t state_;
};

}  // namespace convopt
