#include "src/library/primitive_filter.h"

#include <algorithm>

namespace convopt {
namespace {

bool names(const std::string& name, const PrimitiveInfo& info) {
  return name == info.name || name == info.family;
}

bool any_names(const std::vector<std::string>& list, const PrimitiveInfo& info) {
  return std::ranges::any_of(list, [&](const std::string& name) { return names(name, info); });
}

}  // namespace

bool PrimitiveFilter::operator()(const PrimitiveInfo& info) const {
  return (allow.empty() || any_names(allow, info)) && !any_names(exclude, info);
}

Result<void> PrimitiveFilter::check(const Registry& registry) const {
  for (const auto* list : {&allow, &exclude}) {
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

}  // namespace convopt
