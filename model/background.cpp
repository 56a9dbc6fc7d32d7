#include "model/background.h"

#include <cmath>
#include <vector>

#include "model/features.h"

namespace convopt {
namespace {

// A platform's coefficients may differ from the common ones, times what is common to its
// operations. 0.2 instead of 0.5 left an error of 7.6 instead of 7.3 % on Zen 5 with AVX-512, and
// 6.6 instead of 6.4 % with AVX2, in a model of four platforms.
constexpr double kPlatformDeviation = 0.5;

}  // namespace

Background Background::fit(const Dataset& data, std::span<const std::size_t> rows) {
  Background background{Effects::fit(data, rows), Laws::fit(data, rows), {}};
  std::map<std::string, std::vector<std::size_t>> rows_of;
  std::vector<std::string> ids;
  for (const Platform& platform : data.platforms) ids.push_back(platform.id());
  for (const std::size_t row : rows) rows_of[ids[data.samples[row].platform]].push_back(row);
  if (rows_of.size() == 1) {
    background.of_platform[rows_of.begin()->first] = background.laws;
    return background;
  }
  for (const auto& [id, own] : rows_of) {
    background.of_platform[id] = Laws::adapt(background.laws, data, own, kPlatformDeviation);
  }
  return background;
}

const Laws* Background::laws_of(const Platform& platform) const {
  const auto at = of_platform.find(platform.id());
  return at == of_platform.end() ? nullptr : &at->second;
}

const Laws& Background::laws_near(const Platform& platform) const {
  const Laws* const own = laws_of(platform);
  return own != nullptr ? *own : laws;
}

void write_background(double effect, const Law* law, const LawTerms& terms, double log_analytic,
                      std::span<float> row) {
  const std::span<float> columns = row.last(kBackgroundColumns);
  columns[0] = static_cast<float>(effect);
  if (law == nullptr) return;
  const double log_ns = law->log_ns(terms), inverse = std::exp(-log_ns);
  columns[1] = static_cast<float>(log_ns - log_analytic);
  for (std::size_t j = 0; j < kLawTerms; ++j) {
    columns[2 + j] = static_cast<float>(law->coefficients[j] * terms[j] * inverse);
  }
}

}  // namespace convopt
