// Profiles of a processor that obeys a known law, so that a test knows what should be learnt.
#pragma once

#include <cmath>
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "convopt/measurement.hpp"

namespace convopt::synthetic {

/// SplitMix64.
class Random {
 public:
  explicit Random(std::uint64_t seed) : state_(seed) {}
  std::uint64_t next() {
    std::uint64_t z = (state_ += 0x9e3779b97f4a7c15ULL);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
    return z ^ (z >> 31);
  }
  std::uint64_t below(std::uint64_t bound) { return next() % bound; }

 private:
  std::uint64_t state_;
};

inline double uniform(Random& random) {
  return static_cast<double>(random.next() >> 11) * 0x1.0p-53;
}

inline double gaussian(Random& random) {
  double sum = 0;
  for (int i = 0; i < 12; ++i) sum += uniform(random);
  return sum - 6;
}

inline Platform platform(const std::string& vendor = "AuthenticAMD", double peak = 100) {
  Platform p;
  p.machine.vendor = vendor;
  p.machine.name = "Synthetic";
  p.machine.family = 25;
  p.machine.model = 17;
  p.machine.l1d_bytes = 32 << 10;
  p.machine.l2_bytes = 1 << 20;
  p.machine.l3_bytes = 32 << 20;
  p.machine.peak_gflops = peak;
  p.machine.l1_gbps = 2 * peak;
  p.machine.l2_gbps = peak;
  p.machine.l3_gbps = 0.5 * peak;
  p.machine.memory_gbps = 15;
  p.isa = Isa::avx512;
  p.threads = 1;
  return p;
}

inline PrimitiveInfo primitive(const std::string& name, Algorithm algorithm, Layout layout,
                               int tile_oc, int tile_pixels) {
  PrimitiveInfo info;
  info.name = name;
  info.family = "synthetic";
  info.op = Op::conv;
  info.input_layout = info.output_layout = layout;
  info.revision = "1";
  info.traits.algorithm = algorithm;
  info.traits.cost = algorithm == Algorithm::gemm   ? "im2col"
                     : algorithm == Algorithm::copy ? "pointwise"
                                                    : to_string(algorithm);
  info.traits.tile_oc = tile_oc;
  info.traits.tile_pixels = tile_pixels;
  return info;
}

inline std::vector<PrimitiveInfo> primitives() {
  PrimitiveInfo winograd = primitive("winograd", Algorithm::winograd, Layout::nChw16c, 16, 6);
  winograd.traits.transform_h = winograd.traits.transform_w = 6;
  winograd.traits.output_h = winograd.traits.output_w = 4;
  PrimitiveInfo convert = primitive("convert", Algorithm::copy, Layout::nchw, 0, 0);
  convert.op = Op::convert;
  convert.output_layout = Layout::nChw16c;
  return {primitive("direct", Algorithm::direct, Layout::nChw16c, 16, 28),
          primitive("gemm", Algorithm::gemm, Layout::nchw, 32, 12),
          primitive("secret", Algorithm::unknown, Layout::nhwc, 0, 0), winograd, convert};
}

/// A primitive of the synthetic ones as if it multiplied numbers of that type.
inline PrimitiveInfo of_type(PrimitiveInfo info, DataType type) {
  info.name += "_" + std::string(to_string(type));
  info.input_type = info.output_type = info.traits.product_type = type;
  return info;
}

inline Workload conv(int ic, int size, int oc, int kernel, int stride) {
  ConvShape s;
  s.ic = ic;
  s.ih = s.iw = size;
  s.oc = oc;
  s.kh = s.kw = kernel;
  s.stride_h = s.stride_w = stride;
  s.pad_top = s.pad_bottom = s.pad_left = s.pad_right = kernel / 2;
  return Workload::conv(s);
}

/// Nanoseconds of one primitive on one workload, without noise.
using TimeFunction = std::function<double(const Workload&, const PrimitiveInfo&)>;

/// Rates per primitive, row tiles of 14 for the one with hidden tiles, fewer multiplications but
/// transforms for Winograd, a cost per call.
inline TimeFunction time_function(double speed = 1, std::map<std::string, double> factors = {}) {
  return [=](const Workload& w, const PrimitiveInfo& p) {
    const ConvShape& s = w.shape;
    const double factor = factors.contains(p.name) ? factors.at(p.name) : 1.0;
    const double bytes = 4.0 * (w.input().elements() + w.output().elements());
    double ns = 300 + bytes / 30;
    if (w.op == Op::conv) {
      const double flops = s.flops();
      const double row = std::ceil(s.ow() / 14.0) * 14 / s.ow();
      if (p.name == "direct") ns += flops / 70;
      if (p.name == "gemm") ns += flops / 60 + bytes * s.kh * s.kw / 40;
      if (p.name == "secret") ns += flops * row / 80;
      if (p.name == "winograd") ns += flops / 150 + bytes / 3;
    }
    return ns * factor / speed;
  };
}

struct Options {
  int shapes = 120;
  std::uint64_t seed = 1;
  double noise = 0.02;
  double censor_above = 0;  ///< times beyond this multiple of the best are cut short there
};

inline Profile profile(const Platform& where, const TimeFunction& time, const Options& options) {
  Profile result;
  RunHeader header;
  header.run = "run-" + std::to_string(options.seed);
  header.platform = where;
  header.libraries = {{"onednn", "2.6.3"}};
  header.primitives = primitives();
  Random random(options.seed);
  const int kernels[] = {1, 3, 5};
  while (static_cast<int>(result.measurements.size()) < options.shapes * 5) {
    const int kernel = kernels[random.below(3)];
    const Workload w = conv(8 << random.below(6), 7 + static_cast<int>(random.below(50)),
                            8 << random.below(6), kernel, 1 + static_cast<int>(random.below(2)));
    const Workload moved = Workload::pointwise(Op::convert, w.input());
    double best = INFINITY;
    const std::size_t first = result.measurements.size();
    for (const PrimitiveInfo& p : header.primitives) {
      Measurement m;
      m.run = header.run;
      m.workload = p.op == Op::conv ? w : moved;
      m.primitive = p.name;
      m.revision = p.revision;
      m.isa = where.isa;
      m.threads = where.threads;
      m.median_ns = time(m.workload, p) * std::exp(options.noise * gaussian(random));
      if (p.name == "winograd" && (kernel != 3 || w.shape.stride_h != 1)) {
        m.status = MeasurementStatus::inapplicable;
        m.reason = "kernel is not 3x3 at stride 1";
        m.median_ns = 0;
      } else if (p.op == Op::conv) {
        best = std::min(best, m.median_ns);
      }
      result.measurements.push_back(m);
    }
    if (options.censor_above <= 0) continue;
    for (std::size_t i = first; i < result.measurements.size(); ++i) {
      Measurement& m = result.measurements[i];
      if (m.workload.op == Op::conv && m.median_ns > options.censor_above * best) {
        m.status = MeasurementStatus::censored;
        m.median_ns = options.censor_above * best;
      }
    }
  }
  result.runs.push_back(std::move(header));
  return result;
}

/// The same times multiplied by `factor`, of the same primitives in another type. `known` must be
/// of f32 alone.
inline void add_type(Profile& profile, DataType type, double factor) {
  const std::vector<Measurement> known = profile.measurements;
  for (const PrimitiveInfo& info : primitives()) {
    profile.runs[0].primitives.push_back(of_type(info, type));
  }
  for (Measurement m : known) {
    m.workload = m.workload.of_type(type);
    m.primitive += "_" + std::string(to_string(type));
    m.median_ns *= factor;
    profile.measurements.push_back(m);
  }
}

}  // namespace convopt::synthetic
