#include "model/features.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "core/ops/descriptor.h"

namespace convopt {
namespace {

float log2_of(double value) { return value > 0 ? static_cast<float>(std::log2(value)) : -1.0F; }

// Share of `size` that is useful when it is processed in whole units.
float fill(double size, double unit) {
  return static_cast<float>(size / (std::ceil(size / unit) * unit));
}

// One walk names the columns and fills them, so that the two cannot disagree: `put` is called with
// a name and a function that computes the value from the input.
template <class Put>
void for_each_feature(Put&& put) {
  using In = const FeatureInput&;
  const auto shape = [](In in) { return geometry(*in.workload); };
  const auto output = [](In in) { return as_image(in.workload->output()); };
  const auto traits = [](In in) -> const Traits& { return in.primitive->traits; };

  // What is computed.
  put("op", [](In in) { return in.codes->of(in.workload->op); });
  put("log_n", [=](In in) { return log2_of(shape(in).n); });
  put("log_ic", [=](In in) { return log2_of(shape(in).ic); });
  put("log_oc", [=](In in) { return log2_of(output(in).c()); });
  put("log_ih", [=](In in) { return log2_of(shape(in).ih); });
  put("log_iw", [=](In in) { return log2_of(shape(in).iw); });
  put("log_ow", [=](In in) { return log2_of(output(in).w()); });
  put("kh", [=](In in) { return float(shape(in).kh); });
  put("kw", [=](In in) { return float(shape(in).kw); });
  put("stride", [=](In in) { return float(std::max(shape(in).stride_h, shape(in).stride_w)); });
  put("padding", [=](In in) {
    const ConvShape& s = shape(in);
    return float(s.pad_top + s.pad_bottom + s.pad_left + s.pad_right);
  });
  put("dilation",
      [=](In in) { return float(std::max(shape(in).dilation_h, shape(in).dilation_w)); });
  put("log_groups", [=](In in) { return log2_of(shape(in).groups); });
  put("depthwise", [=](In in) { return shape(in).is_depthwise() ? 1.0F : 0.0F; });
  put("residual", [](In in) { return in.workload->epilogue.residual ? 1.0F : 0.0F; });
  put("activation", [](In in) { return in.codes->of(in.workload->epilogue.activation.kind); });
  put("sources", [](In in) { return float(in.workload->source_count()); });

  // How it is computed.
  put("algorithm", [=](In in) { return in.codes->of(traits(in).algorithm); });
  put("input_layout", [](In in) { return in.codes->of(in.primitive->input_layout); });
  put("output_layout", [](In in) { return in.codes->of(in.primitive->output_layout); });
  put("tile_oc", [=](In in) { return float(traits(in).tile_oc); });
  put("tile_pixels", [=](In in) { return float(traits(in).tile_pixels); });
  put("transform", [=](In in) { return float(traits(in).transform_h); });
  put("tile_outputs", [=](In in) { return float(traits(in).output_h); });
  put("packing", [=](In in) { return float(traits(in).packed_bytes_per_input_byte); });

  // The matrix product inside, and what whole tiles and blocks waste of it.
  put("log_m", [](In in) { return log2_of(in.work.m); });
  put("log_k", [](In in) { return log2_of(in.work.k); });
  put("log_tiles", [](In in) { return log2_of(in.work.tiles); });
  put("log_weight_passes", [](In in) { return log2_of(in.work.pixel_tiles); });
  put("fill", [](In in) { return float(in.work.fill); });
  put("channel_fill_8", [=](In in) { return fill(shape(in).ic, 8); });
  put("channel_fill_16", [=](In in) { return fill(shape(in).ic, 16); });
  put("output_fill_8", [](In in) { return fill(in.work.n, 8); });
  put("output_fill_16", [](In in) { return fill(in.work.n, 16); });
  put("row_fill_6", [=](In in) { return fill(output(in).w(), 6); });
  put("row_fill_14", [=](In in) { return fill(output(in).w(), 14); });
  put("row_fill_28", [=](In in) { return fill(output(in).w(), 28); });
  put("waste", [](In in) {
    return in.work.nominal_flops > 0 ? log2_of(in.work.flops / in.work.nominal_flops) : 0.0F;
  });

  // Analytic time and its parts.
  put("log_time", [](In in) { return log2_of(in.time.ns); });
  put("log_memory_share", [](In in) { return log2_of(in.time.memory_ns / in.time.ns); });
  put("transform_share", [](In in) { return float(in.time.transform_ns / in.time.ns); });
  put("log_intensity", [](In in) {
    return log2_of((in.work.flops + in.work.transform_flops + 1) / (in.work.traffic() + 1));
  });

  // What fits where.
  put("input_in_l1", [](In in) { return log2_of(in.work.input_bytes / in.machine->l1_bytes); });
  put("input_in_l2", [](In in) { return log2_of(in.work.input_bytes / in.machine->l2_bytes); });
  put("output_in_l1", [](In in) { return log2_of(in.work.output_bytes / in.machine->l1_bytes); });
  put("output_in_l2", [](In in) { return log2_of(in.work.output_bytes / in.machine->l2_bytes); });
  put("weights_in_l1",
      [](In in) { return log2_of((in.work.weight_bytes + 1) / in.machine->l1_bytes); });
  put("weights_in_l2",
      [](In in) { return log2_of((in.work.weight_bytes + 1) / in.machine->l2_bytes); });
  put("packed_in_l2",
      [](In in) { return log2_of((in.work.packed_bytes + 1) / in.machine->l2_bytes); });
  put("traffic_in_l2",
      [](In in) { return log2_of((in.work.traffic() + 1) / in.machine->l2_bytes); });
  put("traffic_in_l3",
      [](In in) { return log2_of((in.work.traffic() + 1) / in.machine->l3_bytes); });
  // One output channel's reduction, and one row of the image with its channels: what inner loops
  // come back to.
  const auto bytes = [](In in) { return double(element_bytes(in.primitive->input_type)); };
  put("reduction_in_l1",
      [=](In in) { return log2_of(bytes(in) * in.work.k / in.machine->l1_bytes); });
  put("row_in_l1", [=](In in) {
    return log2_of(bytes(in) * shape(in).ic * shape(in).iw * shape(in).kh / in.machine->l1_bytes);
  });

  // Where it is computed.
  put("vendor", [](In in) { return in.codes->of_vendor(in.platform->machine.vendor); });
  put("vector", [](In in) { return float(in.machine->vector); });
  put("threads", [](In in) { return float(in.machine->threads); });
  put("log_peak", [](In in) { return log2_of(in.machine->flops_per_ns); });
  put("log_l2_balance",
      [](In in) { return log2_of(in.machine->flops_per_ns / in.machine->l2_per_ns); });
  put("log_l3_balance",
      [](In in) { return log2_of(in.machine->flops_per_ns / in.machine->l3_per_ns); });
  put("log_memory_balance",
      [](In in) { return log2_of(in.machine->flops_per_ns / in.machine->memory_per_ns); });

  // Of what numbers.
  put("input_type", [](In in) { return in.codes->of(in.primitive->input_type); });
  put("output_type", [](In in) { return in.codes->of(in.primitive->output_type); });
  // Trees are of a type (arithmetic_type()): shorter weights are what tells one.
  put("product_type", [=](In in) { return in.codes->of(traits(in).type_of_weights()); });
  put("vector_products", [=](In in) { return traits(in).vector_products ? 1.0F : 0.0F; });
}

}  // namespace

std::span<const std::string> feature_names() {
  static const std::vector<std::string> names = [] {
    std::vector<std::string> result;
    for_each_feature([&](const char* name, auto&&) { result.emplace_back(name); });
    result.emplace_back("primitive_effect");
    result.emplace_back("law_ratio");
    for (const std::string_view term : cost_term_names()) {
      result.push_back("law_share_" + std::string(term));
    }
    return result;
  }();
  return names;
}

void count_work(FeatureInput& input, TimingMode mode) {
  input.work = estimate_work(*input.workload, *input.primitive, input.machine->vector);
  if (!input.codes->tells_units()) input.work.vector_products = false;
  input.time = analytic_time(input.work, *input.machine, mode);
}

void write_features(const FeatureInput& input, std::span<float> row) {
  std::size_t column = 0;
  for_each_feature([&](const char*, auto&& compute) { row[column++] = compute(input); });
  std::ranges::fill(row.subspan(column), std::numeric_limits<float>::quiet_NaN());
}

std::vector<double> range_coordinates(const Workload& workload) {
  const ConvShape s = geometry(workload);
  const TensorShape output = as_image(workload.output());
  const double work = workload.op == Op::conv ? s.flops() : double(output.elements());
  return {std::log2(std::max(1.0, work)),
          std::log2(double(s.n)),
          std::log2(double(s.ic)),
          std::log2(double(output.c())),
          std::log2(double(s.ih)),
          std::log2(double(s.iw)),
          std::log2(double(s.kh)),
          std::log2(double(s.kw)),
          std::log2(double(std::max(s.stride_h, s.stride_w))),
          std::log2(double(s.groups))};
}

}  // namespace convopt
