// Primitives: stateless descriptions of one way to compute one kind of workload from one layout to
// another; `prepare` makes a Kernel that can run.
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "convopt/error.hpp"
#include "convopt/platform.hpp"
#include "convopt/tensor.hpp"
#include "convopt/workload.hpp"

namespace convopt {

enum class Algorithm : std::uint8_t {
  unknown,   ///< of a library that does not tell
  direct,    ///< register tile over pixels and output channels, reduction loops inside
  gemm,      ///< matrix product over a patch matrix, or over the tensor itself for 1x1
  indirect,  ///< matrix product over pointers into the image
  kn2row,    ///< one 1x1 product per tap, accumulated
  winograd,
  fft,
  copy,  ///< moves or combines values, a few operations per element
  mec,   ///< matrix products over overlapping windows of an image lowered along its width
};
std::string_view to_string(Algorithm algorithm);

/// Static properties of a primitive: features by which the performance model predicts it, even if
/// it was never timed. Zero means "not known".
struct Traits {
  Algorithm algorithm = Algorithm::unknown;
  DataType product_type = DataType::f32;  ///< of the operands of its multiplications
  /// Of weights that are kept in a shorter type than that and become numbers of it on their way
  /// into a product: bf16, or s8 with a scale per output channel. f32: they are kept as they are
  /// multiplied.
  DataType weight_type = DataType::f32;
  /// Multiplies in vector registers even where the machine has larger ones for that type (AMX).
  bool vector_products = false;
  std::string cost;                      ///< name of its cost structure (primitives/primitives.inc)
  int tile_oc = 0, tile_pixels = 0;      ///< register tile of its inner product, in values
  int transform_h = 0, transform_w = 0;  ///< Winograd or FFT: points per transformed tile
  /// Winograd: outputs per tile. Zero for FFT, where they follow from points and kernel.
  int output_h = 0, output_w = 0;
  /// Winograd: most transformed tiles worked through together; all weights pass by once for each
  /// such block. Zero: all tiles at once.
  int block_tiles = 0;
  double packed_bytes_per_input_byte = 0;  ///< copies of the image made while running
  /// Error of a result relative to that of direct convolution in single precision (1). Figures for
  /// Winograd: F(2,3) 1, F(4,3) 3, F(5,3) 4, F(6,3) 8.5. FFT: 1.
  double error_amplification = 1;
  bool overwrites_residual = false;  ///< the residual must be the destination (oneDNN's `sum`)
  bool strided_views = false;        ///< sources and destination may be views with gaps
  bool zero_points = false;          ///< computes workloads that mind zero points
  bool scales_source = false;        ///< computes scaled convolutions
  /// A sigmoid or a swish takes a few multiply-adds per element, as convopt's own do.
  bool cheap_exponentials = false;

  /// The type that weights are rounded to.
  DataType type_of_weights() const {
    return weight_type == DataType::f32 ? product_type : weight_type;
  }
  bool operator==(const Traits&) const = default;
};

struct PrimitiveInfo {
  std::string name;  ///< unique; grammar in docs/reference/primitives.md
  std::string family;
  std::string description;
  Op op = Op::conv;
  Layout input_layout = Layout::nchw;
  Layout output_layout = Layout::nchw;
  DataType input_type = DataType::f32;   ///< of the sources
  DataType output_type = DataType::f32;  ///< of the destination and a residual
  bool plain = false;                    ///< of row-major tensors of any rank; else of images
  std::string revision;                  ///< changes whenever older timings stop being valid
  Traits traits;

  /// Whether operation, types and kind of tensors are the workload's; the primitive itself says
  /// more.
  bool computes(const Workload& workload) const {
    return op == workload.op && input_type == workload.input_type &&
           output_type == workload.output_type && workload.is_image() != plain &&
           (traits.zero_points || !workload.zero_points) &&
           (traits.scales_source || !workload.scaled);
  }
};

/// Yes, or one sentence that says why not.
struct Applicability {
  std::string reason;  ///< empty: applicable
  explicit operator bool() const { return reason.empty(); }
  static Applicability yes() { return {}; }
  static Applicability no(std::string reason) { return {std::move(reason)}; }
};

/// Borrowed values of one type; none where `data` is null.
struct ParameterView {
  const void* data = nullptr;
  DataType type = DataType::f32;
  std::int64_t count = 0;

  ParameterView() = default;
  ParameterView(std::span<const float> values) {  // NOLINT(google-explicit-constructor)
    if (values.empty()) return;
    data = values.data();
    count = static_cast<std::int64_t>(values.size());
  }

  /// Null where there are none.
  template <class T>
  const T* as() const {
    return static_cast<const T*>(data);
  }
};

/// Scales and zero points of quantised tensors: value = scale * (stored number - zero point).
/// Scales are 1 and zero points 0 for tensors of f32. Only u8 has other zero points than 0, from 0
/// to 255.
struct Quantisation {
  float input = 1;     ///< of all sources, but
  float residual = 1;  ///< of a residual, or of the second source of an addition
  float output = 1;
  int input_zero = 0, residual_zero = 0, output_zero = 0;
  bool operator==(const Quantisation&) const = default;
};

/// Weights [oc][ic / groups][kh][kw] and bias [oc] of a convolution or fully connected layer. They
/// are copied by `prepare` and need not outlive it. No bias means zeros. A layer whose source is of
/// bf16 multiplies by weights that are rounded to bf16, to nearest even. One whose
/// source is quantised multiplies by weights of s8 with a scale per output channel, the largest
/// magnitude of its weights over 127; its result is activation(input scale * weight scale * sum of
/// products + bias + residual), which a quantised result divides by its scale and rounds to the
/// nearest and to even, within the limits of its type. Weights that are integer multiples of
/// a smaller scale, from -128 to 127 of it, keep that scale. An activation `quantise` of a
/// quantised result has the result's scale, and the lowest number of its type less its zero point.
/// Primitives that keep weights shorter than they multiply them (Traits::weight_type) round weights
/// likewise, to that type, and nothing else.
///
/// Scales and zero points also belong to conversions between f32 and u8 or s8, to additions and to
/// activations of quantised tensors. All other operations of these take none: sources and result
/// have the same type, scale and zero point.
struct Parameters {
  ParameterView weights, bias;
  Quantisation scales = {};
};

/// Sources and destination have the shapes of the workload and the layouts of the primitive.
/// Nothing overlaps, except a residual with the destination where both are the same view.
struct RunArgs {
  std::span<const TensorView> sources;
  TensorView destination;
  TensorView residual;        ///< only for an epilogue with residual; layout of the destination
  void* workspace = nullptr;  ///< workspace_bytes() bytes, aligned to 64
};

/// One primitive for one workload, weights packed. Immutable: several threads may run it at once,
/// each with its own arguments.
class Kernel {
 public:
  virtual ~Kernel() = default;
  /// Uses at most the threads of the context it was prepared for. Allocates nothing, throws
  /// nothing, cannot fail.
  virtual void run(const RunArgs& args) const noexcept = 0;
  virtual std::size_t workspace_bytes() const = 0;
  /// Memory held for packed weights and bias.
  virtual std::size_t packed_bytes() const = 0;
};

class Primitive {
 public:
  explicit Primitive(PrimitiveInfo info) : info_(std::move(info)) {}
  virtual ~Primitive() = default;
  Primitive(const Primitive&) = delete;
  Primitive& operator=(const Primitive&) = delete;

  const PrimitiveInfo& info() const { return info_; }
  std::string_view name() const { return info_.name; }

  /// A pure function of its arguments, for workloads that info().computes().
  virtual Applicability applicability(const Workload& workload, const Context& context) const = 0;
  /// Exactly what a kernel will ask for. Only for applicable workloads.
  virtual std::size_t workspace_bytes(const Workload& workload, const Context& context) const = 0;
  /// Bytes of packed weights of such a kernel, without packing them.
  virtual std::size_t packed_bytes(const Workload& workload, const Context& context) const = 0;
  /// Fails if weights or bias are of another type or number than the workload's.
  Result<std::unique_ptr<Kernel>> prepare(const Workload& workload, const Parameters& parameters,
                                          const Context& context) const;

 private:
  virtual Result<std::unique_ptr<Kernel>> make_kernel(const Workload& workload,
                                                      const Parameters& parameters,
                                                      const Context& context) const = 0;

  PrimitiveInfo info_;
};

/// Largest admissible max|error| / max|reference| of a primitive's result against a reference that
/// is not rounded to the result's type but has the primitive's rounded weights: unit roundoff of
/// the sums, growing with the square root of the reduction, times the algorithm's amplification and
/// a safety factor of 10 over the RMS figures measured for random data; and once the unit roundoff
/// of a shorter type than f32, or half a step of a quantised tensor, whose errors are relative to
/// the type's largest number. An activation `quantise` may end one step beside the reference's.
///
/// Data that are not random may cancel, or be so alike that roundings add up. For them, `condition`
/// says how many unit roundoffs of the largest result one unit roundoff of the sources is
/// (primitives/reference); from 0, its value for random data, the bound follows as said above.
double error_bound(const Workload& workload, const Traits& traits, double condition = 0);

/// The condition of sums whose terms are all alike: every addition rounds them the same way, so
/// that the error grows with the length of a sum instead of its square root.
double condition_of_equal_terms(const Workload& workload);

/// All primitives that exist for a context: convopt's own from primitives/primitives.inc and those
/// that providers (oneDNN) discover at run time. Primitives live as long as the registry.
class Registry {
 public:
  /// Fails if the context's ISA is not supported here, or if the process has already used oneDNN at
  /// another level (the library accepts a cap only before its first use).
  static Result<std::unique_ptr<Registry>> create(const Context& context);
  virtual ~Registry() = default;

  virtual const Context& context() const = 0;
  virtual std::span<const Primitive* const> primitives() const = 0;
  /// Also finds a library primitive that discovery did not meet but whose name is well formed;
  /// null if there is none.
  virtual const Primitive* find(std::string_view name) const = 0;
  /// Versions and builds of the libraries behind the primitives.
  virtual const Libraries& libraries() const = 0;
  /// The libraries' own choice for a convolution: oneDNN's first implementation for layouts `any`.
  /// Null if it has none.
  virtual const Primitive* library_default(const Workload& workload) const = 0;
};

}  // namespace convopt
