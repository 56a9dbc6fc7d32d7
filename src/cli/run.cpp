#include <algorithm>
#include <chrono>
#include <climits>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <unordered_set>
#include <utility>
#include <vector>

#include "convopt/bundle.hpp"
#include "convopt/network.hpp"
#include "convopt/npy.hpp"
#include "convopt/plan.hpp"
#include "core/conversion.h"
#include "core/files.h"
#include "core/json.h"
#include "core/text.h"
#include "core/try.h"
#include "profiler/affinity.h"
#include "profiler/machine.h"
#include "src/cli/cli.h"
#include "src/cli/interrupt.h"
#include "src/cli/log.h"
#include "src/cli/memory.h"
#include "src/cli/outputs.h"
#include "src/cli/planning.h"
#include "src/cli/progress.h"
#include "src/cli/table.h"
#include "src/cli/values.h"
#include "src/library/rest_runner.h"
#include "src/runtime/buffers.h"
#include "src/runtime/executor.h"
#include "src/runtime/plan_network.h"
#include "src/runtime/timing.h"
#include "src/runtime/verify.h"
#include "src/select/plan_check.h"
#include "src/tune/confirm.h"

namespace convopt::cli {
namespace {

/// Enough for several turns of each plan.
constexpr double kConfirmSeconds = 0.4;

struct RunArguments {
  PlanningOptions planning;
  std::string plan;
  double time = 2;  ///< seconds
  std::vector<std::string> compare, inputs, outputs;
  int repeats = 0;
  std::size_t max_memory = SIZE_MAX;
  std::uint64_t seed = 1;
  bool verify = false, layers = false, json = false, unconfirmed = false;
};

/// A plan that is ready to run.
struct Contestant {
  std::string label;
  Plan plan;
  std::unique_ptr<Executor> executor;
  double prepare_ms = 0;
  RunTimes times;
};

bool is_baseline(std::string_view name) {
  name = baseline_name(name);
  return name == kDefaultName || name == kSingleName || name == kGreedyName;
}

/// An input of the file that is not bound by an option, with the array that is given for it.
struct GivenInput {
  DeclaredTensor declared;
  std::string file;
  NpyArray array;
};

/// The plans to run, with their network, registry, given inputs and files of outputs.
struct Setup {
  std::vector<GivenInput> inputs;         ///< none: random ones
  std::vector<std::string> output_files;  ///< by the network's order; none: nothing is written
  std::unique_ptr<Planning> planning;     ///< only where plans are made here
  Network loaded_network;
  std::unique_ptr<Registry> created_registry;
  std::vector<std::pair<std::string, Plan>> plans;  ///< the first is the one that counts

  const Network& network() const { return planning ? planning->network() : loaded_network; }
  const Registry& registry() const { return planning ? planning->registry() : *created_registry; }
};

Result<Plan> baseline_plan(const Selection& selection, const Platform& platform,
                           std::string_view name) {
  const Solution* const solution = baseline(selection, name);
  if (solution == nullptr) {
    return make_error(ErrorCode::environment, "there is no plan for --compare " +
                                                  std::string(name) +
                                                  ": some of its times are not known");
  }
  return make_plan(selection.problem, *solution, platform);
}

/// The error with the plan's file in front.
Result<void> of_plan(const std::string& path, const Result<void>& checked) {
  if (checked) return {};
  return make_error(checked.error().code, path + ": " + checked.error().message);
}

/// Options of `select` that say nothing about a plan that is given.
Result<void> check_unused(const PlanningOptions& options) {
  for (const auto& [option, given] : {std::pair{"--model", !options.model.empty()},
                                      std::pair{"--profile", !options.profile.empty()},
                                      std::pair{"--precision", options.precision_given()},
                                      std::pair{"--calibration", !options.calibration.empty()}}) {
    if (!given) continue;
    return make_error(ErrorCode::usage, std::string(option) +
                                            " has no effect with --plan, unless --compare names a "
                                            "baseline, which is selected");
  }
  return {};
}

Result<void> check_threads(const RunArguments& request, const Plan& plan) {
  const int processors = available_processors();
  if (request.planning.context.threads > 0 || plan.platform.threads <= processors) return {};
  return make_error(ErrorCode::environment,
                    request.plan + " was made for " + std::to_string(plan.platform.threads) +
                        " threads, this process may use " +
                        counted(static_cast<std::size_t>(processors), "processor") +
                        "; --threads runs it with fewer");
}

std::string size_text(std::size_t bytes) { return format_bytes(static_cast<double>(bytes)); }

Result<void> check_workspace(const std::string& path, const Plan& plan, std::size_t most) {
  if (plan.workspace_bytes <= most) return {};
  return make_error(ErrorCode::usage,
                    path + " needs a workspace of " + size_text(plan.workspace_bytes) +
                        ", --max-workspace allows " + size_text(most) +
                        "; it takes --max-workspace " + enough_bytes(plan.workspace_bytes));
}

std::vector<std::int64_t> npy_shape(const TensorShape& shape) {
  return {shape.sizes().begin(), shape.sizes().end()};
}

/// "(1, 3, 224, 224)"
std::string shape_text(const std::vector<std::int64_t>& sizes) {
  std::string text;
  for (const std::int64_t size : sizes) {
    text += (text.empty() ? "" : ", ") + std::to_string(size);
  }
  return "(" + text + ")";
}

/// The files of inputs or outputs in the order of `names`: given by name, `NAME=FILE`, or by order.
Result<std::vector<std::string>> files_of(const std::string& option, const std::string& noun,
                                          const std::vector<std::string>& given,
                                          const std::vector<std::string>& names) {
  if (given.size() != names.size()) {
    return make_error(ErrorCode::usage, "the network has " + counted(names.size(), noun) + " (" +
                                            listed(names) + "), " + option + " is given " +
                                            counted(given.size(), "time"));
  }
  std::vector<std::string> files(names.size());
  std::size_t next = 0;
  for (const std::string& text : given) {
    std::size_t at = next;
    std::string file = text;
    for (std::size_t i = 0; i < names.size(); ++i) {
      const std::string prefix = names[i] + "=";
      if (!text.starts_with(prefix)) continue;
      at = i;
      file = text.substr(prefix.size());
    }
    const auto equals = text.find('=');
    if (file == text && text.substr(0, equals).find('/') == std::string::npos &&
        equals != std::string::npos && !std::filesystem::exists(text)) {
      return make_error(ErrorCode::usage, "the network has no " + noun + " " +
                                              in_quotes(text.substr(0, equals)) + ", only " +
                                              listed(names));
    }
    if (at == next) ++next;
    if (at >= files.size() || !files[at].empty()) {
      return make_error(ErrorCode::usage,
                        option + " " + text + ": that " + noun + " is given twice");
    }
    files[at] = file;
  }
  return files;
}

std::vector<std::string> names_of(const std::vector<Tensor>& tensors) {
  std::vector<std::string> names;
  for (const Tensor& tensor : tensors) names.push_back(tensor.name);
  return names;
}

bool is_given(const std::vector<std::string>& texts, const std::string& name) {
  return std::ranges::any_of(texts,
                             [&](const std::string& text) { return text.starts_with(name + "="); });
}

Result<std::vector<GivenInput>> load_inputs(const RunArguments& request) {
  std::vector<GivenInput> inputs;
  if (request.inputs.empty()) return inputs;
  CONVOPT_TRY(auto border, network_border(request.planning.network));
  std::erase_if(border.inputs, [&](const DeclaredTensor& input) {
    return is_given(request.planning.bindings, input.name);
  });
  std::vector<std::string> names;
  for (const DeclaredTensor& input : border.inputs) names.push_back(input.name);
  CONVOPT_TRY(const auto files, files_of("--input", "input", request.inputs, names));
  for (std::size_t i = 0; i < files.size(); ++i) {
    CONVOPT_TRY(auto array, load_npy(files[i]));
    inputs.push_back({std::move(border.inputs[i]), files[i], std::move(array)});
  }
  return inputs;
}

/// Open shapes, and values that the model needs when it is read, are those of the given arrays.
void learn_from_inputs(const std::vector<GivenInput>& inputs, PlanningOptions& options) {
  for (const auto& [declared, file, array] : inputs) {
    const bool is_open = !declared.sizes ||
                         std::ranges::any_of(*declared.sizes, [](const DeclaredTensor::Size& size) {
                           return size.size == 0;
                         });
    if (is_open && options.batch == 0 && !is_given(options.shapes, declared.name)) {
      std::vector<int> sizes;
      for (const std::int64_t size : array.shape)
        sizes.push_back(static_cast<int>(std::min<std::int64_t>(size, INT_MAX)));
      options.more_shapes.emplace_back(declared.name, std::move(sizes));
    }
    if (declared.decides) {
      options.more_values.emplace_back(
          declared.name, std::vector<double>(array.values.begin(), array.values.end()));
    }
  }
}

const GivenInput* input_of(const std::vector<GivenInput>& given, const Tensor& tensor) {
  const auto found = std::ranges::find(given, tensor.name,
                                       [](const GivenInput& input) { return input.declared.name; });
  return found == given.end() ? nullptr : &*found;
}

/// Given arrays have the shapes of the network's inputs.
Result<void> check_inputs(const std::vector<GivenInput>& given, const Network& network) {
  if (given.empty()) return {};
  for (const TensorId id : network.inputs) {
    const Tensor& tensor = network.tensors[id];
    const GivenInput* const input = input_of(given, tensor);
    if (input == nullptr) {
      return make_error(ErrorCode::internal, "no array is given for " + in_quotes(tensor.name));
    }
    const auto& shape = input->array.shape;
    if (shape == npy_shape(tensor.shape)) continue;
    return make_error(ErrorCode::bad_input, input->file + " has the shape " + shape_text(shape) +
                                                ", the input " + in_quotes(tensor.name) + " has " +
                                                shape_text(npy_shape(tensor.shape)));
  }
  return {};
}

/// Random ones where none are given. Inputs whose values were needed to read the model are none of
/// the network's.
Buffers make_inputs(const std::vector<GivenInput>& given, std::uint64_t seed,
                    const Network& network) {
  Buffers inputs(network, network.inputs);
  if (given.empty()) {
    inputs.fill_random(seed);
    return inputs;
  }
  for (std::size_t i = 0; i < network.inputs.size(); ++i) {
    inputs.set(i, input_of(given, network.tensors[network.inputs[i]])->array.values);
  }
  return inputs;
}

Result<void> write_outputs(const std::vector<std::string>& files,
                           const std::vector<Array>& outputs) {
  for (std::size_t i = 0; i < files.size(); ++i) {
    NpyArray array{outputs[i].shape, {}, outputs[i].type};
    array.values.resize(outputs[i].data.size() / element_bytes(array.type));
    to_floats(outputs[i].data.data(), array.type, std::ssize(array.values), array.values.data());
    const FinishWriting finish;
    CONVOPT_CHECK(write_file_atomically(files[i], to_npy(array)));
  }
  return {};
}

std::vector<std::string> output_names(const Network& network) {
  if (network.rest == nullptr) return names_of(network.named_outputs());
  std::vector<std::string> names;
  for (const DeclaredTensor& output : network.rest->outputs()) names.push_back(output.name);
  return names;
}

/// The model's outputs, and how long its rest took when its networks were made already.
struct RestResult {
  std::vector<Array> outputs;
  double first_ms = 0, ms = 0;
};

Result<RestResult> run_rest(const Network& network, const Registry& registry, const Plan& plan,
                            const std::vector<Array>& given) {
  using Milliseconds = std::chrono::duration<double, std::milli>;
  RestRunner runner(registry, plan.platform);
  RestResult result;
  for (double* const time : {&result.first_ms, &result.ms}) {
    const auto start = std::chrono::steady_clock::now();
    CONVOPT_TRY(result.outputs, runner.run(network.rest, given));
    *time = Milliseconds(std::chrono::steady_clock::now() - start).count();
  }
  return result;
}

/// The first of the bundle's choices; says if that was made for another platform.
Result<Plan> plan_of_bundle(const PlanningOptions& options) {
  CONVOPT_TRY(const Bundle bundle, Bundle::open(options.network));
  PlanRequest wanted;
  if (!options.context.isa.empty()) {
    CONVOPT_TRY(const Context context, options.context.context());
    wanted.isa = context.isa;
  }
  wanted.threads = options.context.threads;
  auto choices = bundle.choices(wanted);
  if (choices.empty()) {
    return make_error(ErrorCode::environment, options.network.string() +
                                                  " has no plan for this processor, and no "
                                                  "fall-back");
  }
  if (!choices.front().note.empty()) note(choices.front().note);
  return std::move(choices.front().plan);
}

/// A name of a plan has neither a folder nor an ending.
Result<void> check_compare(const std::vector<std::string>& names) {
  for (const std::string& name : names) {
    if (is_baseline(name) || name.find_first_of("./") != std::string::npos ||
        std::filesystem::exists(name)) {
      continue;
    }
    return make_error(ErrorCode::usage,
                      "--compare " + name +
                          " is no plan file, nor one of library_default, best_single_primitive "
                          "and greedy");
  }
  return {};
}

/// Refuses files that do not fit the network, before anything is timed.
Result<void> check_files(const RunArguments& request, Setup& setup) {
  const Network& network = setup.network();
  CONVOPT_CHECK(check_inputs(setup.inputs, network));
  if (request.outputs.empty()) return {};
  CONVOPT_TRY(setup.output_files,
              files_of("--output", "output", request.outputs, output_names(network)));
  return {};
}

Result<Setup> set_up(const RunArguments& request) {
  CONVOPT_CHECK(check_compare(request.compare));
  Setup setup;
  PlanningOptions options = request.planning;
  CONVOPT_TRY(setup.inputs, load_inputs(request));
  learn_from_inputs(setup.inputs, options);
  std::optional<Plan> given;
  if (!request.plan.empty()) {
    CONVOPT_TRY(given, load_plan(request.plan));
  } else if (Bundle::is_bundle(options.network)) {
    CONVOPT_TRY(given, plan_of_bundle(options));
  }
  if (given) {
    CONVOPT_CHECK(check_threads(request, *given));
    // The plan decides what the options leave open.
    if (options.context.isa.empty()) options.context.isa = to_string(given->platform.isa);
    if (options.context.threads == 0) options.context.threads = given->platform.threads;
  }
  std::optional<Selection> selection;
  if (!given || std::ranges::any_of(request.compare, is_baseline)) {
    CONVOPT_TRY(setup.planning, load_planning(options));
    CONVOPT_CHECK(check_files(request, setup));
    CONVOPT_TRY(selection, setup.planning->select(given ? SIZE_MAX : request.max_memory));
  } else {
    CONVOPT_CHECK(check_unused(options));
    CONVOPT_TRY(setup.loaded_network, named_network(options));
    CONVOPT_CHECK(check_files(request, setup));
    CONVOPT_TRY(const Context context, options.context.context());
    CONVOPT_TRY(setup.created_registry, Registry::create(context));
  }

  if (given) {
    const std::string source =
        request.plan.empty() ? request.planning.network.string() : request.plan;
    CONVOPT_CHECK(of_plan(source, check_network(*given, setup.network())));
    for (const auto* names : {&options.select.limits.allow, &options.select.limits.exclude}) {
      CONVOPT_CHECK(check_names(setup.registry(), *names));
    }
    CONVOPT_CHECK(check_workspace(source, *given, options.select.limits.max_workspace));
    CONVOPT_CHECK(of_plan(source, check_limits(*given, setup.registry(), options.select.limits)));
    setup.plans.emplace_back(request.plan.empty() ? "plan" : request.plan, std::move(*given));
  } else {
    if (!request.unconfirmed && Planning::is_cheap_to_confirm(selection->plan)) {
      CONVOPT_CHECK(setup.planning->confirm(*selection, kConfirmSeconds, request.max_memory));
    }
    setup.plans.emplace_back("plan", selection->plan);
  }
  for (const std::string& name : request.compare) {
    CONVOPT_TRY(Plan plan, is_baseline(name)
                               ? baseline_plan(*selection, setup.planning->platform(), name)
                               : load_plan(name));
    CONVOPT_CHECK(of_plan(name, check_network(plan, setup.network())));
    setup.plans.emplace_back(name, std::move(plan));
  }
  return setup;
}

/// Refuses plans that need more memory than the user allows for each or the machine has for all,
/// with what they read and write.
Result<void> check_memory(const Setup& setup, std::size_t max_memory) {
  const Network& network = setup.network();
  std::size_t sum = 0;
  for (const auto* border : {&network.inputs, &network.outputs}) {
    for (const TensorId id : *border) {
      const Tensor& tensor = network.tensors[id];
      sum += static_cast<std::size_t>(tensor.shape.elements()) * element_bytes(tensor.type);
    }
  }
  for (const auto& [label, plan] : setup.plans) {
    const auto schedule = make_schedule(network, plan, setup.registry());
    if (!schedule) continue;  // the executor says why
    const MemoryUse use = memory_of(*schedule, setup.registry().context());
    if (use.total() > max_memory) {
      return make_error(ErrorCode::environment,
                        label + " needs " + size_text(use.total()) + " of memory (weights " +
                            size_text(use.packed_weights) + ", tensors " + size_text(use.tensors) +
                            ", workspace " + size_text(use.workspace) + "), --max-memory allows " +
                            size_text(max_memory) + "; it takes --max-memory " +
                            enough_bytes(use.total()));
    }
    sum += use.total();
  }
  return check_available(network.name + ": running it takes", sum);
}

Result<Contestant> prepare(std::string label, Plan plan, const Network& network,
                           const Registry& registry, const WeightSource& weights) {
  const Context& context = registry.context();
  if (plan.platform.isa != context.isa || plan.platform.threads != context.threads) {
    note(label + " was made for " + plan.platform.id() + ", so its predictions do not hold here");
  }
  const auto start = std::chrono::steady_clock::now();
  auto executor = Executor::create(network, plan, registry, weights);
  if (!executor) {
    return make_error(executor.error().code, label + ": " + executor.error().message);
  }
  const std::chrono::duration<double, std::milli> spent = std::chrono::steady_clock::now() - start;
  return Contestant{std::move(label), std::move(plan), std::move(*executor), spent.count(), {}};
}

double ms(double ns) { return ns / 1e6; }

Json tensors_json(const std::vector<Tensor>& tensors) {
  Json json = Json::array();
  for (const Tensor& tensor : tensors)
    json.push_back(
        {{"name", tensor.name}, {"type", to_string(tensor.type)}, {"shape", tensor.shape.sizes()}});
  return json;
}

/// Arrays with the shapes that they turned out to have.
Json arrays_json(const std::vector<Array>& arrays) {
  Json json = Json::array();
  for (const Array& array : arrays)
    json.push_back({{"name", array.name}, {"type", to_string(array.type)}, {"shape", array.shape}});
  return json;
}

Json report_json(const Network& network, const RunArguments& request, const Context& context,
                 const std::vector<Contestant>& contestants,
                 const std::optional<Verification>& verification,
                 const std::optional<RestResult>& rest) {
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
               {"inputs", tensors_json(network.named_inputs())},
               {"outputs", tensors_json(network.named_outputs())},
               {"compare", Json::array()},
               {"layers", Json::array()}};
  if (rest) {
    json["outputs"] = arrays_json(rest->outputs);
    json["rest_ms"] = rest->ms;
  }
  if (verification) {
    json["max_relative_error"] = verification->max_error();
    json["verified"] = verification->first_failure() == nullptr;
    for (const auto& [name, difference] : verification->output_errors) {
      json["output_errors"].push_back(
          {{"name", name}, {"error", difference.error}, {"cosine", difference.cosine}});
    }
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

std::string layers_text(const Contestant& contestant) {
  using Align = Table::Align;
  Table table({{"layer"},
               {"primitive"},
               {"predicted us", Align::right},
               {"measured us", Align::right},
               {"ratio", Align::right}});
  const auto add = [&](const std::string& name, std::string_view primitive, double predicted_us,
                       double measured_us) {
    table.add_row({name, std::string(primitive), fixed(predicted_us, 1), fixed(measured_us, 1),
                   predicted_us > 0 ? fixed(measured_us / predicted_us, 2) : ""});
  };
  const auto steps = contestant.executor->steps();
  double predicted_us = 0;
  double measured_us = 0;
  for (std::size_t s = 0; s < steps.size(); ++s) {
    const double us = contestant.times.steps_ns[s] / 1e3;
    add(steps[s].name, steps[s].primitive->name(), steps[s].predicted_us, us);
    predicted_us += steps[s].predicted_us;
    measured_us += us;
  }
  add("sum", "", predicted_us, measured_us);
  return table.text();
}

std::string comparison_text(const std::vector<Contestant>& contestants) {
  using Align = Table::Align;
  Table table({{"plan"},
               {"median", Align::right},
               {"p95", Align::right},
               {"min", Align::right},
               {"predicted", Align::right},
               {"ratio", Align::right}});
  const double mine = contestants.front().times.median_ns();
  std::string losses;
  for (const Contestant& c : contestants) {
    const double median = c.times.median_ns();
    table.add_row({c.label, format_time(median), format_time(c.times.quantile_ns(0.95)),
                   format_time(c.times.min_ns()), format_time(c.plan.predicted_ms * 1e6),
                   fixed(median / mine, 3)});
    // Both figures must say so before noise is called a loss.
    if (median < mine && c.times.min_ns() < contestants.front().times.min_ns()) {
      losses += c.label + " is faster than " + contestants.front().label + "\n";
    }
  }
  return table.text() + losses;
}

void print_report(const Network& network, const RunArguments& request, const Context& context,
                  const std::vector<Contestant>& contestants,
                  const std::optional<Verification>& verification,
                  const std::optional<RestResult>& rest) {
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
  if (rest) {
    std::printf("rest       %s for the data-dependent part, %s when its shapes are new\n",
                format_time(rest->ms * 1e6).c_str(), format_time(rest->first_ms * 1e6).c_str());
    for (const Array& output : rest->outputs)
      std::printf("           %s %s\n", output.name.c_str(), shape_text(output.shape).c_str());
  }
  const MemoryUse& memory = main.executor->memory();
  std::printf("memory     %s: weights %s, tensors %s, workspace %s; prepared in %s\n",
              size_text(memory.total()).c_str(), size_text(memory.packed_weights).c_str(),
              size_text(memory.tensors).c_str(), size_text(memory.workspace).c_str(),
              format_time(main.prepare_ms * 1e6).c_str());
  if (verification && verification->first_failure() == nullptr) {
    std::printf("verified   %zu tensors, largest relative error %.1e\n",
                verification->checks.size(), verification->max_error());
  }
  if (verification) {
    for (const auto& [name, difference] : verification->output_errors) {
      std::printf(
          "error      output '%s' differs from the reference by %.1e of its range, cosine %.6f\n",
          name.c_str(), difference.error, difference.cosine);
    }
  }
  if (contestants.size() > 1) std::printf("\n%s", comparison_text(contestants).c_str());
  if (request.layers) std::printf("\n%s", layers_text(main).c_str());
}

/// Tells how far a verification is: it asks for the weights of each layer before it computes the
/// layer in double precision, which is what takes long.
class WatchedWeights final : public WeightSource {
 public:
  WatchedWeights(const WeightSource& weights, const Network& network, Progress& progress)
      : weights_(weights), progress_(progress) {
    layers_ = static_cast<std::size_t>(std::ranges::count_if(network.operators, is_layer));
  }

  Result<Weights> weights(const Operator& op) const override {
    if (!is_layer(op)) return weights_.weights(op);
    const auto elapsed = std::chrono::steady_clock::now() - start_;
    asked_.insert(&op);
    progress_.show("verifying, " + std::to_string(asked_.size()) + "/" + counted(layers_, "layer") +
                       " with weights, " +
                       format_duration(std::chrono::duration<double>(elapsed).count()) + " elapsed",
                   op.name);
    return weights_.weights(op);
  }

 private:
  static bool is_layer(const Operator& op) {
    return op.kind == OperatorKind::compute && op.workload.has_weights();
  }

  const WeightSource& weights_;
  Progress& progress_;
  std::size_t layers_ = 0;
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
  mutable std::unordered_set<const Operator*> asked_;
};

Result<void> check_verified(const Verification& verification) {
  const TensorCheck* failure = verification.first_failure();
  if (failure == nullptr) return {};
  const std::string numbers = "relative error " + scientific(failure->error, 2) + ", at most " +
                              scientific(failure->bound, 2) + " is allowed";
  std::string sentence = "verification failed: '" + failure->name + "'";
  if (!failure->primitive.empty()) sentence += " by " + failure->primitive;
  sentence += ": ";
  sentence +=
      failure->error > failure->bound ? numbers : "the last channel block is not filled with zeros";
  return make_error(ErrorCode::verification_failed, std::move(sentence));
}

TimingOptions timing_options(const RunArguments& request) {
  TimingOptions options;
  options.time = std::chrono::duration<double>(request.time);
  options.repeats = request.repeats;
  options.steps = request.layers || request.json;
  return options;
}

/// A sentence if the threads' cores are farther from each other than when this machine's rates were
/// measured.
std::string cores_moved_apart(const Context& context) {
  constexpr double kClearly = 2;
  const auto stored = stored_platform(context.isa, context.threads);
  const double usual_ns = stored ? stored->machine.core_round_trip_ns : 0;
  const double now_ns = usual_ns > 0 ? measured_core_round_trip_ns(context.threads) : 0;
  if (!(now_ns > kClearly * usual_ns)) return {};
  return "a cache line takes " + format_time(now_ns) + " from core to core and back, and took " +
         format_time(usual_ns) +
         " when this machine was measured: the host of a virtual machine "
         "has moved its processors apart, or they are busy; times of several threads are longer";
}

Result<void> run(const RunArguments& request) {
  CONVOPT_TRY(Setup setup, set_up(request));
  const Network& network = setup.network();
  const Context& context = setup.registry().context();
  CONVOPT_CHECK(check_memory(setup, request.max_memory));
  const Buffers inputs = make_inputs(setup.inputs, request.seed, network);

  bind_threads(context.threads);
  if (const std::string moved = cores_moved_apart(context); !moved.empty()) warn(moved);
  const NetworkWeights weights(network, request.seed);
  std::vector<Contestant> contestants;
  std::vector<Executor*> executors;
  for (auto& [label, plan] : setup.plans) {
    CONVOPT_TRY(Contestant ready,
                prepare(std::move(label), std::move(plan), network, setup.registry(), weights));
    contestants.push_back(std::move(ready));
    executors.push_back(contestants.back().executor.get());
  }

  std::optional<Verification> verification;
  if (request.verify) {
    Progress progress;
    CONVOPT_TRY(verification, verify(*executors.front(), network,
                                     WatchedWeights(weights, network, progress), inputs.inputs()));
  }
  Buffers outputs(network, network.outputs);
  CONVOPT_TRY(auto times, time_in_turns(executors, inputs.inputs(), outputs.outputs(),
                                        timing_options(request)));
  for (std::size_t i = 0; i < times.size(); ++i) contestants[i].times = std::move(times[i]);

  std::optional<RestResult> rest;
  Result<void> written;
  if (!request.outputs.empty() || network.rest != nullptr) {
    // The last run may have been that of another plan.
    CONVOPT_CHECK(executors.front()->run(inputs.inputs(), outputs.outputs()));
    std::vector<Array> arrays = arrays_of(network, outputs.outputs());
    if (network.rest != nullptr) {
      CONVOPT_TRY(rest, run_rest(network, setup.registry(), contestants.front().plan, arrays));
      arrays = rest->outputs;
    }
    written = write_outputs(setup.output_files, arrays);
  }
  if (request.json) {
    const Json json = report_json(network, request, context, contestants, verification, rest);
    CONVOPT_CHECK(write_output("", json.dump(2) + "\n"));
  } else {
    print_report(network, request, context, contestants, verification, rest);
  }
  // The times are worth telling in any case.
  CONVOPT_CHECK(written);
  return verification ? check_verified(*verification) : Result<void>();
}

}  // namespace

void add_run(CLI::App& app, Action& action) {
  auto request = std::make_shared<RunArguments>();
  CLI::App* verb = app.add_subcommand("run",
                                      "Executes a network by a plan, with the weights of an ONNX "
                                      "model or random ones, and times it "
                                      "on this machine.");
  request->planning.add_to(*verb);
  verb->add_option(
      "--plan", request->plan,
      "Plan file, as `convopt select -o` writes it. Default: the plan of a bundle for "
      "this processor; else makes a plan as `convopt select` does with these options.");
  verb->add_option("--compare", request->compare,
                   "More plans for the same network, timed in turns with the first: files, or "
                   "library_default, best_single_primitive, greedy.");
  add_duration(*verb, "--time", request->time,
               "Time for running, e.g. 500ms or 10s, all plans together.");
  add_count(*verb, "--repeat", request->repeats, "Number of timed runs of each plan, not a time.",
            1, 1000000);
  verb->add_flag("--no-confirm", request->unconfirmed,
                 "Takes the plan that is made here as it is. Without this, and where it costs less "
                 "than a second, the library's default and the best single primitive are run first "
                 "and the fastest of the three is the plan.");
  add_bytes(*verb, "--max-memory", request->max_memory,
            "Most memory for packed weights, tensors and workspace, e.g. 100MB: the plan is "
            "selected to fit; a given plan that needs more is refused.");
  verb->add_flag("--verify", request->verify,
                 "Compares every tensor that the plan makes with a reference computation in double "
                 "precision; exit code 6 if one differs by more than its bound.");
  verb->add_flag("--layers", request->layers, "Shows predicted and measured time of every layer.");
  verb->add_option("--input", request->inputs,
                   "Input as .npy file of the input's shape, FILE in the network's order or "
                   "NAME=FILE, once per input. Default: random.");
  add_output(*verb, "--output", request->outputs,
             "Writes the output to this .npy file in its own type, FILE in the network's order "
             "or NAME=FILE, once per output.");
  add_seed(*verb, request->seed, "Seed of random weights and inputs.");
  verb->add_flag("--json", request->json, "Prints one JSON document, schema convopt.run/1.");
  verb->callback([&action, request] { action = [request] { return run(*request); }; });
}

}  // namespace convopt::cli
