// Runs what follows a network: networks whose shapes are known only when those before them have
// run.
#pragma once

#include <list>
#include <memory>
#include <vector>

#include "convopt/network.hpp"
#include "convopt/primitive.hpp"
#include "src/runtime/buffers.h"
#include "src/runtime/executor.h"

namespace convopt {

/// Outputs of a network that have just been computed, by the names of its file.
std::vector<Array> arrays_of(const Network& network, Executor::Outputs outputs);

/// One thread at a time.
class RestRunner {
 public:
  /// The registry must outlive the runner.
  RestRunner(const Registry& registry, Platform platform)
      : registry_(registry), platform_(std::move(platform)) {}

  /// The model's outputs. Networks are planned by the analytic times of their primitives, which
  /// takes milliseconds, and kept for the next run.
  Result<std::vector<Array>> run(std::shared_ptr<const NetworkRest> rest,
                                 std::vector<Array> outputs);

 private:
  struct Prepared {
    std::shared_ptr<const Network> network;
    std::unique_ptr<Executor> executor;
    std::unique_ptr<Buffers> outputs;
  };
  Result<Prepared*> prepare(const std::shared_ptr<const Network>& network);

  const Registry& registry_;
  Platform platform_;
  std::list<Prepared> prepared_;  ///< the last used is the first
};

}  // namespace convopt
