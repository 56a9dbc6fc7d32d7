// The only file that knows which oneDNN it is compiled against. Version 2 describes an operation
// first and derives a primitive descriptor from it, version 3 creates the descriptor directly;
// everything else that convopt uses is the same in both.
//
// Convolutions are shown to a visitor, all that the library has, until it returns true. The other
// functions return what the library takes first, or an empty descriptor. Where the request itself
// is malformed version 2 throws dnnl::error, version 3 has an empty answer for that, too.
#pragma once

#include <dnnl.hpp>
#include <vector>

#if DNNL_CPU_THREADING_RUNTIME != DNNL_RUNTIME_OMP
#error \
    "convopt sets oneDNN's thread count through OpenMP: it needs a oneDNN built with that runtime"
#endif

namespace convopt::onednn::compat {

using dnnl::algorithm;
using dnnl::engine;
using dnnl::primitive_attr;
using Desc = dnnl::memory::desc;
using Dims = dnnl::memory::dims;

/// An element-wise function with its two parameters.
struct Eltwise {
  algorithm kind;
  float alpha = 0.0F, beta = 0.0F;
};

/// Strides, dilations (0 is dense) and paddings of a window that slides over height and width.
struct Window {
  Dims strides, dilations, padding_begin, padding_end;
};

inline constexpr auto kForward = dnnl::prop_kind::forward_inference;

#if DNNL_VERSION_MAJOR >= 3

/// No cap.
inline constexpr dnnl_cpu_isa_t kAllInstructions = dnnl_cpu_isa_default;

/// Attributes say which scales and zero points there are, and a run brings them as arguments.
inline constexpr bool kScalesAreArguments = true;
/// Whether brgconv multiplies some channels of quantised tensors by a wrong scale (found with 3.8).
inline constexpr bool kMisscalesInBrgconv = true;
inline constexpr int kScalesOf = DNNL_ARG_ATTR_SCALES;
/// Masks of scales, one for each result channel of a layer's weights.
inline constexpr int kPerChannel = 1, kPerGroupedChannel = 3;
/// Of the argument `of`. What is added to the products, biases included, is not scaled.
inline void set_scales(primitive_attr& attributes, int of, int mask, const std::vector<float>&) {
  attributes.set_scales_mask(of, mask);
}

inline void set_source_zero_point(primitive_attr& attributes, int) {
  attributes.set_zero_points_mask(DNNL_ARG_SRC, 0);
}

inline Eltwise hard_swish() { return {algorithm::eltwise_hardswish, 1.0F / 6, 0.5F}; }
inline constexpr bool kHasHardSigmoid = true;
inline Eltwise hard_sigmoid() { return {algorithm::eltwise_hardsigmoid, 1.0F / 6, 0.5F}; }

/// The function's result is multiplied by `scale`.
inline void append_eltwise(dnnl::post_ops& ops, const Eltwise& eltwise, float scale) {
  ops.append_eltwise(eltwise.kind, eltwise.alpha, eltwise.beta);
  if (scale != 1) ops.append_eltwise(algorithm::eltwise_linear, scale, 0);
}

template <class Visit>
void visit_convolutions(const engine& cpu, algorithm kind, const Desc& source, const Desc& weights,
                        const Desc& bias, const Desc& destination, const Window& window,
                        const primitive_attr& attributes, Visit&& visit) {
  dnnl::convolution_forward::primitive_desc descriptor(
      cpu, kForward, kind, source, weights, bias, destination, window.strides, window.dilations,
      window.padding_begin, window.padding_end, attributes, true);
  for (bool more = static_cast<bool>(descriptor); more;) {
    more = !visit(descriptor) && descriptor.next_impl();
  }
}

inline dnnl::primitive_desc pooling(const engine& cpu, algorithm kind, const Desc& source,
                                    const Desc& destination, const Window& window,
                                    const Dims& kernel, const primitive_attr& attributes) {
  return dnnl::pooling_forward::primitive_desc(
      cpu, kForward, kind, source, destination, window.strides, kernel, window.dilations,
      window.padding_begin, window.padding_end, attributes, true);
}

inline dnnl::primitive_desc eltwise(const engine& cpu, const Eltwise& function, const Desc& tensor,
                                    const primitive_attr& attributes) {
  return dnnl::eltwise_forward::primitive_desc(cpu, kForward, function.kind, tensor, tensor,
                                               function.alpha, function.beta, attributes, true);
}

inline dnnl::primitive_desc add(const engine& cpu, const Desc& tensor,
                                const primitive_attr& attributes) {
  return dnnl::binary::primitive_desc(cpu, algorithm::binary_add, tensor, tensor, tensor,
                                      attributes, true);
}

inline dnnl::primitive_desc inner_product(const engine& cpu, const Desc& source,
                                          const Desc& weights, const Desc& bias,
                                          const Desc& destination,
                                          const primitive_attr& attributes) {
  return dnnl::inner_product_forward::primitive_desc(cpu, kForward, source, weights, bias,
                                                     destination, attributes, true);
}

inline dnnl::primitive_desc softmax(const engine& cpu, const Desc& tensor, int axis,
                                    const primitive_attr& attributes) {
  return dnnl::softmax_forward::primitive_desc(cpu, kForward, algorithm::softmax_accurate, tensor,
                                               tensor, axis, attributes, true);
}

inline dnnl::primitive_desc lrn(const engine& cpu, const Desc& tensor, int size, float alpha,
                                float beta, float k, const primitive_attr& attributes) {
  return dnnl::lrn_forward::primitive_desc(cpu, kForward, algorithm::lrn_across_channels, tensor,
                                           tensor, size, alpha, beta, k, attributes, true);
}

inline dnnl::primitive_desc resampling(const engine& cpu, algorithm kind, const Desc& source,
                                       const Desc& destination, const primitive_attr& attributes) {
  return dnnl::resampling_forward::primitive_desc(cpu, kForward, kind, source, destination,
                                                  attributes, true);
}

#else

inline constexpr dnnl_cpu_isa_t kAllInstructions = dnnl_cpu_isa_all;

inline constexpr bool kScalesAreArguments = false;
inline constexpr bool kMisscalesInBrgconv = false;
inline constexpr int kScalesOf = 0;  // no such argument
inline constexpr int kPerChannel = 2, kPerGroupedChannel = 2;
/// Of what is computed before the epilogue, biases included.
inline void set_scales(primitive_attr& attributes, int, int mask,
                       const std::vector<float>& scales) {
  attributes.set_output_scales(mask, scales);
}

inline void set_source_zero_point(primitive_attr& attributes, int zero_point) {
  attributes.set_zero_points(DNNL_ARG_SRC, 0, {zero_point});
}

inline Eltwise hard_swish() { return {algorithm::eltwise_hardswish}; }
inline constexpr bool kHasHardSigmoid = false;
inline Eltwise hard_sigmoid() { return {algorithm::undef}; }

/// The function's result is multiplied by `scale`.
inline void append_eltwise(dnnl::post_ops& ops, const Eltwise& eltwise, float scale) {
  ops.append_eltwise(scale, eltwise.kind, eltwise.alpha, eltwise.beta);
}

template <class Visit>
void visit_convolutions(const engine& cpu, algorithm kind, const Desc& source, const Desc& weights,
                        const Desc& bias, const Desc& destination, const Window& window,
                        const primitive_attr& attributes, Visit&& visit) {
  // The list behind the descriptor refers to this object and must not outlive it.
  const dnnl::convolution_forward::desc operation(kForward, kind, source, weights, bias,
                                                  destination, window.strides, window.dilations,
                                                  window.padding_begin, window.padding_end);
  dnnl::convolution_forward::primitive_desc descriptor(operation, attributes, cpu, true);
  for (bool more = static_cast<bool>(descriptor); more;) {
    more = !visit(descriptor) && descriptor.next_impl();
  }
}

inline dnnl::primitive_desc pooling(const engine& cpu, algorithm kind, const Desc& source,
                                    const Desc& destination, const Window& window,
                                    const Dims& kernel, const primitive_attr& attributes) {
  const dnnl::pooling_forward::desc operation(kForward, kind, source, destination, window.strides,
                                              kernel, window.padding_begin, window.padding_end);
  return dnnl::pooling_forward::primitive_desc(operation, attributes, cpu, true);
}

inline dnnl::primitive_desc eltwise(const engine& cpu, const Eltwise& function, const Desc& tensor,
                                    const primitive_attr& attributes) {
  const dnnl::eltwise_forward::desc operation(kForward, function.kind, tensor, function.alpha,
                                              function.beta);
  return dnnl::eltwise_forward::primitive_desc(operation, attributes, cpu, true);
}

inline dnnl::primitive_desc add(const engine& cpu, const Desc& tensor,
                                const primitive_attr& attributes) {
  const dnnl::binary::desc operation(algorithm::binary_add, tensor, tensor, tensor);
  return dnnl::binary::primitive_desc(operation, attributes, cpu, true);
}

inline dnnl::primitive_desc inner_product(const engine& cpu, const Desc& source,
                                          const Desc& weights, const Desc& bias,
                                          const Desc& destination,
                                          const primitive_attr& attributes) {
  const dnnl::inner_product_forward::desc operation(kForward, source, weights, bias, destination);
  return dnnl::inner_product_forward::primitive_desc(operation, attributes, cpu, true);
}

inline dnnl::primitive_desc softmax(const engine& cpu, const Desc& tensor, int axis,
                                    const primitive_attr& attributes) {
  const dnnl::softmax_forward::desc operation(kForward, tensor, axis);
  return dnnl::softmax_forward::primitive_desc(operation, attributes, cpu, true);
}

inline dnnl::primitive_desc lrn(const engine& cpu, const Desc& tensor, int size, float alpha,
                                float beta, float k, const primitive_attr& attributes) {
  const dnnl::lrn_forward::desc operation(kForward, algorithm::lrn_across_channels, tensor, size,
                                          alpha, beta, k);
  return dnnl::lrn_forward::primitive_desc(operation, attributes, cpu, true);
}

inline dnnl::primitive_desc resampling(const engine& cpu, algorithm kind, const Desc& source,
                                       const Desc& destination, const primitive_attr& attributes) {
  const dnnl::resampling_forward::desc operation(kForward, kind, source, destination);
  return dnnl::resampling_forward::primitive_desc(operation, attributes, cpu, true);
}

#endif

inline dnnl::primitive_desc_base concat(const engine& cpu, const Desc& destination, int axis,
                                        const std::vector<Desc>& sources,
                                        const primitive_attr& attributes) {
  // The only constructor that cannot be told in every version to accept an empty result.
  try {
#if DNNL_VERSION_MAJOR >= 3
    return dnnl::concat::primitive_desc(cpu, destination, axis, sources, attributes);
#else
    return dnnl::concat::primitive_desc(destination, axis, sources, cpu, attributes);
#endif
  } catch (const dnnl::error& error) {
    if (error.status != dnnl_unimplemented) throw;
    return {};
  }
}

inline dnnl::primitive_desc_base reorder(const engine& cpu, const Desc& source,
                                         const Desc& destination,
                                         const primitive_attr& attributes = {}) {
  return dnnl::reorder::primitive_desc(cpu, source, cpu, destination, attributes, true);
}

}  // namespace convopt::onednn::compat
