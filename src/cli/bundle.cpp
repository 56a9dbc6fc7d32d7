#include "convopt/bundle.hpp"

#include <cstdio>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/text.h"
#include "core/try.h"
#include "src/cli/cli.h"
#include "src/cli/interrupt.h"
#include "src/cli/log.h"
#include "src/cli/outputs.h"
#include "src/cli/planning.h"
#include "src/cli/values.h"
#include "src/runtime/plan_network.h"

namespace convopt::cli {
namespace {

struct BundleArguments {
  PlanningOptions network;
  std::vector<std::string> plans;
  std::string output;
  std::uint64_t seed = kWeightsSeed;
  bool no_fallback = false;
};

bool has_all_weights(const Network& network) {
  for (const Operator& op : network.operators) {
    const bool wants = op.kind == OperatorKind::constant ||
                       (op.kind == OperatorKind::compute && op.workload.has_weights());
    if (wants && op.weights == nullptr) return false;
  }
  return true;
}

Result<void> bundle(const BundleArguments& request) {
  CONVOPT_TRY(const Network network, named_network(request.network));
  std::vector<Plan> plans;
  for (const std::string& file : request.plans) {
    CONVOPT_TRY(Plan plan, load_plan(file));
    if (const auto fits = check_network(plan, network); !fits)
      return make_error(fits.error().code, file + ": " + fits.error().message);
    for (std::size_t i = 0; i < plans.size(); ++i) {
      if (plans[i].platform.id() != plan.platform.id()) continue;
      return make_error(ErrorCode::usage, request.plans[i] + " and " + file +
                                              " are both plans for " + plan.platform.id());
    }
    plans.push_back(std::move(plan));
  }
  std::optional<Plan> fallback;
  if (!request.no_fallback) {
    CONVOPT_TRY(fallback, fallback_plan(network));
  }
  if (!has_all_weights(network))
    note("the network's file has not all weights: random ones are used");
  const auto weights = network_weights(network, request.seed);
  {
    const FinishWriting finish;
    CONVOPT_CHECK(write_bundle(request.output,
                               {&network, weights.get(), plans, fallback ? &*fallback : nullptr}));
  }
  std::error_code error;
  const auto bytes = std::filesystem::file_size(request.output, error);
  std::printf("%s: %s, %s%s, %s\n", request.output.c_str(), network.name.c_str(),
              counted(plans.size(), "plan").c_str(), fallback ? " and a fall-back" : "",
              format_bytes(error ? 0 : static_cast<double>(bytes)).c_str());
  for (const Plan& plan : plans) std::printf("  %s\n", plan.platform.id().c_str());
  return {};
}

}  // namespace

void add_bundle(CLI::App& app, Action& action) {
  auto request = std::make_shared<BundleArguments>();
  CLI::App* verb = app.add_subcommand("bundle",
                                      "Puts a network, its weights and plans for several platforms "
                                      "into one file, which programs on "
                                      "convopt::runtime and `convopt run` open.");
  verb->add_option("network", request->network.network,
                   "The network, an ONNX model or a JSON file, which gets random weights.")
      ->required();
  add_batch(*verb, request->network.batch, "Images per batch. Default: the network's own.");
  add_input_options(*verb, request->network.shapes, request->network.bindings);
  verb->add_option("--plan", request->plans,
                   "Plan for a platform, as `convopt select -o` writes it; once per platform.")
      ->required()
      ->allow_extra_args(false);
  verb->add_flag("--no-fallback", request->no_fallback,
                 "Leaves out the plan of primitives that exist everywhere, which is used where no "
                 "other plan can be.");
  add_seed(*verb, request->seed, "Seed of random weights.");
  add_output(*verb, "-o,--output", request->output, "The bundle.")->required();
  verb->callback([&action, request] { action = [request] { return bundle(*request); }; });
}

}  // namespace convopt::cli
