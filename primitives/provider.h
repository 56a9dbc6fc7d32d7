// A provider brings primitives of a library that are discovered at run time. convopt's own stand in
// primitives.inc; oneDNN's come from onednn/provider.cpp; another library would be one more.
#pragma once

#include <memory>
#include <string_view>
#include <vector>

#include "convopt/primitive.hpp"

namespace convopt {

class Provider {
 public:
  virtual ~Provider() = default;
  /// Every primitive that the library offers in this context, found by asking it about a set of
  /// probing workloads; in a fixed order, without duplicates.
  virtual std::vector<std::unique_ptr<Primitive>> discover() = 0;
  /// A primitive by a name in this provider's grammar, without discovery; null if it is not one.
  virtual std::unique_ptr<Primitive> make(std::string_view name) = 0;
  /// Name of the primitive the library itself would take for a convolution; empty if none.
  virtual std::string default_primitive(const Workload& workload) = 0;
  virtual const Libraries& libraries() const = 0;
};

/// convopt's own primitives and those of the providers. The default for a workload is that of the
/// first provider that has one.
std::unique_ptr<Registry> make_registry(const Context& context,
                                        std::vector<std::unique_ptr<Provider>> providers);

/// oneDNN at this ISA level; the level is capped before the library's first use, once per process.
Result<std::unique_ptr<Provider>> make_onednn_provider(const Context& context);

}  // namespace convopt
