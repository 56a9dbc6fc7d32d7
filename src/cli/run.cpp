#include <algorithm>
#include <chrono>
#include <cstdio>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "convopt/network.hpp"
#include "convopt/plan.hpp"
#include "primitives/reference/reference.h"
#include "profiler/profiler.h"
#include "src/cli/cli.h"
#include "src/core/files.h"
#include "src/core/json.h"
#include "src/runtime/executor.h"
#include "src/runtime/npy.h"
#include "src/runtime/timing.h"
#include "src/runtime/verify.h"

namespace convopt::cli {
namespace {

struct Request {
  ContextOptions context;
  std::string network, plan, time = "2s";
  std::vector<std::string> compare, inputs, outputs;
  int repeats = 0, batch = 0;
  std::uint64_t seed = 1;
  bool verify = false, layers = false, json = false;
};

/// A plan ready to run.
struct Contestant {
  std::string label;
  Plan plan;
  std::unique_ptr<Executor> executor;
  double prepare_ms = 0;
  RunTimes times;
};

using Tensors = std::vector<std::vector<float>>;

Result<Plan> read_plan(const std::string& path, const Network& network) {
  auto plan = load_plan(path);
  if (plan.ok() && plan->network_hash != network.hash()) {
    return make_error(ErrorCode::bad_input, path + " was made for another network, " +
                                                plan->network + ", or for another batch size");
  }
  return plan;
}

/// What the options leave open is as the plan was made for.
Result<Context> context_for(const Request& request, const Plan& plan) {
  ContextOptions options = request.context;
  if (options.isa.empty()) options.isa = to_string(plan.platform.isa);
  if (options.threads == 0) options.threads = plan.platform.threads;
  return options.context();
}

Result<Contestant> prepare(std::string label, Plan plan, const Network& network,
                           const Registry& registry, const WeightSource& weights) {
  const Context& context = registry.context();
  if (plan.platform.isa != context.isa || plan.platform.threads != context.threads) {
    std::fprintf(stderr, "convopt: note: %s was made for %s, so its predictions do not hold here\n",
                 label.c_str(), plan.platform.id().c_str());
  }
  const auto start = std::chrono::steady_clock::now();
  auto executor = Executor::create(network, plan, registry, weights);
  if (!executor) {
    return make_error(executor.error().code, label + ": " + executor.error().message);
  }
  const std::chrono::duration<double, std::milli> spent = std::chrono::steady_clock::now() - start;
  return Contestant{std::move(label), std::move(plan), std::move(*executor), spent.count(), {}};
}

Tensors tensors_for(const Network& network, const std::vector<TensorId>& ids) {
  Tensors tensors;
  for (const TensorId id : ids) {
    tensors.emplace_back(static_cast<std::size_t>(network.tensors[id].shape.elements()));
  }
  return tensors;
}

std::vector<std::int64_t> npy_shape(const TensorShape& shape) {
  return {shape.n, shape.c, shape.h, shape.w};
}

Result<Tensors> make_inputs(const Request& request, const Network& network) {
  Tensors inputs = tensors_for(network, network.inputs);
  if (request.inputs.empty()) {
    std::uint64_t seed = request.seed;
    for (auto& input : inputs) {
      reference::fill_random(input.data(), std::ssize(input), seed++, 1);
    }
    return inputs;
  }
  if (request.inputs.size() != inputs.size()) {
    return make_error(ErrorCode::usage, "the network has " + std::to_string(inputs.size()) +
                                            " inputs, --input is given " +
                                            std::to_string(request.inputs.size()) + " times");
  }
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    const auto bytes = read_file(request.inputs[i]);
    if (!bytes) return bytes.error();
    auto array = parse_npy(*bytes, request.inputs[i]);
    if (!array) return array.error();
    const Tensor& tensor = network.tensors[network.inputs[i]];
    if (array->shape != npy_shape(tensor.shape)) {
      const TensorShape& s = tensor.shape;
      return make_error(ErrorCode::bad_input,
                        request.inputs[i] + " has not the shape of the input '" + tensor.name +
                            "', (" + std::to_string(s.n) + ", " + std::to_string(s.c) + ", " +
                            std::to_string(s.h) + ", " + std::to_string(s.w) + ")");
    }
    inputs[i] = std::move(array->values);
  }
  return inputs;
}

Result<void> write_outputs(const Request& request, const Network& network, Tensors outputs) {
  for (std::size_t i = 0; i < request.outputs.size(); ++i) {
    const NpyArray array{npy_shape(network.tensors[network.outputs[i]].shape),
                         std::move(outputs[i])};
    if (auto written = write_file_atomically(request.outputs[i], to_npy(array)); !written) {
      return written;
    }
  }
  return {};
}

double ms(double ns) { return ns / 1e6; }

Json report_json(const Network& network, const Request& request, const Context& context,
                 const std::vector<Contestant>& contestants,
                 const std::optional<Verification>& verification) {
  const Contestant& main = contestants.front();
  Json json = {{"schema", "convopt.run/1"},
               {"network", network.name},
               {"isa", to_string(context.isa)},
               {"threads", context.threads},
               {"seed", request.seed},
               {"runs", main.times.runs_ns.size()},
               {"median_ms", ms(main.times.median_ns())},
               {"p95_ms", ms(main.times.quantile_ns(0.95))},
               {"min_ms", ms(main.times.min_ns())},
               {"predicted_ms", main.plan.predicted_ms},
               {"prepare_ms", main.prepare_ms},
               {"peak_bytes", main.executor->memory().total()},
               {"max_relative_error", nullptr},
               {"verified", nullptr},
               {"compare", Json::array()},
               {"layers", Json::array()}};
  if (verification) {
    json["max_relative_error"] = verification->max_error();
    json["verified"] = verification->first_failure() == nullptr;
  }
  for (std::size_t i = 1; i < contestants.size(); ++i) {
    const Contestant& other = contestants[i];
    json["compare"].push_back({{"plan", other.label},
                               {"median_ms", ms(other.times.median_ns())},
                               {"p95_ms", ms(other.times.quantile_ns(0.95))},
                               {"min_ms", ms(other.times.min_ns())},
                               {"predicted_ms", other.plan.predicted_ms}});
  }
  const auto steps = main.executor->steps();
  for (std::size_t s = 0; s < steps.size(); ++s) {
    json["layers"].push_back({{"name", steps[s].name},
                              {"primitive", steps[s].primitive->name()},
                              {"predicted_us", steps[s].predicted_us},
                              {"measured_us", main.times.steps_ns[s] / 1e3}});
  }
  return json;
}

void print_layers(const Contestant& contestant) {
  const auto steps = contestant.executor->steps();
  int name_width = 5;
  int primitive_width = 9;
  for (const Step& step : steps) {
    name_width = std::max(name_width, static_cast<int>(step.name.size()));
    primitive_width = std::max(primitive_width, static_cast<int>(step.primitive->name().size()));
  }
  std::printf("\n%-*s  %-*s  %12s  %12s  %6s\n", name_width, "layer", primitive_width, "primitive",
              "predicted us", "measured us", "ratio");
  const auto row = [&](const std::string& name, const std::string& primitive, double predicted_us,
                       double measured_us) {
    std::printf("%-*s  %-*s  %12.1f  %12.1f", name_width, name.c_str(), primitive_width,
                primitive.c_str(), predicted_us, measured_us);
    if (predicted_us > 0) std::printf("  %6.2f", measured_us / predicted_us);
    std::printf("\n");
  };
  double predicted_us = 0;
  double measured_us = 0;
  for (std::size_t s = 0; s < steps.size(); ++s) {
    const double us = contestant.times.steps_ns[s] / 1e3;
    row(steps[s].name, std::string(steps[s].primitive->name()), steps[s].predicted_us, us);
    predicted_us += steps[s].predicted_us;
    measured_us += us;
  }
  row("sum", "", predicted_us, measured_us);
}

void print_comparison(const std::vector<Contestant>& contestants) {
  int width = 4;
  for (const Contestant& c : contestants) width = std::max(width, static_cast<int>(c.label.size()));
  const double best = contestants.front().times.median_ns();
  std::printf("\n%-*s  %9s  %9s  %9s  %9s  %6s\n", width, "plan", "median", "p95", "min",
              "predicted", "ratio");
  for (const Contestant& c : contestants) {
    std::printf("%-*s  %9s  %9s  %9s  %9s  %6.3f\n", width, c.label.c_str(),
                format_time(c.times.median_ns()).c_str(),
                format_time(c.times.quantile_ns(0.95)).c_str(),
                format_time(c.times.min_ns()).c_str(),
                format_time(c.plan.predicted_ms * 1e6).c_str(), c.times.median_ns() / best);
  }
  for (const Contestant& c : contestants) {
    if (c.times.median_ns() < best) {
      std::printf("%s is faster than %s\n", c.label.c_str(), contestants.front().label.c_str());
    }
  }
}

void print_report(const Network& network, const Request& request, const Context& context,
                  const std::vector<Contestant>& contestants,
                  const std::optional<Verification>& verification) {
  const Contestant& main = contestants.front();
  const double predicted_ns = main.plan.predicted_ms * 1e6;
  std::printf("%s by %s, %s, %d thread%s\n", network.name.c_str(), main.label.c_str(),
              std::string(to_string(context.isa)).c_str(), context.threads,
              context.threads == 1 ? "" : "s");
  std::printf("time       %s median, %s p95, %s min of %zu runs\n",
              format_time(main.times.median_ns()).c_str(),
              format_time(main.times.quantile_ns(0.95)).c_str(),
              format_time(main.times.min_ns()).c_str(), main.times.runs_ns.size());
  std::printf("predicted  %s, measured / predicted %.2f\n", format_time(predicted_ns).c_str(),
              predicted_ns > 0 ? main.times.median_ns() / predicted_ns : 0);
  const ExecutorMemory& memory = main.executor->memory();
  const auto bytes = [](std::size_t count) { return format_bytes(static_cast<double>(count)); };
  std::printf("memory     %s: weights %s, tensors %s, workspace %s; prepared in %s\n",
              bytes(memory.total()).c_str(), bytes(memory.packed_weights).c_str(),
              bytes(memory.arena).c_str(), bytes(memory.workspace).c_str(),
              format_time(main.prepare_ms * 1e6).c_str());
  if (verification && verification->first_failure() == nullptr) {
    std::printf("verified   %zu tensors, largest relative error %.1e\n",
                verification->checks.size(), verification->max_error());
  }
  if (contestants.size() > 1) print_comparison(contestants);
  if (request.layers) print_layers(main);
}

Result<void> check_verified(const Verification& verification) {
  const TensorCheck* failure = verification.first_failure();
  if (failure == nullptr) return {};
  char numbers[96];
  std::snprintf(numbers, sizeof numbers, "relative error %.2e, at most %.2e is allowed",
                failure->error, failure->bound);
  std::string sentence = "verification failed: '" + failure->name + "'";
  if (!failure->primitive.empty()) sentence += " by " + failure->primitive;
  sentence += ": ";
  sentence +=
      failure->error > failure->bound ? numbers : "the last channel block is not filled with zeros";
  return make_error(ErrorCode::verification_failed, std::move(sentence));
}

Result<TimingOptions> timing_options(const Request& request) {
  TimingOptions options;
  const auto seconds = parse_duration(request.time);
  if (!seconds || *seconds <= 0) {
    return make_error(ErrorCode::usage,
                      "--time '" + request.time + "' is not a time like 2s or 500ms");
  }
  options.time = std::chrono::duration<double>(*seconds);
  options.repeats = request.repeats;
  options.steps = request.layers || request.json;
  return options;
}

Result<void> run(const Request& request) {
  auto timing = timing_options(request);
  if (!timing) return timing.error();
  auto network = load_network(request.network, request.batch);
  if (!network) return network.error();
  if (!request.outputs.empty() && request.outputs.size() != network->outputs.size()) {
    return make_error(ErrorCode::usage, "the network has " +
                                            std::to_string(network->outputs.size()) +
                                            " outputs, --output is given " +
                                            std::to_string(request.outputs.size()) + " times");
  }
  std::vector<std::pair<std::string, Plan>> plans;
  std::vector<std::string> paths = {request.plan};
  paths.insert(paths.end(), request.compare.begin(), request.compare.end());
  for (const std::string& path : paths) {
    auto plan = read_plan(path, *network);
    if (!plan) return plan.error();
    plans.emplace_back(path, std::move(*plan));
  }
  const auto context = context_for(request, plans.front().second);
  if (!context) return context.error();
  const auto registry = Registry::create(*context);
  if (!registry) return registry.error();
  const auto inputs = make_inputs(request, *network);
  if (!inputs) return inputs.error();

  const RandomWeights weights(*network, request.seed);
  std::vector<Contestant> contestants;
  std::vector<Executor*> executors;
  for (auto& [label, plan] : plans) {
    auto ready = prepare(std::move(label), std::move(plan), *network, **registry, weights);
    if (!ready) return ready.error();
    contestants.push_back(std::move(*ready));
    executors.push_back(contestants.back().executor.get());
  }

  const std::vector<std::span<const float>> sources(inputs->begin(), inputs->end());
  std::optional<Verification> verification;
  if (request.verify) {
    auto verified = verify(*executors.front(), *network, weights, sources);
    if (!verified) return verified.error();
    verification = std::move(*verified);
  }
  Tensors outputs = tensors_for(*network, network->outputs);
  const std::vector<std::span<float>> destinations(outputs.begin(), outputs.end());
  auto times = time_in_turns(executors, sources, destinations, *timing);
  if (!times) return times.error();
  for (std::size_t i = 0; i < times->size(); ++i) contestants[i].times = std::move((*times)[i]);

  if (!request.outputs.empty()) {
    // The last run may have been that of another plan.
    if (auto ran = executors.front()->run(sources, destinations); !ran) return ran;
    if (auto written = write_outputs(request, *network, std::move(outputs)); !written) {
      return written;
    }
  }
  if (request.json) {
    const Json json = report_json(*network, request, *context, contestants, verification);
    if (auto written = write_output("", json.dump(2) + "\n"); !written) return written;
  } else {
    print_report(*network, request, *context, contestants, verification);
  }
  return verification ? check_verified(*verification) : Result<void>();
}

}  // namespace

void add_run(CLI::App& app, Action& action) {
  auto request = std::make_shared<Request>();
  CLI::App* verb = app.add_subcommand(
      "run", "Executes a network by a plan, with random weights, and times it on this machine.");
  verb->add_option("NET", request->network, "Network file (docs/network-format.md).")->required();
  verb->add_option("--plan", request->plan, "Plan file, as `convopt select -o` writes it.")
      ->required();
  verb->add_option("--compare", request->compare,
                   "More plans for the same network, timed in turns with the first.");
  request->context.add_to(*verb);
  verb->add_option("--batch", request->batch, "Images per run, in place of the file's number.")
      ->check(CLI::Range(1, 4096));
  verb->add_option("--time", request->time,
                   "How long to time, such as 500ms or 10s, all plans together.")
      ->capture_default_str();
  verb->add_option("--repeat", request->repeats, "Number of timed runs of each plan, not a time.")
      ->check(CLI::Range(1, 1000000));
  verb->add_flag("--verify", request->verify,
                 "Compare every tensor that the plan makes with a reference computation in double "
                 "precision; exit code 6 if one differs by more than its bound.");
  verb->add_flag("--layers", request->layers, "Show predicted and measured time of every layer.");
  verb->add_option("--input", request->inputs,
                   "Input as float32 .npy file, once per input. Default: random.");
  verb->add_option("--output", request->outputs, "Write the output to this .npy file.");
  verb->add_option("--seed", request->seed, "Of random weights and inputs.")->capture_default_str();
  verb->add_flag("--json", request->json, "One JSON document, schema convopt.run/1.");
  verb->callback([&action, request] { action = [request] { return run(*request); }; });
}

}  // namespace convopt::cli
