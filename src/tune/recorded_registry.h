// Primitives of a profile, as its headers list them; a primitive applies where it was timed. With
// this registry, plans can be evaluated on a machine other than the one that was measured.
#pragma once

#include <memory>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "convopt/measurement.hpp"
#include "convopt/primitive.hpp"

namespace convopt {

class RecordedRegistry final : public Registry {
 public:
  /// Takes the runs on this platform; the latest header that lists a primitive counts.
  RecordedRegistry(const Profile& profile, const Platform& platform);

  const Context& context() const override { return context_; }
  std::span<const Primitive* const> primitives() const override { return pointers_; }
  const Primitive* find(std::string_view name) const override;
  const Libraries& libraries() const override { return libraries_; }
  /// Not recorded.
  const Primitive* library_default(const Workload&) const override { return nullptr; }

 private:
  Context context_;
  Libraries libraries_;
  std::vector<std::unique_ptr<Primitive>> primitives_;
  std::vector<const Primitive*> pointers_;
};

}  // namespace convopt
