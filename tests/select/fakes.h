// A registry and a cost source made of what a test says, and small networks built by hand.
#pragma once

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "convopt/network.hpp"
#include "convopt/primitive.hpp"
#include "core/files.h"
#include "core/primitive_list.h"
#include "src/select/costs.h"

namespace convopt::testing {

using Applies = std::function<bool(const Workload&)>;

class FakePrimitive final : public Primitive {
 public:
  FakePrimitive(PrimitiveInfo description, Applies applies)
      : Primitive(std::move(description)), applies_(std::move(applies)) {}
  Applicability applicability(const Workload& workload, const Context&) const override {
    ++asked;
    return !applies_ || applies_(workload) ? Applicability::yes() : Applicability::no("it cannot");
  }
  std::size_t workspace_bytes(const Workload&, const Context&) const override { return workspace; }
  std::size_t packed_bytes(const Workload&, const Context&) const override { return packed; }
  Result<std::unique_ptr<Kernel>> make_kernel(const Workload&, const Parameters&,
                                              const Context&) const override {
    return make_error(ErrorCode::internal, "a fake computes nothing");
  }

  std::size_t workspace = 0, packed = 100;
  mutable std::atomic<int> asked = 0;

 private:
  Applies applies_;
};

class FakeRegistry final : public PrimitiveList {
 public:
  FakeRegistry() : PrimitiveList({}, {{"lib", "1.0"}}) {}

  FakePrimitive& add(const std::string& name, const std::string& family, Op op, Layout input,
                     Layout output, Applies applies = {}, bool strided_views = false) {
    return add(name, family, op, TensorFormat{input}, TensorFormat{output}, std::move(applies),
               strided_views);
  }
  FakePrimitive& add(const std::string& name, const std::string& family, Op op, TensorFormat input,
                     TensorFormat output, Applies applies = {}, bool strided_views = false,
                     DataType product_type = DataType::f32) {
    PrimitiveInfo info;
    info.traits.product_type = product_type;
    info.traits.strided_views = strided_views;
    info.traits.zero_points = info.traits.scales_source = true;
    info.name = name;
    info.family = family;
    info.op = op;
    info.input_layout = input.layout;
    info.output_layout = output.layout;
    info.input_type = input.type;
    info.output_type = output.type;
    info.revision = "1";
    return add(info, std::move(applies));
  }
  FakePrimitive& add(const PrimitiveInfo& info, Applies applies = {}) {
    return keep(std::make_unique<FakePrimitive>(info, std::move(applies)));
  }
  /// Conversions between all the layouts, and every other operation in each of them.
  void add_others(const std::vector<Layout>& layouts) {
    for (const Layout from : layouts) {
      const std::string suffix = "_" + std::string(to_string(from));
      for (const Op op : {Op::max_pool, Op::activation, Op::add, Op::concat, Op::fully_connected}) {
        add("lib_" + std::string(to_string(op)) + suffix, "lib", op, from, from);
      }
      for (const Layout to : layouts) {
        if (from == to) continue;
        add("convert" + suffix + "_" + std::string(to_string(to)), "layout", Op::convert, from, to);
      }
    }
  }

  /// Convolutions by `lib` and other operations in each of these formats, and conversions between
  /// them that change the type.
  void add_typed(const std::vector<TensorFormat>& formats) {
    for (const TensorFormat& from : formats) {
      if (from.type != DataType::f32) {
        for (const Op op : {Op::conv, Op::max_pool, Op::activation, Op::add, Op::concat}) {
          add("lib_" + std::string(to_string(op)) + "_" + to_string(from), "lib", op, from, from);
        }
      }
      for (const TensorFormat& to : formats) {
        if (from == to || (from.type == DataType::f32 && to.type == DataType::f32)) continue;
        add("convert_" + to_string(from) + "_" + to_string(to), "layout", Op::convert, from, to);
      }
    }
  }

  const Primitive* library_default(const Workload& workload) const override {
    const Primitive* p = find(default_name);
    return p != nullptr && p->applicability(workload, context_) ? p : nullptr;
  }

  std::string default_name;
};

/// A time per primitive, or per primitive and workload, or by a function.
class FakeCosts final : public CostSource {
 public:
  using Time = std::function<double(const Workload&, const PrimitiveInfo&)>;
  explicit FakeCosts(Time time) : time_(std::move(time)) {}
  /// Whole, pseudo-random nanoseconds below `range` from the seed and both names.
  static FakeCosts random(std::uint64_t seed, std::uint64_t range = 100) {
    return FakeCosts([seed, range](const Workload& w, const PrimitiveInfo& p) {
      std::uint64_t h = hash64(w.text() + p.name, 14695981039346656037ULL + seed);
      h ^= h >> 29;
      return static_cast<double>(1 + h * 0x9E3779B97F4A7C15ULL % range);
    });
  }

  Result<std::vector<Cost>> costs(std::span<const Query> queries) const override {
    ++calls;
    std::vector<Cost> result;
    for (const Query& q : queries) {
      const double ns = time_(*q.workload, *q.primitive);
      if (ns < 0) {
        result.push_back({Cost::Source::unknown, {}, "no such time"});
      } else {
        result.push_back({Cost::Source::predicted, {ns, ns * 0.9, ns * 1.1}, {}});
      }
    }
    return result;
  }

  mutable int calls = 0;

 private:
  Time time_;
};

/// Builds networks on tensors of one shape, 16 channels of 8 x 8.
class NetworkBuilder {
 public:
  NetworkBuilder() {
    network.name = "hand-made";
    network.inputs.push_back(tensor("in"));
  }

  TensorId input() const { return network.inputs[0]; }
  TensorId conv(const std::string& name, TensorId from, int kernel = 3) {
    ConvShape s;
    s.ic = s.oc = 16;
    s.ih = s.iw = 8;
    s.kh = s.kw = kernel;
    s.pad_top = s.pad_bottom = s.pad_left = s.pad_right = kernel / 2;
    return op(name, Workload::conv(s), {from});
  }
  TensorId relu(const std::string& name, TensorId from) {
    Epilogue epilogue;
    epilogue.activation.kind = ActivationKind::relu;
    return op(name, Workload::pointwise(Op::activation, kShape, epilogue), {from});
  }
  TensorId add(const std::string& name, TensorId a, TensorId b) {
    return op(name, Workload::pointwise(Op::add, kShape), {a, b});
  }
  TensorId pool(const std::string& name, TensorId from) {
    ConvShape s;
    s.ic = s.oc = s.groups = 16;
    s.ih = s.iw = 8;
    s.kh = s.kw = 3;
    s.pad_top = s.pad_bottom = s.pad_left = s.pad_right = 1;
    return op(name, Workload::pool(Op::max_pool, s), {from});
  }
  /// A number per channel.
  TensorId mean(const std::string& name, TensorId from) {
    ConvShape s;
    s.ic = s.oc = s.groups = 16;
    s.ih = s.iw = s.kh = s.kw = 8;
    return op(name, Workload::pool(Op::avg_pool_include, s), {from});
  }
  TensorId scale(const std::string& name, TensorId image, TensorId factors) {
    return op(name, Workload::binary(Op::multiply, kShape, {1, 16, 1, 1}), {image, factors});
  }
  TensorId concat(const std::string& name, std::vector<TensorId> from) {
    const int count = static_cast<int>(from.size());
    return op(name, Workload::concat({1, 16 * count, 8, 8}, std::vector<int>(count, 16)),
              std::move(from));
  }
  TensorId reshape(const std::string& name, TensorId from) {
    const TensorId result = op(name, {}, {from});
    network.operators.back().kind = OperatorKind::reshape;
    return result;
  }
  Network build(std::vector<TensorId> outputs) {
    network.outputs = std::move(outputs);
    return network;
  }

  Network network;

 private:
  static constexpr TensorShape kShape{1, 16, 8, 8};

  TensorId tensor(const std::string& name) {
    network.tensors.push_back({name, kShape});
    return static_cast<TensorId>(network.tensors.size()) - 1;
  }
  TensorId op(const std::string& name, Workload workload, std::vector<TensorId> inputs) {
    const TensorId result = tensor(name);
    if (workload.op == Op::concat || workload.op == Op::avg_pool_include)
      network.tensors[result].shape = workload.output();
    network.operators.push_back({name,
                                 std::string(to_string(workload.op)),
                                 OperatorKind::compute,
                                 std::move(workload),
                                 std::move(inputs),
                                 {result},
                                 nullptr});
    return result;
  }
};

}  // namespace convopt::testing
