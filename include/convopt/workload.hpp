// Workloads: the operations of a network with their shapes, types and epilogues.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "convopt/error.hpp"
#include "convopt/tensor.hpp"

namespace convopt {

/// The largest size of a tensor or a window, and the largest padding.
inline constexpr int kMaxDimension = 1 << 24, kMaxPadding = 4096;

/// The arithmetic of one two-dimensional convolution (cross-correlation, as in every framework).
/// Weights are ordered [oc][ic / groups][kh][kw]; oc and ic are multiples of groups.
/// A dilation of 1 is an ordinary, dense kernel.
struct ConvShape {
  int n = 1;
  int ic = 1, ih = 1, iw = 1;
  int oc = 1;
  int kh = 1, kw = 1;
  int stride_h = 1, stride_w = 1;
  int pad_top = 0, pad_bottom = 0, pad_left = 0, pad_right = 0;
  int dilation_h = 1, dilation_w = 1;
  int groups = 1;

  int extent_h() const { return (kh - 1) * dilation_h + 1; }  ///< rows that one output row reads
  int extent_w() const { return (kw - 1) * dilation_w + 1; }
  int oh() const { return (ih + pad_top + pad_bottom - extent_h()) / stride_h + 1; }
  int ow() const { return (iw + pad_left + pad_right - extent_w()) / stride_w + 1; }
  TensorShape input() const { return {n, ic, ih, iw}; }
  TensorShape output() const { return {n, oc, oh(), ow()}; }
  bool is_depthwise() const { return groups > 1 && groups == ic && groups == oc; }

  /// Nominal floating-point operations, two per multiply-add, taps in the padding included.
  double flops() const;
  /// The same without the taps that fall into the padding: what a kernel cannot avoid.
  double flops_inside() const;
  std::int64_t weight_elements() const { return std::int64_t{oc} * (ic / groups) * kh * kw; }

  /// Canonical text, e.g. `n1_ic64_ih56_iw56_oc64_kh3_kw3_s1_p1`. Parts in this order; optional
  /// ones are left out at their defaults: `s1` or `sh2_sw1`; `p1` or `pt0_pb1_pl0_pr1`; `d2` or
  /// `dh1_dw2`; `g32`.
  std::string text() const;
  static Result<ConvShape> parse(std::string_view text);
  /// Rejects sizes that are not positive, groups that do not divide, outputs that would be empty,
  /// and tensors of more than 2^31 - 1 elements.
  Result<void> validate() const;

  bool operator==(const ConvShape&) const = default;
};

enum class Op : std::uint8_t {
  conv,
  convert,  ///< to another layout or type; the primitive says which layouts
  max_pool,
  avg_pool_include,  ///< the divisor counts padding
  avg_pool_exclude,  ///< the divisor counts only elements inside the image
  activation,
  add,
  concat,
  fully_connected,
  softmax,  ///< over channels
  lrn,      ///< local response normalisation across channels
  upsample_nearest,
  upsample_bilinear,  ///< half-pixel centres
  upsample_corners,   ///< bilinear, the corners of source and result coincide
  multiply,
  subtract,        ///< the second source from the first
  divide,          ///< the first source by the second
  slice,           ///< every step-th channel of a range
  shuffle,         ///< channels as a matrix of `groups` rows, transposed
  pad,             ///< zeros around the image
  depth_to_space,  ///< channel c * fh * fw + y * fw + x becomes pixel (y, x) of channel c
  transpose,       ///< dimensions in another order
  layer_norm,      ///< over channels: zero mean, unit variance, then scaled and shifted
  maximum,         ///< the larger of two; NaN if one is
  minimum,         ///< the smaller of two; NaN if one is
  power,           ///< the first source to the power of the second
  modulo,          ///< remainder of the division, with the sign of the divisor (Python's %)
  remainder,       ///< remainder of the division, with the sign of the dividend (C's fmod)
  equal,           ///< 1 where both are equal, else 0; so do the next two
  less,            ///< the first is less
  less_or_equal,
  select,      ///< the second source where the first is not zero, else the third
  expand,      ///< sizes of 1 repeated
  reduce_sum,  ///< over some dimensions, which stay with a size of 1; so do the next four
  reduce_mean,
  reduce_maximum,
  reduce_minimum,
  reduce_product,
  arg_maximum,      ///< index of the first largest element along an axis, which stays with size 1
  arg_minimum,      ///< the same of the smallest
  matmul,           ///< products of matrices, the last two dimensions of both sources
  gather,           ///< slices of the first source along an axis, by indices that the second holds
  gather_elements,  ///< single elements along an axis, by indices of the result's shape
  resample,         ///< along an axis, weighted sums of a few elements, the same for all rows
  top_k,            ///< the largest elements along an axis, in descending order
  top_k_indices,    ///< where they are; of equal ones the first comes first
  cumulative_sum,   ///< along an axis
  prelu,            ///< the first source where it is not negative, else it times the second
  scatter,          ///< the first source with elements or slices along an axis replaced: the second
                    ///< source says where, the third by what; of several, the last one counts
  scatter_add,      ///< the same, added to what is there; and so on
  scatter_multiply,
  scatter_maximum,
  scatter_minimum,
  grid_sample,  ///< image values at the coordinates that the second source has for each pixel
  roi_average,  ///< RoiAlign: regions that the second source names, as images of one size
  roi_maximum,
  lstm,  ///< long short-term memory over a sequence, in one direction or both
  gru,   ///< gated recurrent units, likewise
};
inline constexpr int kOpCount = 58;

std::string_view to_string(Op op);

enum class ActivationKind : std::uint8_t {
  none,
  relu,
  clip,        ///< min(max(x, alpha), beta); ReLU6 is clip with 0 and 6
  leaky_relu,  ///< x < 0 ? alpha * x : x
  elu,         ///< x < 0 ? alpha * (exp(x) - 1) : x
  sigmoid,
  tanh,
  swish,         ///< x * sigmoid(x), also called SiLU
  hard_sigmoid,  ///< min(max(x / 6 + 1/2, 0), 1)
  hard_swish,    ///< x * hard_sigmoid(x)
  gelu,          ///< the exact form with erf
  erf,
  exp,
  pow,  ///< x to the power of alpha
  log,
  sin,
  cos,
  tan,
  asin,
  acos,
  atan,
  sinh,
  cosh,
  asinh,
  acosh,
  atanh,
  abs,
  sign,
  floor,
  ceil,
  round,             ///< to the nearest integer, halves to even
  truncate,          ///< to an integer, towards zero
  softplus,          ///< log(exp(x) + 1)
  softsign,          ///< x / (1 + |x|)
  selu,              ///< beta * (x < 0 ? alpha * (exp(x) - 1) : x)
  celu,              ///< x < 0 ? alpha * (exp(x / alpha) - 1) : x
  thresholded_relu,  ///< x > alpha ? x : 0
  mish,              ///< x * tanh(softplus(x))
  gelu_tanh,         ///< GELU by its approximation with tanh
  shrink,            ///< x < -alpha ? x + beta : x > alpha ? x - beta : 0
  is_zero,           ///< 1 where x is zero, else 0: logical negation
  is_nan,            ///< 1 where x is NaN, else 0
  quantise,          ///< alpha * n, n the integer nearest to x / alpha in [beta, beta + 255]
};
inline constexpr std::size_t kActivationCount =
    static_cast<std::size_t>(ActivationKind::quantise) + 1;

struct Activation {
  ActivationKind kind = ActivationKind::none;
  float alpha = 0.0F, beta = 0.0F;

  float operator()(float x) const;
  /// `relu`, `clip(0,6)`, `leaky_relu(0.1)`, …; empty for none.
  std::string text() const;
  static Result<Activation> parse(std::string_view text);
  bool operator==(const Activation&) const = default;
};

/// What is fused behind an operation: activation(result + bias + residual). Convolutions and fully
/// connected layers always have a bias, so it is no option.
struct Epilogue {
  bool residual = false;
  Activation activation;
  /// Only where it is not the result's: s8 for a result of u8 and the other way round.
  std::optional<DataType> residual_type = {};
  bool operator==(const Epilogue&) const = default;
};

/// Padding mode of grid_sample: values outside of the image.
enum class Border : std::uint8_t {
  zeros,
  nearest,         ///< the nearest element
  mirrored,        ///< at the centres of the outermost elements
  mirrored_edges,  ///< at their outer edges
};

/// An operation with its shapes, types and epilogue: the unit that is timed and planned. One plain
/// struct for every operation: `op` says which members are used, all others keep their defaults.
/// The operation's descriptor (core/ops) lists them, with their text form.
struct Workload {
  Op op = Op::conv;
  /// conv; pooling, with ic = oc = groups (a ceiling mode shows as larger bottom and right
  /// paddings); fully_connected, with n, ic and oc alone.
  ConvShape shape;
  Epilogue epilogue;
  DataType input_type = DataType::f32;   ///< of all sources
  DataType output_type = DataType::f32;  ///< of the result
  /// add: of the second source, only where that is s8 and the first u8, or the other way round.
  std::optional<DataType> second_type = {};
  /// Of quantised tensors: some have other zero points than 0, which the kernel has to handle, see
  /// minds_zero_points() in core/quantisation.h.
  bool zero_points = false;
  /// conv of f32 without groups: a second source, n x ic x 1 x 1, multiplies the channels of the
  /// first.
  bool scaled = false;

  // All other operations.
  TensorShape first;  ///< shape of the first source
  /// Operations of two sources, element by element: every size is the first one's or 1, which is
  /// repeated. expand: the result's shape. matmul, gather, gather_elements: the second source's.
  /// scatter*: that of the indices, which are one per element of the third source if they have the
  /// first one's rank, one per slice if they have one dimension. grid_sample: the grid, n x rows x
  /// columns x 2 coordinates (column, row) in elements of the image. roi_*: regions x 4 corners
  /// (first column and row, last column and row), in elements of the image; a third source holds
  /// the number of the image of each region. lstm, gru: the states before the first step,
  /// directions x batch x hidden, after a sequence of steps x batch x inputs; lstm has the cells'
  /// states, of the same shape, as its third source. The result is steps x directions x batch x
  /// hidden, in the order of the sequence in both directions.
  TensorShape second;
  int axis = 1;             ///< the dimension that it works along, where it is one
  std::vector<int> axes;    ///< reduce_*: dimensions, ascending
  std::vector<int> parts;   ///< concat: size of each source along the axis
  int begin = 0, step = 1;  ///< slice: first element along the axis, and distance of the next
  int count = 0;            ///< slice, resample, top_k: the result's elements along the axis
  int groups = 1;           ///< shuffle: rows of the matrix of channels
  /// lrn: channels that are squared and added; resample: elements; grid_sample: of each direction
  /// 1 (the nearest), 2 (linear) or 4 (cubic); roi_*: places per direction that stand for an
  /// element of the result, 0: one per element of the image.
  int window = 1;
  int border = 0;      ///< grid_sample: a Border
  int transposed = 0;  ///< matmul: 1 if the second source's last two dimensions are swapped
  int reversed = 0;    ///< lstm, gru of one direction: 1 if from the last step to the first
  int keeps_cell = 0;  ///< lstm: 1 if the cells' last states follow the steps of the result
  /// gru: 1 if the reset gate multiplies what weights and bias make of the state, 0 if the state.
  int reset_after = 0;
  /// upsample_*, depth_to_space: of rows and columns. roi_*: the result's rows and columns.
  std::array<int, 2> factors = {1, 1};
  std::array<int, 4> pads = {0, 0, 0, 0};  ///< pad: top, bottom, left, right
  std::vector<int> order;                  ///< transpose: the source's dimension of each result's
  // Constants that do not affect the time, so that they are not part of the text.
  float lrn_alpha = 1e-4F, lrn_beta = 0.75F, lrn_k = 1.0F;
  float epsilon = 1e-5F;  ///< layer_norm: added to the variance

  static Workload conv(const ConvShape& shape, const Epilogue& epilogue = {});
  static Workload pool(Op op, const ConvShape& window);
  static Workload fully_connected(int n, int ic, int oc, const Activation& activation = {});
  /// convert, activation, softmax, and add of two tensors of this shape.
  static Workload pointwise(Op op, const TensorShape& shape, const Epilogue& epilogue = {});
  /// Along the channels.
  static Workload concat(const TensorShape& result, std::vector<int> parts);
  static Workload lrn(const TensorShape& shape, int window);
  static Workload upsample(Op op, const TensorShape& shape, int factor_h, int factor_w);
  /// add, multiply, subtract and divide.
  static Workload binary(Op op, const TensorShape& first, const TensorShape& second);
  /// Of the channels.
  static Workload slice(const TensorShape& shape, int begin, int count, int step);
  static Workload shuffle(const TensorShape& shape, int groups);
  static Workload pad(const TensorShape& shape, int top, int bottom, int left, int right);
  static Workload depth_to_space(const TensorShape& shape, int factor_h, int factor_w);
  static Workload transpose(const TensorShape& shape, std::vector<int> order);
  static Workload layer_norm(const TensorShape& shape, float epsilon);
  static Workload expand(const TensorShape& shape, const TensorShape& result);
  /// `op` is one of reduce_*.
  static Workload reduce(Op op, const TensorShape& shape, std::vector<int> axes);
  /// arg_maximum, arg_minimum, cumulative_sum, softmax.
  static Workload along(Op op, const TensorShape& shape, int axis);
  static Workload matmul(const TensorShape& first, const TensorShape& second, bool transposed);
  /// gather and gather_elements.
  static Workload gather(Op op, const TensorShape& shape, const TensorShape& indices, int axis);
  /// `op` is one of scatter*.
  static Workload scatter(Op op, const TensorShape& shape, const TensorShape& indices, int axis);
  static Workload grid_sample(const TensorShape& shape, const TensorShape& grid, int window,
                              Border border);
  /// roi_average and roi_maximum.
  static Workload roi(Op op, const TensorShape& shape, int regions, int rows, int columns,
                      int window);
  /// lstm and gru; `state` as `second`.
  static Workload recurrent(Op op, const TensorShape& sequence, const TensorShape& state);
  static Workload resample(const TensorShape& shape, int axis, int count, int window);
  /// top_k and top_k_indices.
  static Workload top_k(Op op, const TensorShape& shape, int axis, int count);
  /// The same operation on data of another type.
  Workload of_type(DataType type) const;

  DataType source_type(int index) const {
    return index == 1 ? second_type.value_or(input_type) : input_type;
  }
  /// Only where the epilogue has a residual.
  DataType residual_type() const { return epilogue.residual_type.value_or(output_type); }
  TensorShape input() const { return source(0); }  ///< of the first source
  TensorShape output() const;
  int source_count() const;
  TensorShape source(int index) const;
  /// Whether `shape` says what it computes, not `first`.
  bool has_conv_shape() const;
  /// On image tensors, and along the channels if along an axis. Some operations have no such form.
  bool is_image() const;
  /// Whether the second source is repeated along some dimension of the first.
  bool repeats() const { return second != first; }
  /// Those of layer_norm are a scale per channel, its bias is the shift. Those of resample are the
  /// indices of `window` elements for each result along the axis, [count][window], then their
  /// factors in the same order. Those of lstm and gru are, as in ONNX, [direction][gate][hidden] by
  /// inputs, then by hidden; the bias is [direction] of [gate][hidden] beside the inputs' weights,
  /// then of [gate][hidden] beside the state's. Gates are input, output, forget, cell and update,
  /// reset, hidden.
  bool has_weights() const {
    return op == Op::conv || op == Op::fully_connected || op == Op::layer_norm ||
           op == Op::resample || is_recurrent();
  }
  bool is_recurrent() const { return op == Op::lstm || op == Op::gru; }
  /// Refuses what cannot be computed, sizes beyond 2^24 and tensors of more than 2^31 - 1 elements.
  Result<void> validate() const;
  std::int64_t weight_elements() const;
  std::int64_t bias_elements() const;

  /// Canonical text, the key of every store: `op:shape[:epilogue]`, for example
  ///   conv:n1_ic64_ih56_iw56_oc64_kh3_kw3_s1_p1:add+relu
  ///   max_pool:n1_c64_ih112_iw112_kh3_kw3_s2_p1      convert:n1_c64_h56_w56
  ///   concat:n1_c64+128+32+32_h28_w28                fully_connected:n1_ic512_oc1000
  ///   lrn:n1_c64_h27_w27_k5                          upsample_nearest:n1_c64_h28_w28_s2
  ///   multiply:n1_c96_h28_w28_by1x96x1x1             slice:n1_ic116_oc58_h28_w28_from58
  ///   shuffle:n1_c116_h28_w28_g2                     transpose:n1_c255_h20_w20_order0231
  /// Tensors that are no images have all their sizes, `activation:d2x25x97:sigmoid`, and an axis
  /// other than 1, `softmax:d8x197x197_axis2`. Types other than f32 end the shape:
  /// `convert:n1_c64_h56_w56_bf16` reads and writes bf16, `convert:n1_c64_h56_w56_u8_s32` reads u8
  /// and writes s32, `add:n1_c64_h56_w56_s8+u8_u8` adds u8 to s8. A residual of another type than
  /// the result says so, `:add_s8+relu`. A convolution of a product with factors ends in `_scaled`,
  /// `conv:n1_ic96_ih56_iw56_oc24_kh1_kw1_s1_p0_scaled`.
  std::string text() const;
  static Result<Workload> parse(std::string_view text);

  bool operator==(const Workload&) const = default;
};

}  // namespace convopt
