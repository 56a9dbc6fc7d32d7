// Plans that run everywhere.
#include <gtest/gtest.h>

#include <convopt/convopt.hpp>
#include <string>

namespace convopt {
namespace {

TEST(Fallback, PlansShippedNetworks) {
  for (const char* name : {"mobilenet_v2", "googlenet", "unet"}) {
    const auto network =
        load_network(CONVOPT_SOURCE_DIR "/data/networks/" + std::string(name) + ".json");
    ASSERT_TRUE(network.ok()) << network.error().message;
    const auto plan = fallback_plan(*network);
    ASSERT_TRUE(plan.ok()) << name << ": " << plan.error().message;
    EXPECT_EQ(plan->network_hash, network->hash());
    for (const PlanLayer& layer : plan->layers) {
      if (layer.op != "conv") continue;
      EXPECT_NE(layer.family, "onednn") << layer.name;
      EXPECT_NE(layer.input_layout, Layout::nChw16c) << layer.name;
    }
  }
}

}  // namespace
}  // namespace convopt
