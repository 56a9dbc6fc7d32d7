#include "model/blend.h"

namespace convopt {

Blend& Blend::add(const Blend& other, double weight) {
  offset += weight * other.offset;
  slope += weight * other.slope;
  size += weight * other.size;
  for (const auto& [name, value] : other.own) own[name] += weight * value;
  for (const auto& [share, of_share] : other.laws) laws.emplace_back(weight * share, of_share);
  for (Field field : other.fields) {
    field.scale(weight);
    fields.push_back(std::move(field));
  }
  return *this;
}

Blend Blend::average(std::span<const Blend> blends) {
  Blend result = nothing();
  for (const Blend& blend : blends) result.add(blend, 1 / static_cast<double>(blends.size()));
  return result;
}

double BlendReader::log_ns(const BlendInput& input) {
  const auto [primitive, new_primitive] = primitives_.try_emplace(input.primitive);
  OfPrimitive& of = primitive->second;
  if (new_primitive) {
    if (const auto at = blend_.own.find(input.primitive->name); at != blend_.own.end()) {
      of.own = at->second;
    }
    for (const auto& [weight, laws] : blend_.laws) of.laws.push_back(laws.of(*input.primitive));
    for (const Field& field : blend_.fields) of.factors.push_back(field.of(*input.primitive));
  }
  double result =
      blend_.offset + blend_.slope * input.log_ratio + blend_.size * input.log_analytic + of.own;
  for (std::size_t i = 0; i < of.laws.size(); ++i) {
    result += blend_.laws[i].first * of.laws[i].log_ns(*input.terms);
  }
  if (blend_.fields.empty()) return result;
  const auto [workload, new_workload] = kernels_.try_emplace(input.workload);
  if (new_workload) {
    const FieldPoint point = field_point(*input.workload);
    for (const Field& field : blend_.fields) workload->second.push_back(field.kernels(point));
  }
  for (std::size_t i = 0; i < blend_.fields.size(); ++i) {
    const std::vector<double>& kernels = workload->second[i];
    for (std::size_t j = 0; j < of.factors[i].size(); ++j) {
      result += of.factors[i][j] * kernels[j];
    }
  }
  return result;
}

}  // namespace convopt
