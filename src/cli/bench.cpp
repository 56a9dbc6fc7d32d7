#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <limits>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "convopt/network.hpp"
#include "core/json.h"
#include "core/quantisation.h"
#include "core/statistics.h"
#include "core/text.h"
#include "core/try.h"
#include "profiler/affinity.h"
#include "profiler/bench.h"
#include "profiler/machine.h"
#include "src/cli/cli.h"
#include "src/cli/interrupt.h"
#include "src/cli/log.h"
#include "src/cli/memory.h"
#include "src/cli/outputs.h"
#include "src/cli/progress.h"
#include "src/cli/table.h"
#include "src/cli/values.h"
#include "src/library/primitive_filter.h"

namespace convopt::cli {
namespace {

struct BenchArguments {
  ContextOptions context;
  std::vector<std::string> networks, shapes;
  PrimitiveFilter filter;
  std::string output;
  TimingMode timing_mode = TimingMode::warm;
  double time = 0.15;  ///< seconds
  int batch = 0;
  std::uint64_t seed = 1;
  bool all = false, json = false;
};

/// One distinct convolution of the networks, named after its first occurrence.
struct Layer {
  std::string name;
  Workload workload;

  const ConvShape& shape() const { return workload.shape; }
  /// Types other than f32 end it.
  std::string shape_text() const {
    const std::string text = workload.text();
    return text.substr(text.find(':') + 1);
  }
};

struct Row {
  Measurement measurement;
  std::string family;
  double us() const { return measurement.median_ns * 1e-3; }
};

/// The measurements of one layer.
struct LayerResult {
  Layer layer;
  double peak_gflops = 0;  ///< measured just before and just after
  std::vector<Row> rows;   ///< fastest first
  std::vector<Measurement> failures, cut_short;

  bool is_empty() const { return rows.empty() && failures.empty() && cut_short.empty(); }
  /// Null where the library has nothing for this layer.
  const Row* fastest_of(const std::string& library) const {
    const auto found = std::ranges::find(rows, library, &Row::family);
    return found == rows.end() ? nullptr : &*found;
  }
  const Row* fastest_own(const Libraries& libraries) const {
    const auto found =
        std::ranges::find_if(rows, [&](const Row& row) { return !libraries.contains(row.family); });
    return found == rows.end() ? nullptr : &*found;
  }
  double gflops(const Row& row) const { return layer.shape().flops() / row.measurement.median_ns; }
  /// Counts only taps inside the image, which no kernel can avoid.
  double percent_of_peak(const Row& row) const {
    return 100 * layer.shape().flops_inside() / row.measurement.median_ns / peak_gflops;
  }
  /// NaN where the library has nothing.
  double ratio_to(const std::string& library, const Row& row) const {
    const Row* best = fastest_of(library);
    return best == nullptr ? std::numeric_limits<double>::quiet_NaN()
                           : row.measurement.median_ns / best->measurement.median_ns;
  }
};

Error usage(std::string message) { return make_error(ErrorCode::usage, std::move(message)); }

/// A shape, or a shape with types at its end.
Result<Workload> parse_layer(const std::string& text) {
  const auto shape = ConvShape::parse(text);
  if (shape) return Workload::conv(*shape);
  auto typed = Workload::parse("conv:" + text);
  if (typed && typed->epilogue == Epilogue()) return typed;
  constexpr std::string_view kZeroPoints = "_zp";
  if (!typed && text.ends_with(kZeroPoints) &&
      Workload::parse("conv:" + text.substr(0, text.size() - kZeroPoints.size()))) {
    return usage("zero points change nothing in " + in_quotes(text) +
                 ": it reads no u8, or nothing is padded; leave out _zp");
  }
  return shape.error();
}

Result<std::vector<Layer>> gather_layers(const BenchArguments& request) {
  if (request.networks.empty() && request.shapes.empty()) {
    return usage("bench needs --network FILE or --shape SHAPE");
  }
  std::vector<Layer> layers;
  const auto add = [&](std::string name, const Workload& workload) {
    const bool known =
        std::ranges::any_of(layers, [&](const Layer& layer) { return layer.workload == workload; });
    if (!known) layers.push_back({std::move(name), workload});
  };
  for (const std::string& path : request.networks) {
    CONVOPT_TRY(auto network, load_network(path, request.batch));
    for (const Operator& op : network.operators) {
      if (op.kind != OperatorKind::compute || op.workload.op != Op::conv) continue;
      add(network.name + "/" + op.name, Workload::conv(op.workload.shape));
    }
  }
  for (const std::string& text : request.shapes) {
    auto workload = parse_layer(text);
    if (!workload) return usage("--shape: " + workload.error().message);
    if (request.batch > 0) workload->shape.n = request.batch;
    if (auto valid = workload->validate(); !valid) {
      return usage("--shape: " + valid.error().message);
    }
    add(text, *workload);
  }
  if (layers.empty()) return make_error(ErrorCode::bad_input, "the networks have no convolutions");
  return layers;
}

/// Refuses a layer whose data and kernels do not fit: tensors in all layouts that its primitives
/// read, and the largest of the kernels, which are many and are not all prepared at once.
Result<void> check_memory(const Layer& layer, const std::vector<const Primitive*>& primitives,
                          const Context& context) {
  const Workload& workload = layer.workload;
  const auto bytes = [](const TensorShape& shape, Layout layout, DataType type) {
    return static_cast<std::size_t>(padded_elements(shape, layout)) * element_bytes(type);
  };
  // The results are checked against sources in this layout.
  std::set<Layout> layouts = {Layout::nchw};
  std::size_t kernel = 0, output = 0;
  for (const Primitive* primitive : primitives) {
    if (!primitive->info().computes(workload) || !primitive->applicability(workload, context))
      continue;
    layouts.insert(primitive->info().input_layout);
    kernel = std::max(kernel, primitive->packed_bytes(workload, context) +
                                  primitive->workspace_bytes(workload, context));
  }
  std::size_t sum = kernel + static_cast<std::size_t>(workload.weight_elements()) * sizeof(float);
  std::size_t drawn = 0;  // in single precision, before it is converted
  for (const Layout layout : layouts) {
    sum += bytes(workload.source(0), layout, workload.input_type);
    if (workload.input_type != DataType::f32)
      drawn = std::max(drawn, bytes(workload.source(0), layout, DataType::f32));
  }
  for (const Layout layout : kLayouts) {
    output = std::max(output, bytes(workload.output(), layout, workload.output_type));
  }
  return check_available(layer.name + ": timing it takes", sum + drawn + output);
}

LayerResult time_layer(Bench& bench, const Layer& layer,
                       const std::vector<const Primitive*>& primitives) {
  LayerResult result;
  result.layer = layer;
  std::map<std::string_view, std::string> families;
  std::vector<const Primitive*> fitting;
  for (const Primitive* primitive : primitives) {
    if (!primitive->info().computes(layer.workload)) continue;
    fitting.push_back(primitive);
    families[primitive->name()] = primitive->info().family;
  }
  bench.measure(
      layer.workload, fitting, std::numeric_limits<double>::infinity(),
      [](const Primitive*, Step) {},
      [&](const Measurement& m) {
        if (m.status == MeasurementStatus::ok) {
          result.rows.push_back({m, families[m.primitive]});
        } else if (m.status == MeasurementStatus::censored) {
          result.cut_short.push_back(m);
        } else if (m.status == MeasurementStatus::failed) {
          result.failures.push_back(m);
        }
      });
  std::ranges::sort(result.rows, {}, &Row::us);
  return result;
}

Json to_json(const LayerResult& result, const Libraries& libraries) {
  Json rows = Json::array();
  for (const Row& row : result.rows) {
    const Measurement& m = row.measurement;
    rows.push_back({{"layer", result.layer.name},
                    {"shape", result.layer.shape_text()},
                    {"primitive", m.primitive},
                    {"family", row.family},
                    {"isa", to_string(m.isa)},
                    {"threads", m.threads},
                    {"us", row.us()},
                    {"mad_us", m.mad_ns * 1e-3},
                    {"gflops", result.gflops(row)},
                    {"percent_of_peak", result.percent_of_peak(row)},
                    {"max_relative_error", m.max_relative_error},
                    {"prepare_us", m.prepare_ns * 1e-3},
                    {"packed_bytes", m.packed_bytes},
                    {"workspace_bytes", m.workspace_bytes}});
    for (const auto& [library, version] : libraries) {
      const double ratio = result.ratio_to(library, row);
      rows.back()["ratio_to_" + library + "_best"] = std::isnan(ratio) ? Json() : Json(ratio);
    }
  }
  return rows;
}

Json to_json(const std::vector<LayerResult>& results, const Libraries& libraries,
             const Context& context, const BenchArguments& request) {
  std::vector<double> peaks;
  Json rows = Json::array(), failures = Json::array(), cut_short = Json::array();
  for (const LayerResult& result : results) {
    peaks.push_back(result.peak_gflops);
    for (Json& row : to_json(result, libraries)) rows.push_back(std::move(row));
    for (const Measurement& m : result.cut_short) {
      cut_short.push_back({{"layer", result.layer.name}, {"primitive", m.primitive}});
    }
    for (const Measurement& m : result.failures) {
      failures.push_back(
          {{"layer", result.layer.name}, {"primitive", m.primitive}, {"reason", m.reason}});
    }
  }
  return {{"schema", "convopt.bench/1"},
          {"platform", Platform{machine_facts(), context.isa, context.threads}.id()},
          {"isa", to_string(context.isa)},
          {"threads", context.threads},
          {"timing_mode", to_string(request.timing_mode)},
          {"seed", request.seed},
          {"peak_gflops", median(std::move(peaks))},
          {"rows", std::move(rows)},
          {"cut_short", std::move(cut_short)},
          {"failed", std::move(failures)}};
}

/// Per layer the fastest primitive of every family, or all of them.
std::string to_text(const std::vector<LayerResult>& results, const Libraries& libraries, bool all) {
  std::vector<Table::Column> columns{{"layer"},
                                     {"primitive"},
                                     {"time", Table::Align::right},
                                     {"GFLOP/s", Table::Align::right},
                                     {"of peak", Table::Align::right},
                                     {"error", Table::Align::right},
                                     {"packed", Table::Align::right},
                                     {"packing", Table::Align::right}};
  for (const auto& [library, version] : libraries) {
    columns.push_back({"to " + library, Table::Align::right});
  }
  Table table(std::move(columns));
  for (const LayerResult& result : results) {
    std::vector<std::string> shown;
    bool first = true;
    for (const Row& row : result.rows) {
      if (!all && std::ranges::find(shown, row.family) != shown.end()) continue;
      shown.push_back(row.family);
      const Measurement& m = row.measurement;
      std::vector<std::string> cells{first ? result.layer.name : "",
                                     m.primitive,
                                     format_time(m.median_ns),
                                     fixed(result.gflops(row), 1),
                                     fixed(result.percent_of_peak(row), 1) + " %",
                                     scientific(m.max_relative_error, 1),
                                     format_bytes(static_cast<double>(m.packed_bytes)),
                                     format_time(m.prepare_ns)};
      for (const auto& [library, version] : libraries) {
        const double ratio = result.ratio_to(library, row);
        cells.push_back(std::isnan(ratio) ? "-" : fixed(ratio, 3));
      }
      table.add_row(std::move(cells));
      first = false;
    }
  }
  std::string text = table.text();
  if (!all) return text;
  for (const LayerResult& result : results) {
    for (const Measurement& m : result.cut_short)
      text += m.primitive + " is cut short for " + result.layer.name + ": " + m.reason + "\n";
  }
  return text;
}

/// The best of convopt's own against the library's best over all layers that both can compute.
std::string summary(const std::vector<LayerResult>& results, const Libraries& libraries,
                    const std::string& library) {
  double log_sum = 0, worst = 0;
  std::size_t count = 0, slower = 0;
  std::string worst_layer;
  for (const LayerResult& result : results) {
    const Row* own = result.fastest_own(libraries);
    const double ratio =
        own == nullptr ? std::numeric_limits<double>::quiet_NaN() : result.ratio_to(library, *own);
    if (std::isnan(ratio)) continue;
    log_sum += std::log(ratio);
    ++count;
    if (ratio > 1) ++slower;
    if (ratio > worst) {
      worst = ratio;
      worst_layer = result.layer.name;
    }
  }
  if (count == 0) return "";
  return "\nbest own primitive over the best of " + library + ", " + counted(count, "layer") +
         ": " + fixed(std::exp(log_sum / static_cast<double>(count)), 3) +
         " in the geometric mean, " + fixed(worst, 3) + " at worst (" + worst_layer +
         "), above 1 on " + std::to_string(slower) + "\n";
}

/// Of the numbers that the layer multiplies, at this moment.
double measured_peak(const Layer& layer, const Context& context) {
  return measured_peak_gflops(product_type(layer.workload.input_type), context.isa,
                              context.threads);
}

Result<void> bench_action(const BenchArguments& request) {
  CONVOPT_TRY(const auto context, request.context.context());
  CONVOPT_TRY(const auto layers, gather_layers(request));
  CONVOPT_TRY(const auto registry, Registry::create(context));
  CONVOPT_CHECK(request.filter.check(*registry));
  // Libraries are always timed, since the others are compared with them.
  const Libraries& libraries = registry->libraries();
  std::vector<const Primitive*> primitives;
  for (const Primitive* primitive : registry->primitives()) {
    const PrimitiveInfo& info = primitive->info();
    if (info.op == Op::conv && (libraries.contains(info.family) || request.filter(info))) {
      primitives.push_back(primitive);
    }
  }

  for (const Layer& layer : layers) CONVOPT_CHECK(check_memory(layer, primitives, context));

  BenchOptions options;
  options.seed = request.seed;
  options.max_seconds = request.time;
  // Winograd beats direct convolution by more than the profiler's factor of 4, and the direct time
  // is what it is compared with. Nothing but reference implementations is that much slower.
  options.censor_factor = 30;
  options.timing_mode = request.timing_mode;
  bind_threads(context.threads);
  Bench bench(context, options);
  std::vector<LayerResult> results;
  bool failed = false;
  double peak = 0;
  DataType peak_type = DataType::f32;
  for (const Layer& layer : layers) {
    if (stop_on_signal()) break;
    const DataType type = layer.workload.input_type;
    if (results.empty() || type != peak_type) peak = measured_peak(layer, context);
    peak_type = type;
    results.push_back(time_layer(bench, layer, primitives));
    if (results.back().is_empty()) warn(layer.name + ": nothing computes this here");
    const double next = measured_peak(layer, context);
    results.back().peak_gflops = (peak + next) / 2;
    peak = next;
    for (const Measurement& m : results.back().failures) {
      failed = true;
      warn(layer.name + ", " + m.primitive + ": " + m.reason);
    }
    if (!is_quiet() && isatty(STDERR_FILENO) != 0) {
      std::fprintf(stderr, "%zu of %zu layers\r", results.size(), layers.size());
    }
  }
  std::string text;
  if (request.json) {
    text = to_json(results, libraries, context, request).dump(1) + "\n";
  } else {
    text = to_text(results, libraries, request.all);
    for (const auto& [library, version] : libraries) text += summary(results, libraries, library);
  }
  CONVOPT_CHECK(write_output(request.output, text));
  if (results.size() < layers.size()) {
    return make_error(ErrorCode::interrupted, "interrupted after " +
                                                  std::to_string(results.size()) + " of " +
                                                  std::to_string(layers.size()) + " layers");
  }
  if (failed) {
    return make_error(ErrorCode::verification_failed, "the result of a primitive is wrong");
  }
  return {};
}

}  // namespace

void add_bench(CLI::App& app, Action& action) {
  auto request = std::make_shared<BenchArguments>();
  CLI::App* verb = app.add_subcommand(
      "bench",
      "Times primitives on convolution layers beside the libraries' and checks their results.");
  verb->add_option("--network", request->networks,
                   "Times the distinct convolutions of this network. Repeatable.");
  verb->add_option(
          "--shape", request->shapes,
          "Times this convolution, e.g. n1_ic64_ih56_iw56_oc64_kh3_kw3_s1_p1, with types at its "
          "end as in ..._p1_bf16 or ..._p1_u8_f32, and _zp for zero points where a kernel pads. "
          "Repeatable.")
      ->type_name("SHAPE");
  verb->add_option("--family", request->filter.allow,
                   "Only these families or primitives, beside the libraries', e.g. winograd,fft.")
      ->type_name(kFamilyType)
      ->delimiter(',')
      ->allow_extra_args(false);
  request->context.add_to(*verb);
  add_batch(*verb, request->batch, "Images per batch. Default: the network's or shape's own.");
  add_duration(*verb, "--time", request->time,
               "Longest time for the runs of one primitive on one layer.");
  add_timing_mode(*verb, request->timing_mode, std::string(kTimingModeHelp) + "warm.");
  add_seed(*verb, request->seed, "Seed of data and order.");
  verb->add_flag("--all", request->all,
                 "Shows every primitive, not only the fastest of each family.");
  add_text_output(*verb, "-o,--output", request->output, "Writes the result to this file.");
  verb->add_flag("--json", request->json, "Writes one JSON document.");
  verb->callback([&action, request] { action = [request] { return bench_action(*request); }; });
}

}  // namespace convopt::cli
