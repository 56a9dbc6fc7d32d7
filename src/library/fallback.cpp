// A plan that runs everywhere, for bundles.
#include <algorithm>
#include <memory>
#include <utility>
#include <vector>

#include "convopt/bundle.hpp"
#include "core/try.h"
#include "primitives/provider.h"
#include "src/library/analytic_costs.h"
#include "src/select/select.h"
#include "src/session/guard.h"
#include "src/session/registries.h"

namespace convopt {
namespace {

/// Levels of this architecture, the lowest first.
std::vector<Isa> levels() {
#if defined(__aarch64__)
  return {Isa::neon};
#else
  return {Isa::sse4, Isa::avx2, Isa::avx512};
#endif
}

/// Excludes primitives that some level or number of threads has not for a workload. Nothing of them
/// is run, so that own primitives are asked about levels of other processors, too. A library cannot
/// be: of its primitives those remain that no level is part of, for operations which it computes
/// everywhere in the usual layouts.
class PortableCosts final : public CostSource {
 public:
  PortableCosts(const CostSource& costs, std::span<const std::unique_ptr<Registry>> registries)
      : costs_(costs), registries_(registries) {}

  Result<std::vector<Cost>> costs(std::span<const Query> queries) const override {
    CONVOPT_TRY(auto costs, costs_.costs(queries));
    for (std::size_t i = 0; i < queries.size(); ++i) {
      if (!is_portable(*queries[i].workload, *queries[i].primitive))
        costs[i] = {Cost::Source::excluded, {}, "does not exist everywhere"};
    }
    return costs;
  }

 private:
  bool is_portable(const Workload& workload, const PrimitiveInfo& info) const {
    const auto is_usual = [](Layout layout) {
      return layout == Layout::nchw || layout == Layout::nhwc;
    };
    if (registries_.front()->find(info.name) == nullptr) {
      return info.op != Op::conv && is_usual(info.input_layout) && is_usual(info.output_layout);
    }
    return std::ranges::all_of(registries_, [&](const std::unique_ptr<Registry>& registry) {
      const Primitive* const primitive = registry->find(info.name);
      return primitive != nullptr && primitive->info().computes(workload) &&
             primitive->applicability(workload, registry->context());
    });
  }

  const CostSource& costs_;
  std::span<const std::unique_ptr<Registry>> registries_;
};

}  // namespace

Result<Plan> fallback_plan(const Network& network) {
  return guarded([&]() -> Result<Plan> {
    constexpr int kManyThreads = 64;
    CONVOPT_TRY(const auto here, shared_registry({default_isa(), 1}));
    // Without libraries: oneDNN stays at the level that it is asked at first.
    std::vector<std::unique_ptr<Registry>> registries;
    for (const Isa isa : levels()) {
      for (const int threads : {1, kManyThreads}) {
        Context context;
        context.isa = isa;
        context.threads = threads;
        registries.push_back(make_registry(context, {}));
      }
    }
    // A middling processor, so that the plan does not depend on the one that makes it.
    Platform platform;
    platform.machine.name = "any";
    platform.isa = levels().front();
    const AnalyticCosts analytic(platform);
    CONVOPT_TRY(auto selection,
                select(network, *here, PortableCosts(analytic, registries), platform));
    return std::move(selection.plan);
  });
}

}  // namespace convopt
