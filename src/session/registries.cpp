#include "src/session/registries.h"
#include "core/try.h"

#include <map>
#include <mutex>
#include <utility>

namespace convopt {

Result<std::shared_ptr<const Registry>> shared_registry(const Context& context) {
  static std::mutex mutex;
  static std::map<std::pair<Isa, int>, std::weak_ptr<const Registry>> registries;
  const std::scoped_lock lock(mutex);
  std::weak_ptr<const Registry>& known = registries[{context.isa, context.threads}];
  if (auto registry = known.lock()) return registry;
  CONVOPT_TRY(std::shared_ptr<const Registry> registry, Registry::create(context));
  known = registry;
  return registry;
}

}  // namespace convopt
