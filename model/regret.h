// Regret: how much longer the primitives predicted fastest take than the fastest.
#pragma once

#include <algorithm>
#include <cmath>

namespace convopt {

/// The primitives of one workload, of which the one predicted fastest is taken; the first one of
/// equals. Measured times may be on any increasing scale.
struct Decision {
  double predicted = INFINITY;         ///< smallest so far
  double chosen = 0, best = INFINITY;  ///< measured: of the one taken, and the smallest
  int candidates = 0;

  void add(double predicted_time, double measured_time) {
    if (candidates == 0 || predicted_time < predicted) {
      predicted = predicted_time;
      chosen = measured_time;
    }
    best = std::min(best, measured_time);
    ++candidates;
  }
};

/// Time of what was taken over time of the best, both summed over a map's choices; 1 without any.
template <class Decisions>
double total_regret(const Decisions& choices) {
  double chosen = 0, best = 0;
  for (const auto& [key, choice] : choices) {
    chosen += choice.chosen;
    best += choice.best;
  }
  return best > 0 ? chosen / best : 1;
}

}  // namespace convopt
