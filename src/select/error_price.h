// The fastest plan that errs no more than it may.
#pragma once

#include <chrono>
#include <map>
#include <vector>

#include "src/select/problem.h"

namespace convopt {

/// What share of the admissible error other types than the network's own use up. Errors of
/// different places are independent, so their squares add: a share is the square of the error that
/// a place alone causes at the outputs over the square of the admissible one.
struct ErrorShares {
  struct Places {
    std::vector<double> tensors;    ///< stored in that type
    std::vector<double> operators;  ///< multiplied by weights that are rounded to that type
  };
  /// s8 stands for u8, too: a tensor has one of them, and weights are s8.
  std::map<DataType, Places> of_types;

  double tensor(std::size_t tensor, DataType type) const;
  double weights(int op, DataType type) const;
};

/// The sum over the assignment.
double error_share(const Problem& problem, const Assignment& assignment, const ErrorShares& shares);

/// Like solve(), with an assignment whose share of error is at most `limit`: a price is put on it,
/// and the lowest price is sought at which the best assignment keeps the limit. What that finds may
/// miss the fastest one by a little, and does not count as proven optimal unless the limit changes
/// nothing. Fails only where there is no assignment in the network's own types, which err nothing.
Result<Solution> solve_within_error(const Problem& problem,
                                    std::chrono::duration<double> time_limit,
                                    const ErrorShares& shares, double limit);

}  // namespace convopt
