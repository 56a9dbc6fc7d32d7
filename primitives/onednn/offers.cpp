#include "primitives/onednn/offers.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "core/quantisation.h"
#include "primitives/onednn/compat.h"
#include "primitives/onednn/library.h"

namespace convopt::onednn {
namespace {

using dnnl::algorithm;
using Desc = dnnl::memory::desc;
using Dims = dnnl::memory::dims;
using Tag = dnnl::memory::format_tag;

Tag tag_of(Layout layout) {
  switch (layout) {
    case Layout::nchw:
      return Tag::nchw;
    case Layout::nhwc:
      return Tag::nhwc;
    case Layout::nChw8c:
      return Tag::nChw8c;
    case Layout::nChw16c:
      return Tag::nChw16c;
  }
  return Tag::undef;
}

Dims dims_of(const TensorShape& shape) { return {shape.n(), shape.c(), shape.h(), shape.w()}; }

/// With one channel or one pixel several layouts are the same; then it is the preferred one.
std::optional<Layout> layout_of(const Desc& desc, const TensorShape& shape, DataType type,
                                Layout preferred) {
  if (desc == tensor_desc(shape, type, preferred)) return preferred;
  for (const Layout layout : kLayouts) {
    if (desc == tensor_desc(shape, type, layout)) return layout;
  }
  return std::nullopt;
}

/// Nothing for `none` and for what this version of the library lacks.
std::optional<compat::Eltwise> eltwise_of(const Activation& activation) {
  switch (activation.kind) {
    case ActivationKind::none:
      return std::nullopt;
    case ActivationKind::relu:
      return compat::Eltwise{algorithm::eltwise_relu};
    case ActivationKind::clip:
      return compat::Eltwise{algorithm::eltwise_clip, activation.alpha, activation.beta};
    case ActivationKind::leaky_relu:
      return compat::Eltwise{algorithm::eltwise_relu, activation.alpha};
    case ActivationKind::elu:
      return compat::Eltwise{algorithm::eltwise_elu, activation.alpha};
    case ActivationKind::sigmoid:
      return compat::Eltwise{algorithm::eltwise_logistic};
    case ActivationKind::tanh:
      return compat::Eltwise{algorithm::eltwise_tanh};
    case ActivationKind::swish:
      return compat::Eltwise{algorithm::eltwise_swish, 1.0F};
    case ActivationKind::hard_sigmoid:
      if (!compat::kHasHardSigmoid) return std::nullopt;
      return compat::hard_sigmoid();
    case ActivationKind::hard_swish:
      return compat::hard_swish();
    case ActivationKind::gelu:
      return compat::Eltwise{algorithm::eltwise_gelu_erf};
    default:  // erf and what was added later; exp and its like would leave ones in channel tails
      return std::nullopt;
  }
}

/// Why the library cannot even be asked, or nothing.
std::string obstacle(const Workload& workload) {
  const Activation activation = activation_before_storing(workload);
  if (activation.kind != ActivationKind::none && !eltwise_of(activation)) {
    return "oneDNN " + std::to_string(DNNL_VERSION_MAJOR) + '.' +
           std::to_string(DNNL_VERSION_MINOR) + " has no activation " + activation.text();
  }
  if (workload.op == Op::activation && activation.kind == ActivationKind::none) {
    return "an activation needs its kind";
  }
  const bool accumulates = workload.op == Op::conv || workload.op == Op::fully_connected;
  if (workload.epilogue.residual && !accumulates) {
    return "only convolutions and fully connected layers take a residual";
  }
  if (workload.op == Op::add && workload.repeats()) {
    return "oneDNN is asked for sums of equal shapes only";
  }
  if (workload.op == Op::lrn && workload.window % 2 == 0) {
    return "oneDNN takes one channel less than an even window has";
  }
  const bool activates = accumulates || workload.op == Op::add || workload.op == Op::activation;
  if (activation.kind != ActivationKind::none && !activates) {
    return "oneDNN fuses no activation into " + std::string(to_string(workload.op));
  }
  return {};
}

/// Whether it is multiplied by what its argument is multiplied by, its limits aside.
bool is_homogeneous(ActivationKind kind) {
  return kind == ActivationKind::none || kind == ActivationKind::relu ||
         kind == ActivationKind::leaky_relu || kind == ActivationKind::clip;
}

/// For questions: the library answers alike for all numbers that are not 1.
Scaling any_scaling(const Workload& workload) {
  constexpr float kInput = 0.5F, kResidual = 0.25F, kOutput = 0.125F;
  Quantisation scales;
  if (is_quantised(workload.input_type)) scales.input = kInput;
  if (is_quantised(workload.output_type)) scales = {scales.input, kResidual, kOutput};
  if (workload.zero_points) scales.input_zero = 1;
  const std::vector<float> weights(static_cast<std::size_t>(workload.shape.oc), kInput);
  return scaling_of(workload, scales, weights);
}

dnnl::primitive_attr attributes_of(const Workload& workload, const Scaling& scaling) {
  dnnl::primitive_attr attributes;
  // The library's own scratchpad belongs to the thread that created the primitive.
  attributes.set_scratchpad_mode(dnnl::scratchpad_mode::user);
  if (workload.op == Op::activation) return attributes;
  if (!scaling.sums.empty()) {
    const int mask = scaling.sums.size() == 1    ? 0
                     : workload.shape.groups > 1 ? compat::kPerGroupedChannel
                                                 : compat::kPerChannel;
    compat::set_scales(attributes, scaled_argument(workload), mask, scaling.sums);
  }
  if (scaling.source_zero != 0) compat::set_source_zero_point(attributes, scaling.source_zero);
  dnnl::post_ops ops;
  const Epilogue& epilogue = workload.epilogue;
  if (epilogue.residual) {
    ops.append_sum(scaling.residual, 0,
                   epilogue.residual_type ? data_type_of(*epilogue.residual_type)
                                          : dnnl::memory::data_type::undef);
  }
  const Activation activation = activation_before_storing(workload);
  if (auto eltwise = eltwise_of(activation)) {
    if (activation.kind == ActivationKind::clip) {
      eltwise->alpha *= scaling.bound;
      eltwise->beta *= scaling.bound;
    }
    compat::append_eltwise(ops, *eltwise, scaling.activated);
    if (scaling.result_zero != 0) {
      compat::append_eltwise(
          ops, {algorithm::eltwise_linear, 1, static_cast<float>(scaling.result_zero)}, 1);
    }
  }
  if (ops.len() > 0) attributes.set_post_ops(ops);
  return attributes;
}

compat::Window window_of(const ConvShape& shape) {
  return {{shape.stride_h, shape.stride_w},
          {shape.dilation_h - 1, shape.dilation_w - 1},
          {shape.pad_top, shape.pad_left},
          {shape.pad_bottom, shape.pad_right}};
}

template <class Visit>
void visit_convolutions(const dnnl::engine& cpu, const Request& request, const Scaling& scaling,
                        Visit&& visit) {
  const Workload& workload = request.workload;
  const ConvShape& shape = workload.shape;
  const auto tensor = [&](const TensorShape& dims, DataType type, Layout layout) {
    return request.free_layouts ? Desc(dims_of(dims), data_type_of(type), Tag::any)
                                : tensor_desc(dims, type, layout);
  };
  const Dims weights = shape.groups > 1 ? Dims{shape.groups, shape.oc / shape.groups,
                                               shape.ic / shape.groups, shape.kh, shape.kw}
                                        : Dims{shape.oc, shape.ic, shape.kh, shape.kw};
  const algorithm kind = request.free_layouts ? algorithm::convolution_auto
                         : request.winograd   ? algorithm::convolution_winograd
                                              : algorithm::convolution_direct;
  compat::visit_convolutions(
      cpu, kind, tensor(shape.input(), workload.input_type, request.input),
      Desc(weights, data_type_of(product_type(workload.input_type)), Tag::any),
      Desc({shape.oc}, kFloat, Tag::x),
      tensor(shape.output(), workload.output_type, request.output), window_of(shape),
      attributes_of(workload, scaling), visit);
}

dnnl::primitive_desc_base operation(const dnnl::engine& cpu, const Request& request,
                                    const Scaling& scaling) {
  const Workload& workload = request.workload;
  const ConvShape& shape = workload.shape;
  const dnnl::primitive_attr attributes = attributes_of(workload, scaling);
  if (workload.op == Op::fully_connected) {
    return compat::inner_product(
        cpu, Desc({shape.n, shape.ic}, data_type_of(workload.input_type), Tag::nc),
        Desc({shape.oc, shape.ic}, data_type_of(product_type(workload.input_type)), Tag::any),
        Desc({shape.oc}, kFloat, Tag::x),
        Desc({shape.n, shape.oc}, data_type_of(workload.output_type), Tag::nc), attributes);
  }
  const Desc source = tensor_desc(workload.source(0), workload.input_type, request.input);
  const Desc destination = tensor_desc(workload.output(), workload.output_type, request.output);
  const auto pooling = [&](algorithm kind) {
    return compat::pooling(cpu, kind, source, destination, window_of(shape), {shape.kh, shape.kw},
                           attributes);
  };
  switch (workload.op) {
    case Op::convert:
      return compat::reorder(cpu, source, destination, attributes);
    case Op::max_pool:
      return pooling(algorithm::pooling_max);
    case Op::avg_pool_include:
      return pooling(algorithm::pooling_avg_include_padding);
    case Op::avg_pool_exclude:
      return pooling(algorithm::pooling_avg_exclude_padding);
    case Op::activation:
      return compat::eltwise(cpu, *eltwise_of(workload.epilogue.activation), source, attributes);
    case Op::add:
      return compat::add(cpu, source, attributes);
    case Op::concat: {
      std::vector<Desc> sources;
      for (int i = 0; i < workload.source_count(); ++i) {
        sources.push_back(tensor_desc(workload.source(i), workload.input_type, request.input));
      }
      return compat::concat(cpu, destination, 1, sources, attributes);
    }
    case Op::softmax:
      return compat::softmax(cpu, source, 1, attributes);
    case Op::lrn:
      return compat::lrn(cpu, source, workload.window, workload.lrn_alpha, workload.lrn_beta,
                         workload.lrn_k, attributes);
    case Op::upsample_nearest:
      return compat::resampling(cpu, algorithm::resampling_nearest, source, destination,
                                attributes);
    case Op::upsample_bilinear:
      return compat::resampling(cpu, algorithm::resampling_linear, source, destination, attributes);
    default:
      return {};
  }
}

/// Shows each descriptor of the library's list to `visit` until that returns true. Operations other
/// than convolutions have a list of one, what the library takes first.
template <class Visit>
void visit_descriptors(const dnnl::engine& cpu, const Request& request, const Scaling& scaling,
                       Visit&& visit) {
  const ThreadScope threads(request.threads);
  if (request.workload.op == Op::conv) {
    visit_convolutions(cpu, request, scaling, visit);
  } else if (const auto descriptor = operation(cpu, request, scaling)) {
    visit(descriptor);
  }
}

/// Whether many instructions compute it for each vector.
bool is_long(ActivationKind kind) {
  return kind == ActivationKind::elu || kind == ActivationKind::sigmoid ||
         kind == ActivationKind::swish || kind == ActivationKind::gelu;
}

/// Offers that must not be taken: found by random tests of 2.6.3.
bool is_defective(const Offer& offer, const Workload& workload) {
  const ConvShape& shape = workload.shape;
  const auto has_tail = [](const TensorShape& tensor, int multiple) {
    return tensor.c() % multiple != 0;
  };
  // Pixels of such a tensor do not lie on 16 bytes, whatever its first one does.
  if (tensor_alignment(workload.op, offer.implementation) == 16 && offer.output == Layout::nhwc &&
      (has_tail(workload.input(), 4) || has_tail(workload.output(), 4))) {
    return true;
  }
  // The matrix-product kernels fault on the epilogue of rows that see nothing but padding.
  if (workload.op == Op::conv && offer.implementation.starts_with("br") &&
      (std::max(shape.pad_top, shape.pad_bottom) >= shape.extent_h() ||
       std::max(shape.pad_left, shape.pad_right) >= shape.extent_w())) {
    return true;
  }
  if (compat::kMisscalesInBrgconv && is_quantised(workload.input_type) && workload.op == Op::conv &&
      offer.implementation.starts_with("br")) {
    return true;
  }
  // With tiles of AMX it crashed twice in hundreds of runs of the tests, never again with the same
  // data: a 7x7 kernel with padding 6, and one of 8x7 on an image of that size. Later versions mend
  // several accesses of these kernels beyond their buffers. The library's other kernels with tiles
  // and convopt's own remain.
  if (offer.implementation.starts_with("brgconv_avx512_core_amx")) return true;
  // The code for groups of few channels leaves no room for a long activation: nothing is made. That
  // of u8 and s8 makes something of groups of one.
  const auto is_full = [&](int channels) { return channels / shape.groups % 16 == 0; };
  const bool has_room = offer.implementation.starts_with("jit_bf16") ? is_full(shape.oc)
                        : offer.implementation.starts_with("jit_int8")
                            ? shape.is_depthwise() || (is_full(shape.ic) && is_full(shape.oc))
                            : true;
  if (workload.op == Op::conv && shape.groups > 1 && !has_room &&
      is_long(workload.epilogue.activation.kind)) {
    return true;
  }
  // Pairs of channels that end in half a pair are read wrongly, in some widths of images, or with
  // what lies behind the tensor, which may be no number.
  if ((offer.implementation.starts_with("jit_bf16_1x1") ||
       (offer.implementation.starts_with("brgconv") && workload.input_type == DataType::bf16)) &&
      offer.input == Layout::nhwc && shape.ic % 2 != 0) {
    return true;
  }
  // Pixels that are worked through in several parts get wrong results or lose their residual.
  if (offer.implementation.starts_with("x64_gemm_s8s8")) return true;
  // An activation after an addition writes beyond the tensor where the last vector of a block, of
  // up to 16 values, is not full.
  return workload.op == Op::add && workload.epilogue.activation.kind != ActivationKind::none &&
         channel_block(offer.output) > 1 && has_tail(workload.output(), 16);
}

/// Right numbers, but far later than in f32: depthwise layers as products of matrices took twenty
/// to forty times as long in MobileNetV2.
bool is_hopeless(const Offer& offer, const Workload& workload) {
  return workload.op == Op::conv && workload.shape.is_depthwise() &&
         offer.implementation.starts_with("x64_gemm_");
}

/// Nothing where the library chose a layout that convopt does not have.
std::optional<Offer> describe(const dnnl::primitive_desc_base& descriptor, const Request& request) {
  Offer offer{clean_implementation(descriptor.impl_info_str()),
              descriptor.scratchpad_desc().get_size(), 0, request.input, request.output};
  if (request.workload.has_weights()) {
    offer.packed_bytes =
        descriptor.weights_desc(0).get_size() + descriptor.weights_desc(1).get_size();
  }
  if (request.free_layouts) {
    const Workload& workload = request.workload;
    const auto output =
        layout_of(descriptor.dst_desc(0), workload.output(), workload.output_type, Layout::nhwc);
    if (!output) return std::nullopt;
    const auto input =
        layout_of(descriptor.src_desc(0), workload.input(), workload.input_type, *output);
    if (!input) return std::nullopt;
    offer.input = *input;
    offer.output = *output;
  }
  return offer;
}

Offers ask(const dnnl::engine& cpu, const Request& request) {
  Offers offers;
  offers.reason = obstacle(request.workload);
  if (!offers.reason.empty()) return offers;
  try {
    const auto visit = [&](const dnnl::primitive_desc_base& descriptor) {
      auto offer = describe(descriptor, request);
      if (!offer || offers.find(offer->implementation) != nullptr) return false;
      if (is_defective(*offer, request.workload)) {
        offers.reason = "oneDNN's " + offer->implementation + " is known to fail on this workload";
        return false;
      }
      if (is_hopeless(*offer, request.workload)) {
        offers.reason =
            "oneDNN's " + offer->implementation + " is slow beyond use on depthwise layers";
        return false;
      }
      offers.list.push_back(std::move(*offer));
      return request.free_layouts;  // only the first is its choice
    };
    visit_descriptors(cpu, request, any_scaling(request.workload), visit);
  } catch (const dnnl::error& error) {
    offers.list.clear();
    offers.reason = std::string("oneDNN rejects this workload: ") + error.what();
  }
  if (!offers.list.empty()) offers.reason.clear();
  return offers;
}

void mix(std::size_t& hash, std::size_t value) {
  hash = (hash ^ value) * 0x9E3779B97F4A7C15ULL;
  hash ^= hash >> 32;
}

}  // namespace

dnnl::memory::data_type data_type_of(DataType type) {
  switch (type) {
    case DataType::bf16:
      return dnnl::memory::data_type::bf16;
    case DataType::u8:
      return dnnl::memory::data_type::u8;
    case DataType::s8:
      return dnnl::memory::data_type::s8;
    default:
      return kFloat;
  }
}

Scaling scaling_of(const Workload& workload, const Quantisation& scales,
                   std::span<const float> weight_scales) {
  Scaling scaling;
  if (workload.op == Op::convert) {
    if (workload.input_type != workload.output_type && scales != Quantisation()) {
      scaling.sums = {scales.input / scales.output};
    }
    return scaling;
  }
  if (!workload.has_weights() || !is_quantised(workload.input_type)) return scaling;
  // Sums are in steps of the result where the activation allows it, else they are real numbers.
  const bool in_steps = is_homogeneous(activation_before_storing(workload).kind);
  const float unit = in_steps ? scales.output : 1;
  for (const float scale : weight_scales) scaling.sums.push_back(scales.input * scale / unit);
  scaling.residual = scales.residual / unit;
  scaling.bound = 1 / unit;
  if (!in_steps) scaling.activated = 1 / scales.output;
  if (workload.zero_points) scaling.source_zero = scales.input_zero;
  scaling.result_zero = scales.output_zero;
  return scaling;
}

int scaled_argument(const Workload& workload) {
  return workload.has_weights() ? DNNL_ARG_WEIGHTS : DNNL_ARG_SRC;
}

dnnl::memory::desc tensor_desc(const TensorShape& shape, DataType type, Layout layout) {
  return Desc(dims_of(shape), data_type_of(type), tag_of(layout));
}

std::size_t tensor_alignment(Op op, const std::string& implementation) {
  // Resampling stores past the caches with instructions that want whole lines.
  if (op == Op::upsample_nearest || op == Op::upsample_bilinear) return 64;
  // Some SSE4.1 kernels add from memory with instructions that want whole vectors.
  if (implementation.find("sse41") != std::string::npos) return 16;
  return 1;
}

const Offer* Offers::find(const std::string& implementation) const {
  const auto found = std::find_if(list.begin(), list.end(), [&](const Offer& offer) {
    return implementation.empty() || offer.implementation == implementation;
  });
  return found == list.end() ? nullptr : &*found;
}

dnnl::primitive_desc_base find_descriptor(const dnnl::engine& cpu, const Request& request,
                                          const std::string& implementation,
                                          const Scaling& scaling) {
  dnnl::primitive_desc_base found;
  visit_descriptors(cpu, request, scaling, [&](const dnnl::primitive_desc_base& descriptor) {
    if (!implementation.empty() &&
        clean_implementation(descriptor.impl_info_str()) != implementation) {
      return false;
    }
    found = descriptor;
    return true;
  });
  return found;
}

std::size_t Catalogue::Hash::operator()(const Request& request) const {
  const Workload& w = request.workload;
  const ConvShape& s = w.shape;
  std::size_t hash = static_cast<std::size_t>(w.op);
  for (const int value : {s.n,
                          s.ic,
                          s.ih,
                          s.iw,
                          s.oc,
                          s.kh,
                          s.kw,
                          s.stride_h,
                          s.stride_w,
                          s.pad_top,
                          s.pad_bottom,
                          s.pad_left,
                          s.pad_right,
                          s.dilation_h,
                          s.dilation_w,
                          s.groups,
                          static_cast<int>(w.epilogue.residual),
                          static_cast<int>(w.epilogue.residual_type.value_or(w.output_type)),
                          static_cast<int>(w.epilogue.activation.kind),
                          static_cast<int>(w.input_type),
                          static_cast<int>(w.output_type),
                          static_cast<int>(w.zero_points),
                          static_cast<int>(request.input),
                          static_cast<int>(request.output),
                          static_cast<int>(request.winograd),
                          static_cast<int>(request.free_layouts),
                          request.threads}) {
    mix(hash, static_cast<std::size_t>(value));
  }
  for (const int size : w.first.sizes()) mix(hash, static_cast<std::size_t>(size));
  for (const int size : w.second.sizes()) mix(hash, static_cast<std::size_t>(size));
  for (const int part : w.parts) mix(hash, static_cast<std::size_t>(part));
  for (const int factor : w.factors) mix(hash, static_cast<std::size_t>(factor));
  mix(hash, static_cast<std::size_t>(w.window));
  return hash;
}

const Offers& Catalogue::offers(const Request& request) {
  {
    const std::lock_guard lock(mutex_);
    const auto known = known_.find(request);
    if (known != known_.end()) return known->second;
  }
  // Not under the lock, so that threads ask at the same time. Of two that ask the same the first
  // one's answer stays.
  Offers answer = ask(cpu_, request);
  const std::lock_guard lock(mutex_);
  return known_.emplace(request, std::move(answer)).first->second;
}

}  // namespace convopt::onednn
