#include <algorithm>
#include <map>
#include <mutex>
#include <string>
#include <utility>

#include "convopt/primitive.hpp"
#include "primitives/own.h"
#include "primitives/provider.h"

namespace convopt {

namespace {

class ListAndProviders final : public Registry {
 public:
  ListAndProviders(const Context& context, std::unique_ptr<Provider> provider)
      : context_(context), provider_(std::move(provider)), libraries_(provider_->libraries()) {
    for (auto& primitive : own_primitives(context)) keep(std::move(primitive));
    for (auto& primitive : provider_->discover()) keep(std::move(primitive));
    for (const auto& primitive : owned_) listed_.push_back(primitive.get());
  }

  const Context& context() const override { return context_; }
  std::span<const Primitive* const> primitives() const override { return listed_; }
  const Libraries& libraries() const override { return libraries_; }

  const Primitive* find(std::string_view name) const override {
    const std::scoped_lock lock(mutex_);
    if (const auto known = by_name_.find(name); known != by_name_.end()) return known->second;
    auto made = provider_->make(name);
    return made ? keep(std::move(made)) : nullptr;
  }

  const Primitive* library_default(const Workload& workload) const override {
    const std::string name = provider_->default_primitive(workload);
    return name.empty() ? nullptr : find(name);
  }

 private:
  const Primitive* keep(std::unique_ptr<Primitive> primitive) const {
    const Primitive* result = primitive.get();
    by_name_.emplace(result->name(), result);  // the key lives in the primitive
    owned_.push_back(std::move(primitive));
    return result;
  }

  Context context_;
  std::unique_ptr<Provider> provider_;
  Libraries libraries_;
  std::vector<const Primitive*> listed_;
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
  auto provider = make_onednn_provider(context);
  if (!provider) return provider.error();
  return std::unique_ptr<Registry>(
      std::make_unique<ListAndProviders>(context, std::move(*provider)));
}

}  // namespace convopt
