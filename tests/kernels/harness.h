// Runs one primitive on one workload in hostile surroundings and says what went wrong: outputs
// start as NaN, every buffer lies unaligned between canaries, views have gaps, the workspace is
// dirty.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "convopt/primitive.hpp"
#include "convopt/tensor.hpp"
#include "convopt/workload.hpp"

namespace convopt::harness {

/// A workload with sources, weights and the expected result. The data follow from the workload's
/// text and are made when they are first asked for.
class Problem {
 public:
  Problem(std::string axis, const Workload& workload);

  const std::string& axis() const { return axis_; }  ///< what is special about it
  const Workload& workload() const { return workload_; }
  Parameters parameters() const;
  TensorView source(int index) const;  ///< dense nchw
  TensorView residual() const;
  /// By weights that are rounded to that type, or as the workload wants them to be.
  TensorView expected(DataType weight_type = DataType::f32) const;
  std::string text() const { return axis_ + ", " + workload_.text(); }

  bool has_nan() const { return nan_; }
  /// The same with a NaN among the values of every source.
  Problem with_nan() const;
  /// The same with zero points other than 0 for all its tensors of u8, which
  /// may_have_zero_points().
  Problem with_zero_points() const;

 private:
  struct Data {
    std::vector<float> weights, bias;
    std::vector<std::vector<float>> sources;
    std::vector<float> residual, expected;
    Quantisation scales;
  };
  const Data& data() const;
  Quantisation scales(double largest) const;

  std::string axis_;
  Workload workload_;
  bool nan_ = false;
  bool zero_points_ = false;
  mutable std::shared_ptr<const Data> data_;
  mutable std::map<DataType, std::vector<float>> expected_of_;  ///< by the type of weights
};

/// Whether some of its tensors are quantised, and the result's zero point is its own.
bool may_have_zero_points(const Workload& workload);

struct Setting {
  bool gaps = false;               ///< tensors are channel ranges of larger ones
  bool residual_in_place = false;  ///< the residual is the destination
};

/// Empty if all is well, otherwise one sentence. With NaNs among the sources, all that is asked of
/// the result is a NaN wherever one is expected.
std::string check(const Primitive& primitive, const Problem& problem, const Context& context,
                  const Setting& setting = {});

/// Problems for every operation: convolutions along named axes and a few of everything else.
std::vector<Problem> problems();

/// Problems of any operation with shapes drawn at random. The same seed gives the same problems.
std::vector<Problem> random_problems(std::uint64_t seed);

/// Should the process crash while this exists (SIGSEGV, SIGBUS, SIGFPE, SIGILL), `what` is written
/// to standard error before it ends.
class CrashNote {
 public:
  explicit CrashNote(const std::string& what);
  ~CrashNote();
  CrashNote(const CrashNote&) = delete;
  CrashNote& operator=(const CrashNote&) = delete;
};

}  // namespace convopt::harness
