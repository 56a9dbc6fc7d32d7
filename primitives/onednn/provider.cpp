// Discovery of oneDNN's primitives and the primitive itself.
#include "primitives/provider.h"

#include <algorithm>
#include <array>
#include <iterator>
#include <set>
#include <span>
#include <utility>

#include "core/parallel.h"
#include "core/quantisation.h"
#include "primitives/onednn/kernel.h"
#include "primitives/onednn/library.h"
#include "primitives/onednn/names.h"
#include "primitives/onednn/offers.h"

namespace convopt {
namespace onednn {
namespace {

/// State that all primitives of one provider share. Kernels outlive it, primitives may not.
struct LibraryState {
  Isa isa;
  std::string version;
  Catalogue catalogue;
};

bool is_reference(const Offer& offer) {
  return offer.implementation.find("ref") != std::string::npos;
}

std::string describe(const Identity& identity) {
  const std::string input(to_string(identity.input)), output(to_string(identity.output));
  std::string place = input == output ? " in " + input : " from " + input + " to " + output;
  if (identity.input_type != identity.output_type) {
    place.append(", ").append(to_string(identity.input_type)).append(" to ");
    place.append(to_string(identity.output_type));
  } else if (identity.input_type != DataType::f32) {
    place.append(" of ").append(to_string(identity.input_type));
  }
  switch (identity.op) {
    case Op::conv:
      return "oneDNN's convolution " + identity.implementation + place;
    case Op::convert:
      return (input == output ? "oneDNN's type conversion" : "oneDNN's layout conversion") + place;
    default:
      return "oneDNN's first choice for " + std::string(to_string(identity.op)) + place;
  }
}

class OneDnnPrimitive final : public Primitive {
 public:
  OneDnnPrimitive(const Identity& identity, std::shared_ptr<LibraryState> session)
      : Primitive({.name = name_of(identity),
                   .family = "onednn",
                   .description = describe(identity),
                   .op = identity.op,
                   .input_layout = identity.input,
                   .output_layout = identity.output,
                   .input_type = identity.input_type,
                   .output_type = identity.output_type,
                   .revision = session->version,
                   .traits = traits_of(identity)}),
        identity_(identity),
        session_(std::move(session)) {}

  Applicability applicability(const Workload& workload, const Context& context) const override {
    if (context.isa != session_->isa) {
      return Applicability::no("oneDNN is used at " + std::string(to_string(session_->isa)) +
                               " in this process, not at " + std::string(to_string(context.isa)));
    }
    for (const DataType type : {identity_.input_type, identity_.output_type}) {
      if (has_products(type)) continue;
      return Applicability::no("oneDNN multiplies no numbers of " + std::string(to_string(type)) +
                               " here at " + std::string(to_string(session_->isa)));
    }
    const Offers& offers = session_->catalogue.offers(request(workload, context));
    const Offer* const offer = offers.find(identity_.implementation);
    if (offer == nullptr) return Applicability::no(absence(offers, context));
    // Reads channels that are no neighbours one by one: 60 to 200 times the time of other layouts
    // (6625 channels of 40 pixels, Zen 5), which no model expects that has seen single pixels.
    if (workload.op == Op::softmax && is_reference(*offer) && workload.first.is_image() &&
        workload.first.h() * std::int64_t{workload.first.w()} > 1) {
      return Applicability::no(
          "oneDNN has nothing but its reference implementation for several "
          "pixels in " +
          std::string(to_string(identity_.input)));
    }
    if (offer->workspace_bytes > context.workspace_limit) {
      return Applicability::no("needs " + std::to_string(offer->workspace_bytes) +
                               " bytes of workspace, the limit is " +
                               std::to_string(context.workspace_limit));
    }
    return Applicability::yes();
  }

  std::size_t workspace_bytes(const Workload& workload, const Context& context) const override {
    const Offer* const offer = find(workload, context);
    return offer == nullptr ? 0 : offer->workspace_bytes;
  }

  std::size_t packed_bytes(const Workload& workload, const Context& context) const override {
    const Offer* const offer = find(workload, context);
    return offer == nullptr ? 0 : offer->packed_bytes;
  }

  Result<std::unique_ptr<Kernel>> make_kernel(const Workload& workload,
                                              const Parameters& parameters,
                                              const Context& context) const override {
    if (const Applicability applies = applicability(workload, context); !applies) {
      return make_error(ErrorCode::usage, info().name + " does not compute " + workload.text() +
                                              ": " + applies.reason);
    }
    return onednn::make_kernel(session_->catalogue.cpu(), request(workload, context),
                               identity_.implementation, parameters);
  }

 private:
  Request request(const Workload& workload, const Context& context) const {
    return {workload, identity_.input, identity_.output, identity_.is_winograd(),
            false,    context.threads};
  }

  const Offer* find(const Workload& workload, const Context& context) const {
    return session_->catalogue.offers(request(workload, context)).find(identity_.implementation);
  }

  /// The library does not say why it leaves an implementation out, but what it has instead helps.
  std::string absence(const Offers& offers, const Context& context) const {
    if (!offers.reason.empty()) return offers.reason;
    const std::string threads =
        std::to_string(context.threads) + (context.threads == 1 ? " thread" : " threads");
    if (offers.list.empty()) {
      return "oneDNN has no " +
             std::string(identity_.is_winograd() ? "Winograd convolution" : "implementation") +
             " for this workload in these layouts at " + threads;
    }
    std::string others;
    for (const Offer& offer : offers.list) {
      others += (others.empty() ? "" : ", ") + offer.implementation;
    }
    return "not among what oneDNN has for this workload in these layouts at " + threads + ": " +
           others;
  }

  Identity identity_;
  std::shared_ptr<LibraryState> session_;
};

struct Types {
  DataType input, output;

  Workload of(Workload workload) const {
    workload.input_type = input;
    workload.output_type = output;
    return workload;
  }
  bool operator==(const Types&) const = default;
};
/// What the library is asked for, f32 first.
constexpr std::array kTypes = {
    Types{DataType::f32, DataType::f32},  Types{DataType::bf16, DataType::bf16},
    Types{DataType::bf16, DataType::f32}, Types{DataType::f32, DataType::bf16},
    Types{DataType::u8, DataType::u8},    Types{DataType::u8, DataType::s8},
    Types{DataType::u8, DataType::f32},   Types{DataType::s8, DataType::s8},
    Types{DataType::s8, DataType::u8},    Types{DataType::s8, DataType::f32},
    Types{DataType::f32, DataType::u8},   Types{DataType::f32, DataType::s8}};

/// Pairs of layouts in which the library is asked for convolutions. Asked about all sixteen, 2.6.3
/// has nothing but its reference implementation for the ten others.
struct LayoutPair {
  Layout input, output;
};
constexpr std::array kConvolutionPairs = {
    LayoutPair{Layout::nchw, Layout::nchw},     LayoutPair{Layout::nhwc, Layout::nhwc},
    LayoutPair{Layout::nChw8c, Layout::nChw8c}, LayoutPair{Layout::nChw16c, Layout::nChw16c},
    LayoutPair{Layout::nchw, Layout::nChw8c},   LayoutPair{Layout::nchw, Layout::nChw16c},
};

/// Shapes that between them bring out every implementation: what is missing here is missing in
/// `convopt list`, though still found by name. The first four bring out all those of other types
/// than f32.
constexpr std::size_t kTypedProbingShapes = 4;
std::vector<ConvShape> probing_shapes() {
  const auto shape = [](int ic, int size, int oc, int kernel, int stride, int groups = 1,
                        int dilation = 1) {
    ConvShape s;
    s.ic = ic;
    s.ih = s.iw = size;
    s.oc = oc;
    s.kh = s.kw = kernel;
    s.stride_h = s.stride_w = stride;
    s.groups = groups;
    s.dilation_h = s.dilation_w = dilation;
    s.pad_top = s.pad_bottom = s.pad_left = s.pad_right = (kernel - 1) * dilation / 2;
    return s;
  };
  return {
      shape(64, 28, 64, 3, 1),        shape(256, 14, 64, 1, 1),   shape(3, 224, 64, 7, 2),
      shape(96, 28, 96, 3, 1, 96),    shape(64, 14, 128, 3, 2),   shape(64, 14, 128, 1, 2),
      shape(3, 64, 32, 3, 1),         shape(32, 28, 64, 5, 1),    shape(96, 28, 96, 3, 2, 96),
      shape(96, 28, 96, 3, 1, 96, 2), shape(64, 28, 64, 3, 1, 4), shape(64, 28, 64, 3, 1, 1, 2),
      shape(64, 224, 64, 3, 1),       shape(512, 7, 512, 3, 1),
  };
}

/// Operations other than convolutions and conversions, each on a workload that every layout can
/// hold without padding.
std::vector<Workload> probing_operations() {
  const TensorShape tensor{1, 32, 12, 12};
  const Epilogue relu{false, {ActivationKind::relu}};
  ConvShape window;
  window.ic = window.oc = window.groups = 32;
  window.ih = window.iw = 12;
  window.kh = window.kw = window.stride_h = window.stride_w = 2;
  return {Workload::pool(Op::max_pool, window),
          Workload::pool(Op::avg_pool_include, window),
          Workload::pool(Op::avg_pool_exclude, window),
          Workload::pointwise(Op::activation, tensor, relu),
          Workload::pointwise(Op::add, tensor),
          Workload::concat(tensor, {16, 16}),
          Workload::pointwise(Op::softmax, tensor),
          Workload::lrn(tensor, 5),
          Workload::upsample(Op::upsample_nearest, tensor, 2, 2),
          Workload::upsample(Op::upsample_bilinear, tensor, 2, 2)};
}

class OneDnnProvider final : public Provider {
 public:
  OneDnnProvider(const Context& context, std::shared_ptr<LibraryState> session)
      : context_(context),
        session_(std::move(session)),
        libraries_{{"onednn", session_->version}} {}

  std::vector<std::unique_ptr<Primitive>> discover() override {
    ask_about_convolutions();
    std::vector<std::unique_ptr<Primitive>> primitives;
    for (const Types& types : kTypes) {
      // They would be slower than f32.
      if (!has_products(types.input) || !has_products(types.output)) continue;
      for (Identity& identity : discover(types)) {
        identity.input_type = types.input;
        identity.output_type = types.output;
        primitives.push_back(std::make_unique<OneDnnPrimitive>(identity, session_));
      }
    }
    return primitives;
  }

  std::unique_ptr<Primitive> make(std::string_view name) override {
    const auto identity = parse_name(name);
    return identity ? std::make_unique<OneDnnPrimitive>(*identity, session_) : nullptr;
  }

  std::string default_primitive(const Workload& workload) override {
    if (workload.op != Op::conv) return {};
    const Offers& offers = session_->catalogue.offers(
        {workload, Layout::nchw, Layout::nchw, false, true, context_.threads});
    if (offers.list.empty()) return {};
    const Offer& first = offers.list.front();
    return name_of({Op::conv, first.implementation, first.input, first.output, workload.input_type,
                    workload.output_type});
  }

  const Libraries& libraries() const override { return libraries_; }

 private:
  /// All that discovery asks about convolutions, on several threads: it is most of what discovery
  /// takes, and the catalogue remembers the answers.
  void ask_about_convolutions() {
    std::vector<Request> requests;
    for (const Types& types : kTypes) {
      if (!multiplies(types) || !has_products(types.input) || !has_products(types.output)) continue;
      for (const LayoutPair& pair : kConvolutionPairs) {
        std::ranges::move(convolution_requests(types, pair), std::back_inserter(requests));
      }
    }
    in_parallel(requests.size(), [&](std::size_t i) { session_->catalogue.offers(requests[i]); });
  }

  /// What reads f32 has no reason to multiply other numbers, unless asked for less precision.
  static bool multiplies(const Types& types) {
    return types.input == types.output || types.input != DataType::f32;
  }

  /// Without their types.
  std::vector<Identity> discover(const Types& types) {
    std::vector<Identity> found;
    const bool same_type = types.input == types.output;
    if (multiplies(types)) found = discover_convolutions(types);
    if (same_type) {
      for (const Workload& workload : probing_operations()) {
        if (is_quantised(types.input) && !keeps_scale(workload.op)) continue;
        for (const Layout layout : layouts_of(types.of(workload))) {
          found.push_back({workload.op, {}, layout, layout});
        }
      }
    }
    // The source has one pixel, so that every layout would be the same but for its padding.
    const Workload product = types.of(Workload::fully_connected(1, 64, 32));
    if (multiplies(types) && offers(product, Layout::nchw, Layout::nchw)) {
      found.push_back({Op::fully_connected, {}, Layout::nchw, Layout::nchw});
    }
    const Workload conversion = types.of(Workload::pointwise(Op::convert, {1, 32, 12, 12}));
    // Tensors of the network are of one quantised type or the other, never of both.
    const bool converts = same_type || !is_quantised(types.input) || !is_quantised(types.output);
    for (const Layout input : layouts_of(types.input)) {
      for (const Layout output : layouts_of(types.output)) {
        const bool changes = converts && (input != output || !same_type);
        if (changes && offers(conversion, input, output)) {
          found.push_back({Op::convert, {}, input, output});
        }
      }
    }
    return found;
  }

  bool offers(const Workload& workload, Layout input, Layout output) {
    return !session_->catalogue.offers({workload, input, output, false, false, context_.threads})
                .list.empty();
  }

  /// In which tensors of that type are worth having: convolutions take quantised ones in nhwc
  /// alone, fully connected layers in nchw.
  static std::span<const Layout> layouts_of(DataType type) {
    static constexpr std::array kUnblocked = {Layout::nchw, Layout::nhwc};
    if (is_quantised(type)) return kUnblocked;
    return kLayouts;
  }

  /// In which oneDNN computes this. Its reference implementations of what has a window take up to
  /// sixty times as long as the others (max pooling in nChw16c at AVX2); a model that knows the
  /// layout from another level would not expect that, so they are left out where another layout has
  /// something better. Those of softmax are as fast as the rest on what networks end with. Of bf16
  /// none is taken: f32 is there to be computed in instead.
  std::vector<Layout> layouts_of(const Workload& workload) {
    const bool has_window = workload.op == Op::lrn || workload.op == Op::max_pool ||
                            workload.op == Op::avg_pool_include ||
                            workload.op == Op::avg_pool_exclude;
    std::vector<Layout> all, better;
    for (const Layout layout : layouts_of(workload.input_type)) {
      const Offers& found =
          session_->catalogue.offers({workload, layout, layout, false, false, context_.threads});
      if (found.list.empty()) continue;
      all.push_back(layout);
      const bool reference = is_reference(found.list.front());
      const bool allowed = !has_window && workload.input_type == DataType::f32;
      if (allowed || !reference) better.push_back(layout);
    }
    return better.empty() && workload.input_type == DataType::f32 ? all : better;
  }

  /// What is asked to learn which convolutions there are between two layouts.
  std::vector<Request> convolution_requests(const Types& types, const LayoutPair& pair) const {
    if (is_quantised(types.input) && (pair.input != Layout::nhwc || pair.output != pair.input)) {
      return {};
    }
    std::vector<ConvShape> shapes = probing_shapes();
    if (types != kTypes.front()) shapes.resize(kTypedProbingShapes);
    std::vector<Request> requests;
    for (const ConvShape& shape : shapes) {
      for (const bool winograd : {false, true}) {
        // Only 3x3 kernels of stride 1 have fast Winograd forms, and those of f32.
        if (winograd && (shape.kh != 3 || shape.stride_h != 1 || types != kTypes.front())) continue;
        requests.push_back({types.of(Workload::conv(shape)), pair.input, pair.output, winograd,
                            false, context_.threads});
      }
    }
    return requests;
  }

  /// Ordered by layouts, then by name: an order that does not depend on the library's.
  std::vector<Identity> discover_convolutions(const Types& types) {
    std::vector<Identity> found;
    for (const LayoutPair& pair : kConvolutionPairs) {
      std::set<std::string> implementations;
      for (const Request& request : convolution_requests(types, pair)) {
        for (const Offer& offer : session_->catalogue.offers(request).list) {
          implementations.insert(offer.implementation);
        }
      }
      for (const std::string& implementation : implementations) {
        // Plain loops without vectors or threads worth the name, offered for everything: each
        // would lengthen every profile by more than all the others together and never be chosen.
        // Found by name, for checking.
        if (implementation.starts_with("ref")) continue;
        // Code for shorter vectors, behind that for longer ones.
        if (implementation.starts_with("jit_uni_int8")) continue;
        found.push_back({Op::conv, implementation, pair.input, pair.output});
      }
    }
    return found;
  }

  Context context_;
  std::shared_ptr<LibraryState> session_;
  Libraries libraries_;
};

}  // namespace
}  // namespace onednn

Result<std::unique_ptr<Provider>> make_onednn_provider(const Context& context) {
  if (const auto capped = onednn::cap_isa(context.isa); !capped) return capped.error();
  try {
    const dnnl::engine cpu(dnnl::engine::kind::cpu, 0);
    std::shared_ptr<onednn::LibraryState> session(
        new onednn::LibraryState{context.isa, onednn::library_version(), onednn::Catalogue(cpu)});
    return std::unique_ptr<Provider>(
        std::make_unique<onednn::OneDnnProvider>(context, std::move(session)));
  } catch (const std::exception& error) {
    return make_error(ErrorCode::environment,
                      std::string("oneDNN does not start on this processor: ") + error.what());
  }
}

}  // namespace convopt
