// Queries of the library's implementations for a workload between two layouts, each asked once and
// remembered.
#pragma once

#include <cstddef>
#include <dnnl.hpp>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "convopt/primitive.hpp"
#include "convopt/tensor.hpp"
#include "convopt/workload.hpp"
#include "primitives/onednn/names.h"

namespace convopt::onednn {

inline constexpr auto kFloat = dnnl::memory::data_type::f32;
/// Of f32, bf16, u8 and s8.
dnnl::memory::data_type data_type_of(DataType type);

/// What a primitive of quantised tensors multiplies by.
struct Scaling {
  std::vector<float> sums;  ///< with biases; one for each channel or one for all; empty: none
  float residual = 1;
  float bound = 1;  ///< of an activation's limits
  float activated = 1;
  int source_zero = 0;  ///< zero point of the source, where its padding is to hold it
  int result_zero = 0;  ///< added behind an activation
};

/// Of a workload with these scales; `weight_scales` are those of the output channels, if it has
/// weights.
Scaling scaling_of(const Workload& workload, const Quantisation& scales,
                   std::span<const float> weight_scales);

/// The argument of a run, DNNL_ARG_..., that `Scaling::sums` belong to where arguments are scaled.
int scaled_argument(const Workload& workload);

/// A question to the library. Winograd is a question of its own, `free_layouts` leaves source and
/// destination to the library, as in its default; `input` and `output` do not count then.
struct Request {
  Workload workload;
  Layout input = Layout::nchw, output = Layout::nchw;
  bool winograd = false;
  bool free_layouts = false;
  int threads = 1;

  bool operator==(const Request&) const = default;
};

/// One implementation that the library has for a request.
struct Offer {
  std::string implementation;  ///< clean
  std::size_t workspace_bytes = 0, packed_bytes = 0;
  Layout input = Layout::nchw, output = Layout::nchw;
};

struct Offers {
  std::vector<Offer> list;  ///< in the library's order, first choice first
  std::string reason;       ///< why the list is empty, where that is known

  /// The first offer if `implementation` is empty; null if there is none.
  const Offer* find(const std::string& implementation) const;
};

dnnl::memory::desc tensor_desc(const TensorShape& shape, DataType type, Layout layout);

/// Bytes on which tensors must lie for an implementation of this clean name, 1 if anywhere. The
/// library does not say: found by giving every kernel buffers that are aligned to an element
/// (2.6.3).
std::size_t tensor_alignment(Op op, const std::string& implementation);

/// The descriptor behind an offer; empty if the library does not have it. Throws dnnl::error.
dnnl::primitive_desc_base find_descriptor(const dnnl::engine& cpu, const Request& request,
                                          const std::string& implementation,
                                          const Scaling& scaling);

/// Remembers answers: thirty primitives that are asked about one shape cost one look at the
/// library's list per pair of layouts, 20 to 60 us each (2.6.3, Zen 4). Grows by about 1 KB per
/// workload and is never emptied. Any number of threads may ask.
class Catalogue {
 public:
  explicit Catalogue(dnnl::engine cpu) : cpu_(std::move(cpu)) {}

  const dnnl::engine& cpu() const { return cpu_; }
  /// Never changes or moves afterwards.
  const Offers& offers(const Request& request);

 private:
  struct Hash {
    std::size_t operator()(const Request& request) const;
  };
  dnnl::engine cpu_;
  std::mutex mutex_;
  std::unordered_map<Request, Offers, Hash> known_;  // references survive growth
};

}  // namespace convopt::onednn
