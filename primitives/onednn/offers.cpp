#include "primitives/onednn/offers.h"

#include <algorithm>
#include <optional>
#include <utility>

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
std::optional<Layout> layout_of(const Desc& desc, const TensorShape& shape, Layout preferred) {
  if (desc == tensor_desc(shape, preferred)) return preferred;
  for (const Layout layout : kLayouts) {
    if (desc == tensor_desc(shape, layout)) return layout;
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
  const Activation& activation = workload.epilogue.activation;
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

dnnl::primitive_attr attributes_of(const Workload& workload) {
  dnnl::primitive_attr attributes;
  // The library's own scratchpad belongs to the thread that created the primitive.
  attributes.set_scratchpad_mode(dnnl::scratchpad_mode::user);
  if (workload.op == Op::activation) return attributes;
  dnnl::post_ops ops;
  if (workload.epilogue.residual) ops.append_sum();
  if (const auto eltwise = eltwise_of(workload.epilogue.activation)) {
    compat::append_eltwise(ops, *eltwise);
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
void visit_convolutions(const dnnl::engine& cpu, const Request& request, Visit&& visit) {
  const ConvShape& shape = request.workload.shape;
  const auto tensor = [&](const TensorShape& dims, Layout layout) {
    return request.free_layouts ? Desc(dims_of(dims), kFloat, Tag::any) : tensor_desc(dims, layout);
  };
  const Dims weights = shape.groups > 1 ? Dims{shape.groups, shape.oc / shape.groups,
                                               shape.ic / shape.groups, shape.kh, shape.kw}
                                        : Dims{shape.oc, shape.ic, shape.kh, shape.kw};
  const algorithm kind = request.free_layouts ? algorithm::convolution_auto
                         : request.winograd   ? algorithm::convolution_winograd
                                              : algorithm::convolution_direct;
  compat::visit_convolutions(cpu, kind, tensor(shape.input(), request.input),
                             Desc(weights, kFloat, Tag::any), Desc({shape.oc}, kFloat, Tag::x),
                             tensor(shape.output(), request.output), window_of(shape),
                             attributes_of(request.workload), visit);
}

dnnl::primitive_desc_base operation(const dnnl::engine& cpu, const Request& request) {
  const Workload& workload = request.workload;
  const ConvShape& shape = workload.shape;
  const dnnl::primitive_attr attributes = attributes_of(workload);
  if (workload.op == Op::fully_connected) {
    return compat::inner_product(cpu, Desc({shape.n, shape.ic}, kFloat, Tag::nc),
                                 Desc({shape.oc, shape.ic}, kFloat, Tag::any),
                                 Desc({shape.oc}, kFloat, Tag::x),
                                 Desc({shape.n, shape.oc}, kFloat, Tag::nc), attributes);
  }
  const Desc source = tensor_desc(workload.source(0), request.input);
  const Desc destination = tensor_desc(workload.output(), request.output);
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
        sources.push_back(tensor_desc(workload.source(i), request.input));
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
void visit_descriptors(const dnnl::engine& cpu, const Request& request, Visit&& visit) {
  const ThreadScope threads(request.threads);
  if (request.workload.op == Op::conv) {
    visit_convolutions(cpu, request, visit);
  } else if (const auto descriptor = operation(cpu, request)) {
    visit(descriptor);
  }
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
  // An activation after an addition writes beyond the tensor where the last vector of a block, of
  // up to 16 values, is not full.
  return workload.op == Op::add && workload.epilogue.activation.kind != ActivationKind::none &&
         channel_block(offer.output) > 1 && has_tail(workload.output(), 16);
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
    const auto output = layout_of(descriptor.dst_desc(0), request.workload.output(), Layout::nhwc);
    if (!output) return std::nullopt;
    const auto input = layout_of(descriptor.src_desc(0), request.workload.input(), *output);
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
    visit_descriptors(cpu, request, [&](const dnnl::primitive_desc_base& descriptor) {
      auto offer = describe(descriptor, request);
      if (!offer || offers.find(offer->implementation) != nullptr) return false;
      if (is_defective(*offer, request.workload)) {
        offers.reason = "oneDNN's " + offer->implementation + " is known to fail on this workload";
        return false;
      }
      offers.list.push_back(std::move(*offer));
      return request.free_layouts;  // only the first is its choice
    });
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

dnnl::memory::desc tensor_desc(const TensorShape& shape, Layout layout) {
  return Desc(dims_of(shape), kFloat, tag_of(layout));
}

std::size_t tensor_alignment(Op op, const std::string& implementation) {
  // Resampling stores past the caches with instructions that want whole lines.
  if (op == Op::upsample_nearest || op == Op::upsample_bilinear) return 64;
  // Some SSE4.1 kernels add from memory with instructions that want whole vectors.
  if (implementation.find("sse41") != std::string::npos) return 16;
  return alignof(float);
}

const Offer* Offers::find(const std::string& implementation) const {
  const auto found = std::find_if(list.begin(), list.end(), [&](const Offer& offer) {
    return implementation.empty() || offer.implementation == implementation;
  });
  return found == list.end() ? nullptr : &*found;
}

dnnl::primitive_desc_base find_descriptor(const dnnl::engine& cpu, const Request& request,
                                          const std::string& implementation) {
  dnnl::primitive_desc_base found;
  visit_descriptors(cpu, request, [&](const dnnl::primitive_desc_base& descriptor) {
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
                          static_cast<int>(w.epilogue.activation.kind),
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
  const std::lock_guard lock(mutex_);
  const auto known = known_.find(request);
  if (known != known_.end()) return known->second;
  return known_.emplace(request, ask(cpu_, request)).first->second;
}

}  // namespace convopt::onednn
