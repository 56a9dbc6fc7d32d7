// A workload with data: tensors in every layout, weights, and the reference result.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <span>
#include <vector>

#include "convopt/primitive.hpp"
#include "profiler/buffer.h"

namespace convopt {

class Instance {
 public:
  Instance(Workload workload, std::uint64_t seed);

  const Workload& workload() const { return workload_; }
  Parameters parameters() const { return {weights_.values(), bias_.values(), scales_}; }
  /// Buffers that are not needed yet are made here. The destination is shared by all primitives.
  /// Valid as long as the instance.
  RunArgs args(const PrimitiveInfo& primitive, void* workspace);
  /// Fills the destination with NaN, or with the residual where the primitive overwrites that.
  void reset(const PrimitiveInfo& primitive, const RunArgs& args) const;
  /// max|error| / max|reference| of what a kernel left in the destination; infinity if an element
  /// is not finite, was not written, or the channel tail is not zero. Convolutions and fully
  /// connected layers are compared at a sample of points, at edges and corners above all, the rest
  /// in full. The reference multiplies by weights that are rounded to `weight_type`.
  double error(const RunArgs& args, DataType weight_type);
  /// For error_bound(), where the error that was just returned is above that of random data.
  double condition();

  /// Bytes of the tensors that one primitive sees.
  static std::size_t tensor_bytes(const Workload& workload, const PrimitiveInfo& primitive);

 private:
  struct Point {
    int n, c, h, w;
    double expected;  ///< not rounded, in steps of the scale where the result is quantised
  };
  struct Sources {
    std::vector<Buffer> buffers;
    std::vector<TensorView> views;
  };

  /// Whether it is a sum of products for each result.
  bool multiplies() const {
    return workload_.op == Op::conv || workload_.op == Op::fully_connected;
  }
  Sources& sources(Layout layout);
  TensorView residual(Layout layout);
  void choose_scale();
  double point_error(const TensorView& result, DataType weight_type);
  /// Makes the points, with what is expected of such weights.
  std::vector<Point>& points(DataType weight_type);
  double expected_at(const Point& point, DataType weight_type);

  Workload workload_;
  std::uint64_t seed_;
  Quantisation scales_;
  Buffer weights_, bias_, destination_;
  std::map<Layout, Sources> sources_;
  std::map<Layout, Buffer> residuals_;
  std::map<DataType, std::vector<Point>> points_;  ///< by the type of weights
  Buffer expected_;  ///< nchw, not rounded; only where results are compared in full
};

}  // namespace convopt
