// Networks with data-dependent shapes (Network::rest) are planned while they run, which needs the
// planner. It is registered at run time, so that programs that only execute plans need not link it.
#pragma once

#include <memory>
#include <vector>

#include "convopt/network.hpp"
#include "convopt/primitive.hpp"

namespace convopt {

/// Runs the rest of a network. One thread at a time.
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

/// Called before a network with a rest is returned to a user.
void plug_in_rest_execution(MakeRestExecution make);

/// Fails where no planner is registered.
Result<std::unique_ptr<RestExecution>> make_rest_execution(const Registry& registry,
                                                           const Platform& platform);

}  // namespace convopt
