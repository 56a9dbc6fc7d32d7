// A registry of primitives that are given one by one, without a library behind them.
#pragma once

#include <algorithm>
#include <memory>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

#include "convopt/primitive.hpp"

namespace convopt {

class PrimitiveList : public Registry {
 public:
  const Context& context() const override { return context_; }
  std::span<const Primitive* const> primitives() const override { return listed_; }
  const Primitive* find(std::string_view name) const override {
    const auto found = std::ranges::find(listed_, name, &Primitive::name);
    return found == listed_.end() ? nullptr : *found;
  }
  const Libraries& libraries() const override { return libraries_; }
  const Primitive* library_default(const Workload&) const override { return nullptr; }

 protected:
  explicit PrimitiveList(const Context& context = {}, Libraries libraries = {})
      : context_(context), libraries_(std::move(libraries)) {}

  template <class P>
  P& keep(std::unique_ptr<P> primitive) {
    P& kept = *primitive;
    listed_.push_back(primitive.get());
    owned_.push_back(std::move(primitive));
    return kept;
  }

  Context context_;
  Libraries libraries_;

 private:
  std::vector<std::unique_ptr<Primitive>> owned_;
  std::vector<const Primitive*> listed_;
};

}  // namespace convopt
