#include "model/intercepts.h"

namespace convopt {
namespace {

// Samples that the mean of the wider group counts for. Between 2 and 10 nothing changed by more
// than the noise of cross-validation.
constexpr double kShrinkage = 4;

struct Mean {
  double sum = 0, count = 0;
  void add(double value) {
    sum += value;
    count += 1;
  }
  double shrunk_to(double prior) const { return (sum + kShrinkage * prior) / (count + kShrinkage); }
};

}  // namespace

Intercepts Intercepts::fit(const Dataset& data, std::span<const std::size_t> rows) {
  Mean all;
  std::map<std::string, Mean> kinds;
  std::map<std::string, std::pair<std::string, Mean>> primitives;
  for (const std::size_t row : rows) {
    const Sample& sample = data.samples[row];
    const PrimitiveInfo& info = data.primitives[sample.primitive];
    const std::string kind = kind_of(info);
    auto& primitive = primitives[info.name];
    primitive.first = kind;
    Mean& of_kind = kinds[kind];
    if (sample.censored) continue;  // a bound is no sample of the mean
    all.add(sample.log_ratio());
    of_kind.add(sample.log_ratio());
    primitive.second.add(sample.log_ratio());
  }
  Intercepts intercepts;
  intercepts.overall = all.count > 0 ? all.sum / all.count : 0;
  for (const auto& [name, mean] : kinds)
    intercepts.by_kind[name] = mean.shrunk_to(intercepts.overall);
  for (const auto& [name, entry] : primitives) {
    intercepts.by_primitive[name] = entry.second.shrunk_to(intercepts.by_kind[entry.first]);
  }
  return intercepts;
}

double Intercepts::of(const PrimitiveInfo& primitive) const {
  if (const auto at = by_primitive.find(primitive.name); at != by_primitive.end())
    return at->second;
  if (const auto at = by_kind.find(kind_of(primitive)); at != by_kind.end()) return at->second;
  return overall;
}

}  // namespace convopt
