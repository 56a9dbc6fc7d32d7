// Primitives for tests of the profiler. All compute the activation in nchw, or a convolution by the
// reference; the name says what else they do: quick, steady, lagging (takes twice as long as
// quick), slow (20 times), wrong, incomplete, refusing, crashing, hanging, fatal (ends its own
// process with SIGKILL, as if from outside).
#pragma once

#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "convopt/primitive.hpp"
#include "core/primitive_list.h"
#include "primitives/reference/reference.h"
#include "profiler/timer.h"

namespace convopt {

class FakeKernel final : public Kernel {
 public:
  FakeKernel(std::string name, const Workload& workload, const Parameters& parameters, int& runs)
      : name_(std::move(name)), workload_(workload), parameters_(parameters), runs_(runs) {}

  void run(const RunArgs& args) const noexcept override {
    ++runs_;
    if (workload_.op == Op::conv) return reference::run(workload_, parameters_, args);
    if (name_ == "crashing") {
      std::signal(SIGSEGV, SIG_DFL);  // a sanitizer's handler would report it
      std::raise(SIGSEGV);
    }
    while (name_ == "hanging") pause();
    if (name_ == "fatal") kill(getpid(), SIGKILL);
    const auto count = args.destination.shape.elements() - (name_ == "incomplete" ? 1 : 0);
    for (std::int64_t i = 0; i < count; ++i) {
      args.destination.as<float>()[i] =
          workload_.epilogue.activation(args.sources[0].as<float>()[i]);
    }
    if (name_ == "wrong") args.destination.as<float>()[0] += 0.25F;
  }
  std::size_t workspace_bytes() const override { return 0; }
  std::size_t packed_bytes() const override { return 0; }

 private:
  std::string name_;
  Workload workload_;
  Parameters parameters_;
  int& runs_;
};

class FakePrimitive final : public Primitive {
 public:
  using Primitive::Primitive;
  Applicability applicability(const Workload&, const Context&) const override {
    return info().name == "refusing" ? Applicability::no("it never applies") : Applicability::yes();
  }
  std::size_t workspace_bytes(const Workload&, const Context&) const override { return 0; }
  std::size_t packed_bytes(const Workload&, const Context&) const override { return 0; }
  Result<std::unique_ptr<Kernel>> make_kernel(const Workload& workload,
                                              const Parameters& parameters,
                                              const Context&) const override {
    runs_.push_back(0);
    return std::unique_ptr<Kernel>(
        std::make_unique<FakeKernel>(info().name, workload, parameters, runs_.back()));
  }
  /// Of each kernel, in the order in which they were made.
  const std::deque<int>& runs() const { return runs_; }

 private:
  mutable std::deque<int> runs_;
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

/// What the fake primitives take, whatever the workload.
inline constexpr double kQuickNs = 2e5, kLaggingNs = 4e5, kSlowNs = 4e6;

inline double fake_ns(const Workload&, std::string_view primitive) {
  return primitive == "slow" ? kSlowNs : primitive == "lagging" ? kLaggingNs : kQuickNs;
}

inline std::unique_ptr<Timer> make_fake_timer(const Context&, TimingMode, double) {
  return std::make_unique<SimulatedTimer>(fake_ns);
}

inline Result<std::unique_ptr<Registry>> make_fake_registry(const Context& context) {
  return std::unique_ptr<Registry>(std::make_unique<FakeRegistry>(context));
}

}  // namespace convopt
