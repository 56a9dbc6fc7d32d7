// Primitives that need memory while they run.
#pragma once

#include <memory>

#include "convopt/primitive.hpp"

namespace convopt {

/// Refuses a workspace of more bytes than the context allows.
inline Applicability workspace_fits(std::size_t bytes, const Context& context) {
  return bytes <= context.workspace_limit
             ? Applicability::yes()
             : Applicability::no("the workspace would exceed its limit");
}

/// The primitive of a kernel without weights that needs workspace: constructible from (workload,
/// context), with a static workspace_bytes() of the same arguments.
template <class KernelType>
class WorkspacePrimitive final : public Primitive {
 public:
  using Primitive::Primitive;

  Applicability applicability(const Workload& workload, const Context& context) const override {
    return workspace_fits(workspace_bytes(workload, context), context);
  }
  std::size_t workspace_bytes(const Workload& workload, const Context& context) const override {
    return KernelType::workspace_bytes(workload, context);
  }
  std::size_t packed_bytes(const Workload&, const Context&) const override { return 0; }
  Result<std::unique_ptr<Kernel>> make_kernel(const Workload& workload, const Parameters&,
                                              const Context& context) const override {
    return std::unique_ptr<Kernel>(std::make_unique<KernelType>(workload, context));
  }
};

}  // namespace convopt
