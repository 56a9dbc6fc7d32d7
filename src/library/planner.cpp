#include "convopt/planner.hpp"

#include <algorithm>
#include <utility>

#include "core/try.h"
#include "profiler/machine.h"
#include "src/library/times.h"
#include "src/select/select.h"
#include "src/session/guard.h"
#include "src/session/registries.h"

namespace convopt {

namespace {

Result<Platform> platform_for(const PlannerOptions& options) {
  if (options.model.empty()) return Platform{machine_facts(), options.isa, options.threads};
  if (options.measure_machine)
    return cached_platform(options.isa, options.threads, options.messages);
  if (auto stored = stored_platform(options.isa, options.threads)) return std::move(*stored);
  return make_error(ErrorCode::environment,
                    "this machine's peak and bandwidths are not known, which predictions need: set "
                    "PlannerOptions::measure_machine, or call `convopt select` once");
}

/// Whether the primitive multiplies numbers of its source's type. Others err more than the caller
/// of a function for one workload can know.
bool multiplies_as_given(const PrimitiveInfo& info) {
  return info.traits.type_of_weights() == DataType::f32 || info.input_type != DataType::f32;
}

}  // namespace

struct Planner::State {
  std::shared_ptr<const Registry> registry;
  Platform platform;
  std::unique_ptr<Times> times;
};

Planner::Planner(std::unique_ptr<State> state) : state_(std::move(state)) {}
Planner::Planner(Planner&&) noexcept = default;
Planner& Planner::operator=(Planner&&) noexcept = default;
Planner::~Planner() = default;

Result<Planner> Planner::create(const PlannerOptions& options) {
  return guarded([&]() -> Result<Planner> {
    auto state = std::make_unique<State>();
    CONVOPT_TRY(state->platform, platform_for(options));
    CONVOPT_TRY(state->registry, shared_registry({options.isa, options.threads}));
    CONVOPT_TRY(state->times, Times::load({options.model, options.profile, nullptr},
                                          state->platform, state->registry->libraries()));
    return Planner(std::move(state));
  });
}

const Registry& Planner::registry() const { return *state_->registry; }
const Platform& Planner::platform() const { return state_->platform; }

Result<std::vector<Choice>> Planner::rank(const Workload& workload) const {
  return guarded([&]() -> Result<std::vector<Choice>> {
    CONVOPT_CHECK(workload.validate());
    std::vector<Query> queries;
    std::vector<const Primitive*> applicable;
    for (const Primitive* primitive : registry().primitives()) {
      const PrimitiveInfo& info = primitive->info();
      if (!info.computes(workload) || !multiplies_as_given(info)) continue;
      if (!primitive->applicability(workload, registry().context())) continue;
      applicable.push_back(primitive);
      queries.push_back({&workload, &primitive->info()});
    }
    CONVOPT_TRY(const auto costs, state_->times->costs().costs(queries));
    std::vector<Choice> choices;
    for (std::size_t i = 0; i < applicable.size(); ++i) {
      const Cost& cost = costs[i];
      if (!cost.usable()) continue;
      choices.push_back({applicable[i], cost.estimate, cost.source == Cost::Source::measured});
    }
    if (choices.empty()) {
      return make_error(ErrorCode::environment,
                        "no primitive with a known time computes " + workload.text() + " here");
    }
    std::ranges::stable_sort(choices, {}, [](const Choice& choice) { return choice.time.ns; });
    return choices;
  });
}

Result<Plan> Planner::plan(const Network& network) const {
  return guarded([&]() -> Result<Plan> {
    CONVOPT_TRY(auto selection, select(network, registry(), state_->times->costs(), platform()));
    Plan plan = std::move(selection.plan);
    if (const PerformanceModel* model = state_->times->model()) {
      plan.model = model->info().id;
      plan.seed = model->info().seed;
    }
    return plan;
  });
}

}  // namespace convopt
