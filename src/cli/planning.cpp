#include "src/cli/planning.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "core/text.h"
#include "core/try.h"
#include "src/cli/calibration.h"
#include "src/cli/interrupt.h"
#include "src/cli/log.h"
#include "src/cli/values.h"

namespace convopt::cli {
namespace {

/// Refuses a second value for one input.
template <class Given>
Result<void> check_new(const std::string& option, const std::string& input, const Given& given) {
  const bool known =
      std::ranges::any_of(given, [&](const auto& pair) { return pair.first == input; });
  if (!known) return {};
  return make_error(ErrorCode::usage, option + " is given twice for " + in_quotes(input));
}

}  // namespace

Result<InputShapes> parse_shapes(const std::vector<std::string>& texts) {
  InputShapes shapes;
  for (const std::string& text : texts) {
    const auto bad =
        make_error(ErrorCode::usage, "--shape '" + text + "' is not like input=1x3x224x224");
    const auto equals = text.rfind('=');
    if (equals == std::string::npos || equals == 0) return bad;
    std::vector<int> sizes;
    for (const auto part : split(std::string_view(text).substr(equals + 1), 'x')) {
      const auto size = parse_number<int>(part);
      if (!size || *size < 1) return bad;
      sizes.push_back(*size);
    }
    CONVOPT_CHECK(check_new("--shape", text.substr(0, equals), shapes));
    shapes.emplace_back(text.substr(0, equals), std::move(sizes));
  }
  return shapes;
}

Result<InputValues> parse_bindings(const std::vector<std::string>& texts) {
  InputValues values;
  for (const std::string& text : texts) {
    const auto bad = make_error(ErrorCode::usage, "--bind '" + text + "' is not like sr=16000");
    const auto equals = text.rfind('=');
    if (equals == std::string::npos || equals == 0) return bad;
    std::vector<double> numbers;
    for (const auto part : split(std::string_view(text).substr(equals + 1), ',')) {
      const auto number = parse_number<double>(part);
      if (!number) return bad;
      numbers.push_back(*number);
    }
    CONVOPT_CHECK(check_new("--bind", text.substr(0, equals), values));
    values.emplace_back(text.substr(0, equals), std::move(numbers));
  }
  return values;
}

void add_input_options(CLI::App& verb, std::vector<std::string>& shapes,
                       std::vector<std::string>& bindings) {
  verb.add_option("--shape", shapes,
                  "Shape of an input, e.g. input=1x3x224x224; binds the dynamic dimensions of an "
                  "ONNX model.")
      ->type_name("INPUT=SIZES")
      ->allow_extra_args(false);
  verb.add_option(
          "--bind", bindings,
          "Values of a small input, e.g. sr=16000 or size=640,480, that an ONNX model needs when "
          "it is read, because a condition or a size depends on them. The network then has no such "
          "input.")
      ->type_name("INPUT=VALUES")
      ->allow_extra_args(false);
}

Result<Network> named_network(const PlanningOptions& options) {
  CONVOPT_TRY(auto shapes, parse_shapes(options.shapes));
  CONVOPT_TRY(auto values, parse_bindings(options.bindings));
  shapes.insert(shapes.end(), options.more_shapes.begin(), options.more_shapes.end());
  values.insert(values.end(), options.more_values.begin(), options.more_values.end());
  return load_network(options.network, options.batch, shapes, values);
}

void PlanningOptions::add_network_to(CLI::App& verb) {
  verb.add_option("network", network,
                  "The network, an ONNX model or a JSON file (docs/reference/network-format.md).")
      ->required();
  verb.add_option("--model", model,
                  "Performance model. Default: this machine's own, else the shipped one.");
  verb.add_option(
      "--profile", profile,
      "Profile of this machine, whose times take precedence over predictions. Default: this "
      "machine's own profile, if there is one.");
  add_batch(verb, batch, "Images per batch. Default: the network's own.");
  add_input_options(verb, shapes, bindings);
  context.add_to(verb);
}

void PlanningOptions::add_to(CLI::App& verb) {
  add_network_to(verb);
  verb.add_option("--allow", select.limits.allow,
                  "Uses only these primitives or families for convolutions, separated by commas.")
      ->type_name(kFamilyType)
      ->delimiter(',')
      ->allow_extra_args(false);
  verb.add_option("--exclude", select.limits.exclude,
                  "Uses none of these primitives or families for convolutions.")
      ->type_name(kFamilyType)
      ->delimiter(',')
      ->allow_extra_args(false);
  add_bytes(verb, "--max-workspace", select.limits.max_workspace,
            "Most scratch memory of an operator, e.g. 64MB.");
  verb.add_option("--max-error", select.limits.max_error,
                  "Largest admissible error of a convolution, relative to its largest result, "
                  "e.g. 1e-5.")
      ->check(positive_number())
      ->type_name("NUMBER");
  precision = add_precision(
      verb, [this](Precision named) { select.limits.types = types_of(named); },
      "Types in which tensors are stored and products computed: f32; bf16 or int8: that or f32 for "
      "each layer, whatever makes the network faster; auto: any of these.");
  verb.add_option("--calibration", calibration,
                  "What `convopt calibrate` writes: ranges of the network's tensors, which int8 "
                  "needs, and sensitivities, which spare an error limit measuring them.");
  add_range_to(verb,
               "The range that int8 represents: all of a tensor's (max), 99.99 % of its values "
               "(percentile), or the one with the least mean square error (mse).");
  add_duration(verb, "--time-limit", time_limit,
               "Time for proving that no plan is better, e.g. 500ms.", /*may_be_zero=*/true);
}

void PlanningOptions::add_range_to(CLI::App& verb, const std::string& help) {
  verb.add_option_function<std::string>(
          "--range", [this](const std::string& name) { range = *parse_range_rule(name); }, help)
      ->check(CLI::IsMember({"max", "percentile", "mse"}))
      ->type_name("TEXT")
      ->default_str("max");
}

CLI::Option* PlanningOptions::add_calibrate_to(CLI::App& verb, const std::string& help) {
  return verb.add_option(calibrate_option, calibrate, help);
}

Result<std::unique_ptr<Planning>> load_planning(const PlanningOptions& options,
                                                bool may_begin_profile) {
  PlanningRequest request;
  CONVOPT_TRY(request.context, options.context.context());
  request.model = options.model;
  request.profile = options.profile;
  request.may_begin_profile = may_begin_profile;
  request.rates = MachineRates::kept;
  request.select = options.select;
  request.select.time_limit = std::chrono::duration<double>(options.time_limit);
  if (!options.calibration.empty()) {
    request.calibration = [path = options.calibration] { return load_calibration(path); };
  }
  request.range = options.range;
  if (!options.calibrate.empty())
    request.samples = samples_in(options.calibrate_option, options.calibrate);
  request.bind_threads = true;
  request.messages = messages();
  request.measure = profile_first;
  return Planning::load([&] { return named_network(options); }, request);
}

}  // namespace convopt::cli
