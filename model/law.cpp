#include "model/law.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "model/dataset.h"
#include "model/statistics.h"

namespace convopt {
namespace {

constexpr std::array<std::string_view, kLawTerms> kNames = {
    "call",    "arithmetic",    "transforms",  "tiles",  "tensors",
    "weights", "weights_again", "image_again", "border", "results"};

// What a law leaves unexplained where it fits well; it weighs samples against the prior.
constexpr double kNoise = 0.1;
// Errors beyond this many times the noise count linearly.
constexpr double kHuber = 2.0;
// A coefficient of zero may still become what would explain this share of the time.
constexpr double kShareOfNothing = 0.1;
// How far platforms differ in the cost of arithmetic, memory, calls against each other.
constexpr double kCommonDeviation = 0.7;
constexpr double kLeastWeight = 0.2;

// Minimises c'Ac/2 - b'c over c >= 0 by going along one coordinate after another.
void solve_non_negative(const std::array<std::array<double, kLawTerms>, kLawTerms>& a,
                        const std::array<double, kLawTerms>& b, std::array<double, kLawTerms>& c) {
  constexpr int kSweeps = 100;
  for (int sweep = 0; sweep < kSweeps; ++sweep) {
    double moved = 0, size = 0;
    for (std::size_t j = 0; j < kLawTerms; ++j) {
      if (!(a[j][j] > 0)) continue;
      double gradient = -b[j];
      for (std::size_t i = 0; i < kLawTerms; ++i) gradient += a[j][i] * c[i];
      const double next = std::max(0.0, c[j] - gradient / a[j][j]);
      moved += std::abs(next - c[j]) * std::sqrt(a[j][j]);
      size += next * std::sqrt(a[j][j]);
      c[j] = next;
    }
    if (moved < 1e-7 * size) break;
  }
}

std::vector<LawSample> samples_of(const Dataset& data, std::span<const std::size_t> rows) {
  std::vector<LawSample> samples;
  samples.reserve(rows.size());
  for (const std::size_t row : rows) {
    const Sample& s = data.samples[row];
    samples.push_back({s.terms, s.log_ns, std::max(kLeastWeight, s.relevance), s.censored});
  }
  return samples;
}

template <class KeyOf>
std::map<std::string, std::vector<std::size_t>> split(const Dataset& data,
                                                      std::span<const std::size_t> rows,
                                                      KeyOf&& key_of) {
  std::map<std::string, std::vector<std::size_t>> parts;
  for (const std::size_t row : rows) {
    parts[key_of(data.primitives[data.samples[row].primitive])].push_back(row);
  }
  return parts;
}

std::string op_of(const PrimitiveInfo& primitive) { return std::string(to_string(primitive.op)); }

std::string name_of(const PrimitiveInfo& primitive) { return primitive.name; }

// Four digits are more than any times support; a file of them is a third as long to read.
Law rounded(Law law) {
  for (double& c : law.coefficients) {
    if (!(c > 0)) continue;
    const double scale = std::pow(10, 3 - std::floor(std::log10(c)));
    c = std::round(c * scale) / scale;
  }
  return law;
}

Law first_principles() {
  Law law;
  law.coefficients.fill(1);
  return law;
}

}  // namespace

std::span<const std::string_view> law_term_names() { return kNames; }

std::string kind_of(const PrimitiveInfo& primitive) {
  return op_of(primitive) + '/' + std::string(to_string(primitive.traits.algorithm));
}

LawTerms law_terms(const WorkEstimate& work, const Capabilities& machine, TimingMode mode) {
  const AnalyticTime time = analytic_time(work, machine, mode);
  // Entering and leaving a tile: a few instructions per value of its result.
  constexpr double kFlopsPerTile = 400;
  const double beyond_l2 = [](double bytes, double cache) {
    return bytes > 0 ? std::max(0.0, 1 - cache / bytes) : 0.0;
  }(work.weight_bytes, 0.5 * machine.l2_bytes);
  const double image_beyond_l2 =
      work.input_bytes > 0 ? std::max(0.0, 1 - 0.5 * machine.l2_bytes / work.input_bytes) : 0.0;
  const double rate = 0.5 * (1 / machine.l2_per_ns + 1 / machine.l3_per_ns);
  LawTerms terms{};
  terms[0] = 100.0 + 1000.0 * (machine.threads - 1);
  terms[1] = time.compute_ns;
  terms[2] = time.transform_ns;
  terms[3] = work.tiles * kFlopsPerTile / machine.flops_per_ns;
  terms[4] = time.source_ns;
  terms[5] = time.weight_ns;
  terms[6] = beyond_l2 * work.weight_bytes * work.pixel_tiles * rate;
  terms[7] = image_beyond_l2 * work.input_bytes * work.channel_tiles * rate;
  terms[8] = 8 * work.border / machine.flops_per_ns;
  terms[9] = time.result_ns;
  return terms;
}

double Law::log_ns(const LawTerms& terms) const {
  double ns = 0;
  for (std::size_t j = 0; j < kLawTerms; ++j) ns += coefficients[j] * terms[j];
  return std::log(std::max(ns, 1e-3));
}

Law Law::times(const Law& factors) const {
  Law result;
  for (std::size_t j = 0; j < kLawTerms; ++j) {
    result.coefficients[j] = coefficients[j] * factors.coefficients[j];
  }
  return result;
}

Law Law::scaled(double factor) const {
  Law result = *this;
  for (double& c : result.coefficients) c *= factor;
  return result;
}

Law fit_law(std::span<const LawSample> samples, const Law& prior, double deviation) {
  if (samples.empty()) return prior;
  // The coefficient at which a term alone would take the whole time.
  std::array<double, kLawTerms> scale{};
  double total = 0;
  for (const LawSample& s : samples) {
    total += s.weight;
    for (std::size_t j = 0; j < kLawTerms; ++j) {
      scale[j] += s.weight * s.terms[j] * std::exp(-s.log_ns);
    }
  }
  std::array<double, kLawTerms> stiffness{};
  for (std::size_t j = 0; j < kLawTerms; ++j) {
    const double p = prior.coefficients[j];
    const double alone = scale[j] > 0 ? total / scale[j] : 0;
    const double sigma = deviation * (p + kShareOfNothing * std::min(alone, 100 * (p + 0.1)));
    stiffness[j] = sigma > 0 ? 1 / (sigma * sigma) : 0;
  }
  Law law = prior;
  constexpr int kIterations = 15;
  for (int iteration = 0; iteration < kIterations; ++iteration) {
    std::array<std::array<double, kLawTerms>, kLawTerms> a{};
    std::array<double, kLawTerms> b{};
    for (std::size_t j = 0; j < kLawTerms; ++j) {
      a[j][j] = stiffness[j];
      b[j] = stiffness[j] * prior.coefficients[j];
    }
    for (const LawSample& s : samples) {
      // log(c x) is about log(c0 x) + c x / (c0 x) - 1.
      const double log_now = law.log_ns(s.terms);
      const double error = s.log_ns - log_now;
      if (s.lower_bound && error < 0) continue;
      const double size = std::abs(error) / kNoise;
      const double weight = s.weight / (kNoise * kNoise) * (size > kHuber ? kHuber / size : 1.0);
      const double goal = 1 + std::clamp(error, -1.0, 1.0);
      const double inverse = std::exp(-log_now);
      std::array<double, kLawTerms> x;
      for (std::size_t j = 0; j < kLawTerms; ++j) x[j] = s.terms[j] * inverse;
      for (std::size_t j = 0; j < kLawTerms; ++j) {
        for (std::size_t i = 0; i <= j; ++i) a[j][i] += weight * x[j] * x[i];
        b[j] += weight * goal * x[j];
      }
    }
    for (std::size_t j = 0; j < kLawTerms; ++j) {
      for (std::size_t i = j + 1; i < kLawTerms; ++i) a[j][i] = a[i][j];
    }
    Law next = law;
    solve_non_negative(a, b, next.coefficients);
    double change = 0;
    for (std::size_t j = 0; j < kLawTerms; ++j) {
      change = std::max(change, std::abs(next.coefficients[j] - law.coefficients[j]) /
                                    (law.coefficients[j] + 1e-3));
    }
    law = next;
    if (change < 1e-4) break;
  }
  return rounded(law);
}

Laws Laws::fit(const Dataset& data, std::span<const std::size_t> rows) {
  // Wide: there is nothing else to go by.
  constexpr double kOpDeviation = 5, kKindDeviation = 2, kPrimitiveDeviation = 1;
  Laws laws;
  for (const auto& [op, of_op] : split(data, rows, op_of)) {
    laws.by_op[op] = fit_law(samples_of(data, of_op), first_principles(), kOpDeviation);
  }
  for (const auto& [kind, of_kind] : split(data, rows, kind_of)) {
    const Law& prior = laws.by_op[op_of(data.primitives[data.samples[of_kind[0]].primitive])];
    laws.by_kind[kind] = fit_law(samples_of(data, of_kind), prior, kKindDeviation);
  }
  for (const auto& [name, own] : split(data, rows, name_of)) {
    const Law& prior = laws.by_kind[kind_of(data.primitives[data.samples[own[0]].primitive])];
    laws.by_primitive[name] = fit_law(samples_of(data, own), prior, kPrimitiveDeviation);
    laws.op_of_primitive[name] = op_of(data.primitives[data.samples[own[0]].primitive]);
  }
  return laws;
}

Laws Laws::adapt(const Laws& source, const Dataset& data, std::span<const std::size_t> rows,
                 double deviation, std::span<const double> beyond, double share) {
  std::vector<LawSample> samples = samples_of(data, rows);
  for (std::size_t i = 0; i < beyond.size(); ++i) samples[i].log_ns -= share * beyond[i];
  std::vector<const PrimitiveInfo*> primitives;
  for (const std::size_t row : rows) {
    primitives.push_back(&data.primitives[data.samples[row].primitive]);
  }
  std::vector<Law> laws_of_source;
  std::vector<statistics::Weighted> ratios;
  for (std::size_t i = 0; i < samples.size(); ++i) {
    laws_of_source.push_back(source.of(*primitives[i]));
    if (samples[i].lower_bound) continue;
    ratios.push_back(
        {samples[i].log_ns - laws_of_source[i].log_ns(samples[i].terms), samples[i].weight});
  }
  if (ratios.empty()) return source;
  const double factor = std::exp(statistics::weighted_quantile(std::move(ratios), 0.5));

  // An operation that was not timed says nothing about its costs; convolutions know nothing of the
  // arithmetic of pooling.
  std::map<std::string, std::vector<LawSample>> of_op;
  for (std::size_t i = 0; i < samples.size(); ++i) {
    LawSample& relative = of_op[op_of(*primitives[i])].emplace_back(samples[i]);
    for (std::size_t j = 0; j < kLawTerms; ++j) {
      relative.terms[j] *= factor * laws_of_source[i].coefficients[j];
    }
  }
  std::map<std::string, Law> common;
  for (const auto& [op, relative] : of_op) {
    common[op] = fit_law(relative, first_principles(), kCommonDeviation).scaled(factor);
  }
  const auto adapted = [&](const Law& law, const std::string& op) {
    const auto at = common.find(op);
    return rounded(at == common.end() ? law.scaled(factor) : law.times(at->second));
  };

  Laws laws;
  laws.op_of_primitive = source.op_of_primitive;
  for (const auto& [op, law] : source.by_op) laws.by_op[op] = adapted(law, op);
  for (const auto& [kind, law] : source.by_kind) {
    laws.by_kind[kind] = adapted(law, kind.substr(0, kind.find('/')));
  }
  for (const auto& [name, law] : source.by_primitive) {
    const auto op = source.op_of_primitive.find(name);
    laws.by_primitive[name] = adapted(law, op == source.op_of_primitive.end() ? "" : op->second);
  }
  // What the source never saw is judged by its kind, so the kind comes first.
  std::map<std::string, std::vector<LawSample>> unseen_of_kind, of_primitive;
  std::map<std::string, const PrimitiveInfo*> info_of;
  for (std::size_t i = 0; i < samples.size(); ++i) {
    const PrimitiveInfo& info = *primitives[i];
    of_primitive[info.name].push_back(samples[i]);
    info_of[info.name] = &info;
    if (!source.by_primitive.contains(info.name)) {
      unseen_of_kind[kind_of(info)].push_back(samples[i]);
      info_of[kind_of(info)] = &info;
    }
  }
  for (const auto& [kind, of_kind] : unseen_of_kind) {
    laws.by_kind[kind] = fit_law(of_kind, laws.of(*info_of[kind]), 2 * deviation);
  }
  for (const auto& [name, own] : of_primitive) {
    laws.by_primitive[name] = fit_law(own, laws.of(*info_of[name]), deviation);
    laws.op_of_primitive[name] = op_of(*info_of[name]);
  }
  return laws;
}

Law Laws::of(const PrimitiveInfo& primitive) const {
  if (const auto at = by_primitive.find(primitive.name); at != by_primitive.end())
    return at->second;
  if (const auto at = by_kind.find(kind_of(primitive)); at != by_kind.end()) return at->second;
  if (const auto at = by_op.find(op_of(primitive)); at != by_op.end()) return at->second;
  return first_principles();
}

}  // namespace convopt
