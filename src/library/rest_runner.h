// Runs the rest of a network: networks whose shapes are known only when those before them have run.
#pragma once

#include <list>
#include <memory>
#include <vector>

#include "convopt/network.hpp"
#include "convopt/primitive.hpp"
#include "src/runtime/buffers.h"
#include "src/runtime/executor.h"
#include "src/session/rest.h"

namespace convopt {

/// One thread at a time.
class RestRunner final : public RestExecution {
 public:
  /// The registry must outlive the runner.
  RestRunner(const Registry& registry, Platform platform)
      : registry_(registry), platform_(std::move(platform)) {}

  /// The model's outputs. Networks are planned by the analytic times of their primitives, which
  /// takes milliseconds, and kept for the next run.
  Result<std::vector<Array>> run(std::shared_ptr<const NetworkRest> rest,
                                 std::vector<Array> outputs) override;

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
