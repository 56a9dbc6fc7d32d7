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

class FakeRegistry final : public Registry {
 public:
  explicit FakeRegistry(const Context& context) : context_(context) {
    for (const char* name : {"quick", "steady", "lagging", "slow", "wrong", "incomplete",
                             "refusing", "crashing", "hanging", "fatal"}) {
      PrimitiveInfo info;
      info.name = name;
      info.family = "fake";
      info.op = Op::activation;
      info.revision = "1";
      owned_.push_back(std::make_unique<FakePrimitive>(std::move(info)));
      list_.push_back(owned_.back().get());
    }
  }
  const Context& context() const override { return context_; }
  std::span<const Primitive* const> primitives() const override { return list_; }
  const Primitive* find(std::string_view name) const override {
    const auto found =
        std::ranges::find_if(list_, [&](const auto* p) { return p->name() == name; });
    return found == list_.end() ? nullptr : *found;
  }
  const Libraries& libraries() const override { return libraries_; }
  const Primitive* library_default(const Workload&) const override { return nullptr; }

 private:
  Context context_;
  Libraries libraries_{{"fake", "1.0"}};
  std::vector<std::unique_ptr<Primitive>> owned_;
  std::vector<const Primitive*> list_;
};

inline Result<std::unique_ptr<Registry>> make_fake_registry(const Context& context) {
  return std::unique_ptr<Registry>(std::make_unique<FakeRegistry>(context));
}

}  // namespace convopt
