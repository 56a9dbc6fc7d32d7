// Primitives for tests of the profiler. All compute the activation in nchw; the name says what else
// they do: quick, steady, lagging (twice quick), slow (20 times quick), wrong, incomplete,
// refusing, crashing, hanging, fatal (ends its own process with SIGKILL, as if from outside).
#pragma once

#include <unistd.h>
#include <algorithm>
#include <csignal>
#include <ctime>

#include <memory>
#include <string>
#include <vector>

#include "convopt/primitive.hpp"
#include "core/primitive_list.h"

namespace convopt {

class FakeKernel final : public Kernel {
 public:
  FakeKernel(std::string name, Activation activation)
      : name_(std::move(name)), activation_(activation) {}

  void run(const RunArgs& args) const noexcept override {
    if (name_ == "crashing") {
      std::signal(SIGSEGV, SIG_DFL);  // a sanitizer's handler would report it
      std::raise(SIGSEGV);
    }
    while (name_ == "hanging") pause();
    if (name_ == "fatal") kill(getpid(), SIGKILL);
    const auto count = args.destination.shape.elements() - (name_ == "incomplete" ? 1 : 0);
    for (std::int64_t i = 0; i < count; ++i) {
      args.destination.as<float>()[i] = activation_(args.sources[0].as<float>()[i]);
    }
    if (name_ == "wrong") args.destination.as<float>()[0] += 0.25F;
    spend(name_ == "slow" ? 4e6 : name_ == "lagging" ? 4e5 : 2e5);
  }
  std::size_t workspace_bytes() const override { return 0; }
  std::size_t packed_bytes() const override { return 0; }

 private:
  /// Nanoseconds of processor time.
  static void spend(double ns) {
    const auto now = [] {
      timespec time{};
      clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
      return 1e9 * static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec);
    };
    const double end = now() + ns;
    while (now() < end) {
    }
  }
  std::string name_;
  Activation activation_;
};

class FakePrimitive final : public Primitive {
 public:
  using Primitive::Primitive;
  Applicability applicability(const Workload&, const Context&) const override {
    return info().name == "refusing" ? Applicability::no("it never applies") : Applicability::yes();
  }
  std::size_t workspace_bytes(const Workload&, const Context&) const override { return 0; }
  std::size_t packed_bytes(const Workload&, const Context&) const override { return 0; }
  Result<std::unique_ptr<Kernel>> make_kernel(const Workload& workload, const Parameters&,
                                              const Context&) const override {
    return std::unique_ptr<Kernel>(
        std::make_unique<FakeKernel>(info().name, workload.epilogue.activation));
  }
};

class FakeRegistry final : public PrimitiveList {
 public:
  explicit FakeRegistry(const Context& context) : PrimitiveList(context, {{"fake", "1.0"}}) {
    for (const char* name : {"quick", "steady", "lagging", "slow", "wrong", "incomplete",
                             "refusing", "crashing", "hanging", "fatal"}) {
      PrimitiveInfo info;
      info.name = name;
      info.family = "fake";
      info.op = Op::activation;
      info.revision = "1";
      keep(std::make_unique<FakePrimitive>(std::move(info)));
    }
  }
};

inline Result<std::unique_ptr<Registry>> make_fake_registry(const Context& context) {
  return std::unique_ptr<Registry>(std::make_unique<FakeRegistry>(context));
}

}  // namespace convopt
