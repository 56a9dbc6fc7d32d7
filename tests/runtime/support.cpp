#include "tests/runtime/support.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "primitives/reference/reference.h"
#include "primitives/reference/tensor.h"

namespace convopt::testing {
namespace {

constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();

class FakeKernel final : public Kernel {
 public:
  FakeKernel(const Workload& workload, const Parameters& parameters, FakeOptions options)
      : workload_(workload), scales_(parameters.scales), options_(options) {
    if (parameters.weights.data == nullptr) return;  // none, or asked for sizes only
    const float* weights = parameters.weights.as<float>();
    weights_.weights = std::vector<float>(weights, weights + workload.weight_elements());
    if (const float* bias = parameters.bias.as<float>(); bias != nullptr) {
      weights_.bias = std::vector<float>(bias, bias + workload.shape.oc);
    }
  }

  void run(const RunArgs& args) const noexcept override {
    // A workspace that is too small or shared with a tensor shows up in the results.
    std::fill_n(static_cast<float*>(args.workspace), kWorkspaceFloats, kNaN);
    Parameters parameters = weights_.parameters();
    parameters.scales = scales_;
    reference::run(workload_, parameters, args);
    const TensorView& out = args.destination;
    if (options_.overwrites_residual && workload_.epilogue.residual &&
        args.residual.as<float>() != out.as<float>()) {
      out.as<float>()[0] = kNaN;  // what must not happen
    }
    switch (options_.defect) {
      case Defect::none:
        break;
      case Defect::wrong_value: {
        float largest = 0;
        for (std::int64_t i = 0; i < padded_elements(out.shape, out.layout); ++i) {
          largest = std::max(largest, std::abs(reference::load(out, i)));
        }
        // In bf16, what is off by less may be rounding.
        const float share = out.type == DataType::f32 ? 1e-3F : 2e-2F;
        const std::int64_t last = out.offset(0, out.shape.c() - 1, out.shape.h() - 1, 0);
        reference::store(out, last, reference::load(out, last) + share * largest);
        break;
      }
      case Defect::not_a_number:
        reference::store(out, out.offset(0, 0, out.shape.h() - 1, 0), kNaN);
        break;
      case Defect::dirty_tail:
        reference::store(out, padded_elements(out.shape, out.layout) - 1, 1);
        break;
    }
  }
  std::size_t workspace_bytes() const override { return kWorkspaceFloats * sizeof(float); }
  std::size_t packed_bytes() const override {
    return (weights_.weights.values().size() + weights_.bias.values().size()) * sizeof(float);
  }

 private:
  static constexpr std::size_t kWorkspaceFloats = 100;
  Workload workload_;
  Weights weights_;
  Quantisation scales_;
  FakeOptions options_;
};

class FakePrimitive final : public Primitive {
 public:
  FakePrimitive(PrimitiveInfo info, FakeOptions options)
      : Primitive(std::move(info)), options_(options) {}

  Applicability applicability(const Workload&, const Context&) const override {
    return Applicability::yes();
  }
  std::size_t workspace_bytes(const Workload& workload, const Context&) const override {
    return FakeKernel(workload, {}, options_).workspace_bytes();
  }
  std::size_t packed_bytes(const Workload&, const Context&) const override { return 0; }
  Result<std::unique_ptr<Kernel>> make_kernel(const Workload& workload,
                                              const Parameters& parameters,
                                              const Context&) const override {
    return std::unique_ptr<Kernel>(std::make_unique<FakeKernel>(workload, parameters, options_));
  }

 private:
  FakeOptions options_;
};

std::string fake_name(Op op, TensorFormat input, TensorFormat output) {
  return std::string(to_string(op)) + "_" + to_string(input) + "_" + to_string(output);
}

std::vector<DataType> types_of(Op op) {
  constexpr std::array kTyped = {Op::conv,       Op::convert, Op::max_pool,       Op::add,
                                 Op::activation, Op::concat,  Op::fully_connected};
  if (std::ranges::find(kTyped, op) == kTyped.end()) return {DataType::f32};
  return {DataType::f32, DataType::bf16, DataType::u8, DataType::s8};
}

std::vector<TensorFormat> formats_of(Op op) {
  std::vector<TensorFormat> formats;
  for (const DataType type : types_of(op)) {
    for (const Layout layout : kLayouts) formats.push_back({layout, type});
  }
  return formats;
}

}  // namespace

FakeRegistry::FakeRegistry(std::map<std::string, FakeOptions> special) {
  for (int number = 0; number < kOpCount; ++number) {
    const Op op = static_cast<Op>(number);
    for (const TensorFormat& input : formats_of(op)) {
      for (const TensorFormat& output : formats_of(op)) {
        PrimitiveInfo info;
        info.op = op;
        info.name = fake_name(op, input, output);
        info.input_layout = input.layout;
        info.output_layout = output.layout;
        info.input_type = input.type;
        info.output_type = output.type;
        info.traits.zero_points = info.traits.scales_source = true;
        const FakeOptions options = special[info.name];
        info.traits.overwrites_residual = options.overwrites_residual;
        keep(std::make_unique<FakePrimitive>(std::move(info), options));
      }
    }
  }
}

Network network_of(const std::string& shape, const std::string& operators,
                   const std::string& outputs) {
  const std::string json =
      R"({"schema": "convopt.network/1", "name": "test", "source": "test", "input": {"name": "x", )"
      R"("shape": )" +
      shape + R"(}, "operators": [)" + operators + "]" +
      (outputs.empty() ? "" : R"(, "outputs": )" + outputs) + "}";
  auto network = parse_network(json, "test.json");
  EXPECT_TRUE(network.ok()) << (network.ok() ? "" : network.error().message);
  return network.ok() ? std::move(*network) : Network{};
}

PlanBuilder& PlanBuilder::layer(const std::string& name, TensorFormat input, TensorFormat output,
                                std::vector<std::string> fused) {
  PlanLayer layer;
  layer.name = name;
  layer.input_layout = input.layout;
  layer.output_layout = output.layout;
  layer.input_type = input.type;
  layer.output_type = output.type;
  layer.fused = std::move(fused);
  const auto op = std::ranges::find(network_.operators, name, &Operator::name);
  if (op != network_.operators.end()) layer.primitive = fake_name(op->workload.op, input, output);
  plan_.layers.push_back(std::move(layer));
  return *this;
}

PlanBuilder& PlanBuilder::convert(const std::string& tensor, TensorFormat source,
                                  TensorFormat target) {
  plan_.conversions.push_back({tensor, source.layout, target.layout,
                               fake_name(Op::convert, source, target), 0, source.type,
                               target.type});
  return *this;
}

Tensors random_inputs(const Network& network, std::uint64_t seed) {
  Tensors result;
  for (const TensorId id : network.inputs) {
    result.emplace_back(static_cast<std::size_t>(network.tensors[id].shape.elements()));
    reference::fill_random(result.back().data(), std::ssize(result.back()), seed++, 1);
  }
  return result;
}

Tensors empty_outputs(const Network& network) {
  Tensors result;
  for (const TensorId id : network.outputs) {
    result.emplace_back(static_cast<std::size_t>(network.tensors[id].shape.elements()), kNaN);
  }
  return result;
}

std::vector<std::span<const std::byte>> read_spans(const Tensors& tensors) {
  std::vector<std::span<const std::byte>> spans;
  for (const std::vector<float>& values : tensors)
    spans.push_back(std::as_bytes(std::span(values)));
  return spans;
}

std::vector<std::span<std::byte>> write_spans(Tensors& tensors) {
  std::vector<std::span<std::byte>> spans;
  for (std::vector<float>& values : tensors) {
    spans.push_back(std::as_writable_bytes(std::span(values)));
  }
  return spans;
}

void expect_computes(const Network& network, const Plan& plan, const Registry& registry,
                     double bound) {
  const RandomWeights weights(network, kSeed);
  auto executor = Executor::create(network, plan, registry, weights);
  ASSERT_TRUE(executor.ok()) << executor.error().message;
  for (const std::uint64_t seed : {kSeed, kSeed + 1}) {
    const Tensors inputs = random_inputs(network, seed);
    Tensors expected = reference_outputs(network, weights, inputs);
    Tensors outputs = empty_outputs(network);
    const auto ran = (*executor)->run(read_spans(inputs), write_spans(outputs));
    ASSERT_TRUE(ran.ok()) << ran.error().message;
    for (std::size_t i = 0; i < outputs.size(); ++i) {
      const TensorShape& shape = network.tensors[network.outputs[i]].shape;
      const auto dense = [&](std::vector<float>& values) {
        return TensorView::dense(values.data(), shape, Layout::nchw);
      };
      EXPECT_LE(reference::max_relative_error(dense(outputs[i]), dense(expected[i])), bound)
          << "output " << i << ", seed " << seed;
    }
  }
}

}  // namespace convopt::testing
