#include <algorithm>
#include <map>
#include <mutex>
#include <string>
#include <utility>

#include "convopt/primitive.hpp"
#include "core/try.h"
#include "primitives/own.h"
#include "primitives/provider.h"

namespace convopt {

namespace {

class ListAndProviders final : public Registry {
 public:
  ListAndProviders(const Context& context, std::vector<std::unique_ptr<Provider>> providers)
      : context_(context), providers_(std::move(providers)) {
    for (auto& primitive : own_primitives(context)) listed_.push_back(keep(std::move(primitive)));
    for (const auto& provider : providers_)
      libraries_.insert(provider->libraries().begin(), provider->libraries().end());
  }

  const Context& context() const override { return context_; }
  /// Discovery takes longer than preparing a small network, and who executes a plan only looks for
  /// names.
  std::span<const Primitive* const> primitives() const override {
    std::call_once(discovered_, [this] {
      for (const auto& provider : providers_) {
        auto found = provider->discover();
        const std::scoped_lock lock(mutex_);
        for (auto& primitive : found) {
          const auto known = by_name_.find(primitive->name());
          listed_.push_back(known != by_name_.end() ? known->second : keep(std::move(primitive)));
        }
      }
    });
    return listed_;
  }
  const Libraries& libraries() const override { return libraries_; }

  const Primitive* find(std::string_view name) const override {
    const std::scoped_lock lock(mutex_);
    if (const auto known = by_name_.find(name); known != by_name_.end()) return known->second;
    for (const auto& provider : providers_) {
      if (auto made = provider->make(name)) return keep(std::move(made));
    }
    return nullptr;
  }

  const Primitive* library_default(const Workload& workload) const override {
    for (const auto& provider : providers_) {
      const std::string name = provider->default_primitive(workload);
      if (!name.empty()) return find(name);
    }
    return nullptr;
  }

 private:
  const Primitive* keep(std::unique_ptr<Primitive> primitive) const {
    const Primitive* result = primitive.get();
    by_name_.emplace(result->name(), result);  // the key lives in the primitive
    owned_.push_back(std::move(primitive));
    return result;
  }

  Context context_;
  std::vector<std::unique_ptr<Provider>> providers_;
  Libraries libraries_;
  mutable std::once_flag discovered_;
  mutable std::vector<const Primitive*> listed_;
  // find() adds what the provider makes on demand.
  mutable std::mutex mutex_;
  mutable std::vector<std::unique_ptr<Primitive>> owned_;
  mutable std::map<std::string_view, const Primitive*> by_name_;
};

}  // namespace

Result<std::unique_ptr<Registry>> Registry::create(const Context& context) {
  if (context.threads < 1) {
    return make_error(ErrorCode::usage, "the number of threads must be at least 1, not " +
                                            std::to_string(context.threads));
  }
  const std::vector<Isa> supported = supported_isas();
  if (std::find(supported.begin(), supported.end(), context.isa) == supported.end()) {
    return make_error(ErrorCode::environment, "this processor cannot run the instruction set " +
                                                  std::string(to_string(context.isa)));
  }
  std::vector<std::unique_ptr<Provider>> providers;
  for (const auto make : {make_onednn_provider}) {
    CONVOPT_TRY(auto provider, make(context));
    providers.push_back(std::move(provider));
  }
  return make_registry(context, std::move(providers));
}

std::unique_ptr<Registry> make_registry(const Context& context,
                                        std::vector<std::unique_ptr<Provider>> providers) {
  return std::make_unique<ListAndProviders>(context, std::move(providers));
}

}  // namespace convopt
