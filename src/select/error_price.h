// The fastest plan within an error budget, by Lagrangian relaxation.
#pragma once

#include <chrono>
#include <map>
#include <vector>

#include "src/select/problem.h"

namespace convopt {

/// Shares of the admissible error that rounding to other types than the network's own uses up.
/// Errors of different tensors are independent, so their squares add: a share is the square of the
/// error that one tensor or one layer's weights cause at the outputs, over the square of the
/// admissible error.
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

/// Like solve(), with an assignment whose share of error is at most `limit`: minimises time plus a
/// multiplier times the share, with the lowest multiplier at which the best assignment keeps the
/// limit. Because of the duality gap the result may be slightly slower than the optimum, and it
/// does not count as proven optimal unless the limit changes nothing. Fails only where there is no
/// assignment in the network's own types, whose error is zero.
Result<Solution> solve_within_error(const Problem& problem,
                                    std::chrono::duration<double> time_limit,
                                    const ErrorShares& shares, double limit);

}  // namespace convopt
