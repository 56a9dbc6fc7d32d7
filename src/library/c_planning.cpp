// convopt/planning.h: plans and transfer, as one call each.
#include <string>
#include <vector>

#include "convopt/bundle.hpp"
#include "convopt/planning.h"
#include "convopt/planning.hpp"
#include "convopt/transfer.hpp"
#include "core/text.h"
#include "core/try.h"
#include "src/library/planning.h"
#include "src/session/c_status.h"

namespace convopt {
namespace {

/// Another program does not serve as its own measuring process.
const std::vector<std::string> kWorkerCommand = {"convopt", "profile-worker"};

Result<int> threads_of(int threads) {
  if (threads >= 0) return threads == 0 ? default_threads() : threads;
  return make_error(ErrorCode::usage, "the number of threads must not be negative");
}

Result<PlanOptions> options_of(const convopt_plan_options& given) {
  PlanOptions options;
  CONVOPT_TRY(options.threads, threads_of(given.threads));
  if (given.precision != nullptr) {
    const auto precision = parse_precision(given.precision);
    if (!precision) {
      return make_error(ErrorCode::usage,
                        in_quotes(given.precision) + " is no precision: f32, bf16, int8 or auto");
    }
    options.precision = *precision;
  }
  if (given.calibration != nullptr) {
    CONVOPT_TRY(options.calibration, load_calibration(given.calibration));
  }
  if (given.max_memory > 0) options.max_memory = given.max_memory;
  if (!(given.max_output_error >= 0)) {
    return make_error(ErrorCode::usage, "the largest error of outputs must not be negative");
  }
  if (given.max_output_error > 0) options.max_output_error = given.max_output_error;
  options.refine = given.refine;
  options.confirm = given.confirm;
  if (given.measures_machine != 0) options.rates = MachineRates::kept;
  options.watch.worker_command = kWorkerCommand;
  return options;
}

Result<void> write_planned(const char* model, const convopt_plan_options& given,
                           const char* bundle) {
  CONVOPT_TRY(const PlanOptions options, options_of(given));
  CONVOPT_TRY(const Network network, load_network(model));
  CONVOPT_TRY(const Plan plan, plan_network(network, options));
  CONVOPT_TRY(const Plan fallback, fallback_plan(network));
  const auto weights = network_weights(network, kWeightsSeed);
  return write_bundle(bundle, {&network, weights.get(), {&plan, 1}, &fallback});
}

}  // namespace
}  // namespace convopt

using namespace convopt;

convopt_status convopt_plan(const char* model, const convopt_plan_options* options,
                            const char* bundle) {
  return c_answer([&]() -> Result<void> {
    if (model == nullptr) return null_pointer("path of the model");
    if (bundle == nullptr) return null_pointer("path of the bundle");
    return write_planned(model, options != nullptr ? *options : convopt_plan_options{}, bundle);
  });
}

convopt_status convopt_transfer(int threads, double seconds) {
  return c_answer([&]() -> Result<void> {
    TransferSettings settings;
    CONVOPT_TRY(settings.threads, threads_of(threads));
    settings.budget = seconds;
    settings.watch.worker_command = kWorkerCommand;
    const auto report = transfer_model(settings);
    return report ? Result<void>() : report.error();
  });
}
