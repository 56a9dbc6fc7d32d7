#include "src/cli/primitive_filter.h"

#include <algorithm>

namespace convopt::cli {
namespace {

bool names(const std::string& name, const PrimitiveInfo& info) {
  return name == info.name || name == info.family;
}

bool any_names(const std::vector<std::string>& list, const PrimitiveInfo& info) {
  return std::ranges::any_of(list, [&](const std::string& name) { return names(name, info); });
}

}  // namespace

void PrimitiveFilter::add_allow(CLI::App& verb, const std::string& option,
                                const std::string& help) {
  verb.add_option(option, allow_, help)->delimiter(',')->allow_extra_args(false);
}

void PrimitiveFilter::add_exclude(CLI::App& verb, const std::string& option,
                                  const std::string& help) {
  verb.add_option(option, exclude_, help)->delimiter(',')->allow_extra_args(false);
}

bool PrimitiveFilter::operator()(const PrimitiveInfo& info) const {
  return (allow_.empty() || any_names(allow_, info)) && !any_names(exclude_, info);
}

Result<void> PrimitiveFilter::check(const Registry& registry) const {
  for (const auto* list : {&allow_, &exclude_}) {
    for (const std::string& name : *list) {
      const bool known = std::ranges::any_of(
          registry.primitives(),
          [&](const Primitive* primitive) { return names(name, primitive->info()); });
      if (!known) {
        return make_error(ErrorCode::usage, "no primitive and no family is called '" + name +
                                                "'; `convopt list` shows them");
      }
    }
  }
  return {};
}

}  // namespace convopt::cli
