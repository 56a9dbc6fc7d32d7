// Networks whose shapes depend on numbers (Network::rest) are planned while they run, which takes
// the planner. It is plugged in, so that programs that only execute plans need not link it.
#pragma once

#include <memory>
#include <vector>

#include "convopt/network.hpp"
#include "convopt/primitive.hpp"

namespace convopt {

/// Runs what follows a network. One thread at a time.
class RestExecution {
 public:
  virtual ~RestExecution() = default;
  /// The model's outputs, from those of the network that this is the rest of.
  virtual Result<std::vector<Array>> run(std::shared_ptr<const NetworkRest> rest,
                                         std::vector<Array> outputs) = 0;
};

/// The registry must outlive what is made.
using MakeRestExecution = std::unique_ptr<RestExecution> (*)(const Registry& registry,
                                                             const Platform& platform);

/// Whoever makes networks with a rest calls this before it hands one out.
void plug_in_rest_execution(MakeRestExecution make);

/// Fails where nothing is plugged in.
Result<std::unique_ptr<RestExecution>> make_rest_execution(const Registry& registry,
                                                           const Platform& platform);

}  // namespace convopt
