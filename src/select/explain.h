// Explanation of a choice: the cost of every other choice for one operator to the whole network.
#pragma once

#include <chrono>
#include <string>
#include <vector>

#include "src/select/problem.h"

namespace convopt {

struct Explanation {
  struct Alternative {
    const Primitive* primitive = nullptr;  ///< null: computed in the epilogue of another operator
    Option option;                         ///< as the best plan with this primitive uses it
    Cost cost;                             ///< of the operator with what it absorbs
    std::vector<int> absorbed;             ///< operators
    double plan_ns = 0;                    ///< expected of the best plan with this primitive
    double risk_adjusted_ns = 0;           ///< of that plan (Cost)
    double elsewhere_ns = 0;  ///< what that plan costs more than the best one on other operators
                              ///< and conversions: the price of its layouts
    bool chosen = false;
  };
  struct Absent {
    const Primitive* primitive = nullptr;
    std::string reason;
  };
  std::vector<Alternative> alternatives;  ///< best plan first
  std::vector<Absent> absent;
};

/// Solves the problem once per primitive of the operator. `best` is the problem's solution.
Explanation explain(const Problem& problem, const Solution& best, int op,
                    std::chrono::duration<double> time_limit);

}  // namespace convopt
