// Runs one primitive on one workload in hostile surroundings and says what went wrong: outputs
// start as NaN, every buffer lies unaligned between canaries, views have gaps, the workspace is
// dirty.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "convopt/primitive.hpp"
#include "convopt/tensor.hpp"
#include "convopt/workload.hpp"

namespace convopt::harness {

/// A workload with the sources, weights and expected result that belong to it and a seed.
class Problem {
 public:
  Problem(std::string axis, const Workload& workload, std::uint64_t seed);

  const std::string& axis() const { return axis_; }  ///< what is special about it
  const Workload& workload() const { return workload_; }
  std::uint64_t seed() const { return seed_; }
  Parameters parameters() const;
  TensorView source(int index) const;  ///< dense nchw
  TensorView residual() const;
  TensorView expected() const;
  std::string text() const;

 private:
  std::string axis_;
  Workload workload_;
  std::uint64_t seed_;
  std::vector<float> weights_, bias_;
  std::vector<std::vector<float>> sources_;
  std::vector<float> residual_, expected_;
};

struct Setting {
  bool gaps = false;               ///< tensors are channel ranges of larger ones
  bool residual_in_place = false;  ///< the residual is the destination
};

/// Empty if all is well, otherwise one sentence.
std::string check(const Primitive& primitive, const Problem& problem, const Context& context,
                  const Setting& setting = {});

/// Problems for every operation: convolutions along named axes and a few of everything else.
std::vector<Problem> problems();

}  // namespace convopt::harness
