// Bundles and sessions by the runtime alone: written, read, damaged, chosen from, run.
#include <gtest/gtest.h>
#include <unistd.h>

#include <convopt/convopt.h>
#include <algorithm>
#include <array>
#include <atomic>
#include <cmath>
#include <convopt/bundle.hpp>
#include <convopt/session.hpp>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <string>
#include <thread>
#include <tuple>
#include <vector>

#include "core/checksum.h"
#include "tests/runtime/allocations.h"

namespace convopt {
namespace {

namespace fs = std::filesystem;

constexpr const char* kNetwork = R"({"schema": "convopt.network/1", "name": "test",
  "source": "a test", "input": {"name": "x", "shape": [1, 3, 6, 5]},
  "operators": [
    {"name": "c1", "op": "conv", "oc": 4, "kernel": 3, "padding": 1},
    {"name": "r1", "op": "leaky_relu", "alpha": 0.123456789},
    {"name": "two", "op": "constant", "sizes": [1, 4, 6, 5]},
    {"name": "sum", "op": "workload", "workload": "add:n1_c4_h6_w5", "inputs": ["r1", "two"]},
    {"name": "flat", "op": "flatten"},
    {"name": "fc", "op": "fully_connected", "oc": 3}],
  "outputs": ["sum", "fc"], "output_names": ["image", "scores"]})";

/// Aligned like a mapped file.
struct Memory {
  explicit Memory(const std::string& content)
      : size(content.size()),
        data(static_cast<std::byte*>(::operator new (size + 1, std::align_val_t{64}))) {
    std::memcpy(data, content.data(), size);
  }
  ~Memory() { ::operator delete (data, std::align_val_t{64}); }
  Memory(const Memory&) = delete;
  Memory& operator=(const Memory&) = delete;

  std::size_t size;
  std::byte* data;
};

Result<Bundle> read(const std::string& content) {
  const auto memory = std::make_shared<Memory>(content);
  return Bundle::read({memory->data, memory->size}, memory, "b.convopt");
}

/// A plan of the first primitive that computes each operator from nchw to nchw.
Plan plain_plan(const Network& network, const Platform& platform) {
  Plan plan;
  plan.network = network.name;
  plan.network_hash = network.hash();
  plan.platform = platform;
  const auto registry = Registry::create({platform.isa, platform.threads});
  EXPECT_TRUE(registry.ok()) << registry.error().message;
  for (const Operator& op : network.operators) {
    if (op.kind != OperatorKind::compute) continue;
    const auto primitives = (*registry)->primitives();
    const auto found = std::ranges::find_if(primitives, [&](const Primitive* primitive) {
      return primitive->info().computes(op.workload) &&
             primitive->info().input_layout == Layout::nchw &&
             primitive->info().output_layout == Layout::nchw &&
             primitive->applicability(op.workload, (*registry)->context());
    });
    EXPECT_NE(found, primitives.end()) << op.name;
    if (found == primitives.end()) continue;
    PlanLayer layer;
    layer.name = op.name;
    layer.op = to_string(op.workload.op);
    layer.workload = op.workload.text();
    const auto start = layer.workload.find(':') + 1;
    layer.shape = layer.workload.substr(start, layer.workload.find(':', start) - start);
    layer.primitive = (*found)->name();
    plan.layers.push_back(layer);
  }
  return plan;
}

class BundleTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    folder_ = fs::temp_directory_path() / ("convopt-bundle-" + std::to_string(getpid()));
    fs::create_directories(folder_);
    auto network = parse_network(kNetwork, "test.json");
    ASSERT_TRUE(network.ok()) << network.error().message;
    network_ = std::move(*network);
    Platform platform;
    platform.machine.name = "Nothing Like This";
    platform.machine.vendor = "Nobody";
    platform.isa = default_isa();
    plan_ = plain_plan(network_, platform);
    weights_ = random_weights(network_, 7);
    const auto written = write_bundle(path(), {&network_, weights_.get(), {&plan_, 1}, &plan_});
    ASSERT_TRUE(written.ok()) << written.error().message;
    std::ifstream stream(path(), std::ios::binary);
    content_ = {std::istreambuf_iterator<char>(stream), {}};
  }
  static void TearDownTestSuite() { fs::remove_all(folder_); }

  static fs::path path() { return folder_ / "b.convopt"; }
  static std::vector<float> input() {
    std::vector<float> values(3 * 6 * 5);
    for (std::size_t i = 0; i < values.size(); ++i) values[i] = std::sin(static_cast<float>(i));
    return values;
  }
  static Session open() {
    auto session = Session::open(path(), {.isa = {}, .threads = 1});
    EXPECT_TRUE(session.ok()) << session.error().message;
    return std::move(*session);
  }
  /// Both outputs by the network itself, not by the bundle.
  static std::vector<std::vector<float>> expected(const std::vector<float>& x) {
    auto session = Session::create(network_, plan_, *weights_);
    EXPECT_TRUE(session.ok()) << session.error().message;
    std::vector<std::vector<float>> y = {std::vector<float>(120), std::vector<float>(3)};
    const float* const source = x.data();
    float* const destinations[] = {y[0].data(), y[1].data()};
    EXPECT_TRUE(session->run({&source, 1}, destinations).ok());
    return y;
  }

  static inline fs::path folder_;
  static inline Network network_;
  static inline Plan plan_;
  static inline std::unique_ptr<WeightSource> weights_;
  static inline std::string content_;
};

TEST_F(BundleTest, HoldsTheNetworkItsWeightsAndPlans) {
  const auto bundle = Bundle::open(path());
  ASSERT_TRUE(bundle.ok()) << bundle.error().message;
  const Network& network = bundle->network();
  EXPECT_EQ(network.hash(), network_.hash());
  ASSERT_EQ(network.operators.size(), network_.operators.size());
  for (std::size_t i = 0; i < network.operators.size(); ++i) {
    const Operator &found = network.operators[i], &given = network_.operators[i];
    EXPECT_EQ(found.name, given.name);
    EXPECT_EQ(found.kind, given.kind);
    EXPECT_EQ(found.workload, given.workload) << given.name;
    EXPECT_EQ(found.inputs, given.inputs);
    if (given.name == "flat") continue;
    if (given.kind == OperatorKind::compute && !given.workload.has_weights()) continue;
    const auto weights = weights_->weights(given);
    ASSERT_TRUE(weights.ok());
    ASSERT_NE(found.weights, nullptr) << given.name;
    EXPECT_TRUE(std::ranges::equal(found.weights->weights, weights->weights.values()));
    EXPECT_TRUE(std::ranges::equal(found.weights->bias, weights->bias.values()));
    // Borrowed from the file, as kernels like it.
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(found.weights->weights.data()) % 64, 0U);
  }
  EXPECT_EQ(network.named_outputs()[1].name, "scores");
  ASSERT_EQ(bundle->plans().size(), 1U);
  EXPECT_EQ(to_json(bundle->plans()[0]), to_json(plan_));
  EXPECT_NE(bundle->fallback(), nullptr);
  EXPECT_TRUE(Bundle::is_bundle(path()));
  EXPECT_FALSE(Bundle::is_bundle(folder_ / "missing"));
}

TEST_F(BundleTest, RefusesEveryTruncation) {
  for (std::size_t size = 0; size < content_.size(); size += size < 200 ? 1 : 61) {
    const auto bundle = read(content_.substr(0, size));
    ASSERT_FALSE(bundle.ok()) << size;
    EXPECT_EQ(bundle.error().code, ErrorCode::bad_input) << size;
    EXPECT_EQ(bundle.error().message.find('\n'), std::string::npos) << size;
  }
  EXPECT_EQ(read(content_.substr(0, 40)).error().message,
            "b.convopt is damaged: it ends within its header");
  EXPECT_EQ(read(content_ + "x").error().message,
            "b.convopt is damaged: it has " + std::to_string(content_.size() + 1) +
                " bytes instead of " + std::to_string(content_.size()));
}

TEST_F(BundleTest, RefusesEveryFlippedBit) {
  for (std::size_t at = 0; at < content_.size(); at += at < 4200 ? 1 : 7) {
    std::string damaged = content_;
    damaged[at] = static_cast<char>(damaged[at] ^ (1 << (at % 8)));
    const auto bundle = read(damaged);
    ASSERT_FALSE(bundle.ok()) << at;
    EXPECT_EQ(bundle.error().code, ErrorCode::bad_input) << at;
  }
}

/// With the checksum that its directory has now.
std::string resealed(std::string content) {
  std::uint64_t weights_offset = 0;
  std::memcpy(&weights_offset, content.data() + 32, 8);
  const std::string_view file = content;
  const std::array<std::uint64_t, 2> both = {checksum64(file.substr(0, 56)),
                                             checksum64(file.substr(64, weights_offset - 64))};
  const std::uint64_t checksum = checksum64({reinterpret_cast<const char*>(both.data()), 16});
  std::memcpy(content.data() + 56, &checksum, 8);
  return content;
}

TEST_F(BundleTest, NothingInTheDirectoryIsBelieved) {
  EXPECT_TRUE(read(resealed(content_)).ok());
  std::uint64_t bytes = 0;
  std::memcpy(&bytes, content_.data() + 24, 8);
  const std::vector<float> x = input();
  int refused = 0, ran = 0;
  for (std::size_t at = 64; at < 64 + bytes; ++at) {
    const char c = "90-\"x"[at % 5];
    if (content_[at] == c) continue;
    std::string changed = content_;
    changed[at] = c;
    const auto bundle = read(resealed(changed));
    if (!bundle.ok()) {
      ++refused;
      EXPECT_EQ(bundle.error().code, ErrorCode::bad_input) << at << c << bundle.error().message;
      continue;
    }
    // What is taken for a bundle can be run, or says why not.
    auto session = Session::open(*bundle, {.isa = {}, .threads = 1});
    if (!session.ok() || session->inputs()[0].shape.elements() != 90) continue;
    std::vector<float> image(120), scores(3);
    const float* const source = x.data();
    float* const destinations[] = {image.data(), scores.data()};
    ran += session->run({&source, 1}, destinations).ok() ? 1 : 0;
  }
  EXPECT_GT(refused, 300);
  EXPECT_GT(ran, 10);
}

TEST_F(BundleTest, RefusesForeignAndLaterFiles) {
  EXPECT_EQ(read("{}").error().message, "b.convopt is no bundle of convopt");
  EXPECT_EQ(read("").error().message, "b.convopt is no bundle of convopt");
  std::string later = content_;
  later[8] = 2;
  EXPECT_EQ(read(later).error().message,
            "b.convopt is a bundle of version 2, this convopt reads version 1");
  EXPECT_EQ(Bundle::open(folder_ / "missing").error().code, ErrorCode::bad_input);
  EXPECT_EQ(Bundle::open(folder_).error().code, ErrorCode::bad_input);
}

TEST_F(BundleTest, WritesWholeFilesOrNone) {
  Plan other = plan_;
  other.network_hash = "0123456789abcdef";
  const fs::path file = folder_ / "none.convopt";
  EXPECT_FALSE(write_bundle(file, {&network_, weights_.get(), {&other, 1}, nullptr}).ok());
  EXPECT_FALSE(fs::exists(file));
  EXPECT_EQ(write_bundle("/no/such/folder/b.convopt", {&network_, weights_.get(), {}, nullptr})
                .error()
                .code,
            ErrorCode::environment);
}

TEST_F(BundleTest, ChoosesExactThenNearestThenFallback) {
  const auto platform = [](const char* name, Isa isa, int threads, std::int64_t l2 = 0) {
    Platform result;
    result.machine.vendor = "GenuineIntel";
    result.machine.name = name;
    result.machine.l2_bytes = l2;
    result.isa = isa;
    result.threads = threads;
    return result;
  };
  const auto plan_for = [&](const Platform& of) {
    Plan plan;
    plan.platform = of;
    return plan;
  };
  const std::vector<Plan> plans = {
      plan_for(platform("a", Isa::avx2, 4)), plan_for(platform("b", Isa::avx512, 1, 1 << 20)),
      plan_for(platform("c", Isa::avx512, 4, 1 << 21)), plan_for(platform("a", Isa::avx512, 4))};
  const Plan fallback;
  const auto names = [&](const Platform& here, const PlanRequest& request) {
    std::string text;
    for (const PlanChoice& choice : choices_on(here, request, plans, &fallback)) {
      text += text.empty() ? "" : " ";
      const std::string name = choice.plan.platform.machine.name;
      text += choice.note.find("fall-back") != std::string::npos
                  ? "fallback"
                  : name + "/" + std::string(to_string(choice.plan.platform.isa));
      text += "/" + std::to_string(choice.plan.platform.threads) + (choice.note.empty() ? "!" : "");
    }
    return text;
  };
  // The machine itself first, then its level, then lower ones.
  EXPECT_EQ(names(platform("a", Isa::avx512, 4), {}),
            "a/avx512/4! c/avx512/4 b/avx512/1 a/avx2/4 fallback/4");
  // Higher levels than the processor has are no choice.
  EXPECT_EQ(names(platform("a", Isa::avx2, 4), {}), "a/avx2/4! fallback/4");
  EXPECT_EQ(names(platform("a", Isa::sse4, 4), {}), "fallback/4");
  EXPECT_EQ(names(platform("a", Isa::neon, 4), {}), "fallback/4");
  // No more threads than there are processors, unless they are asked for.
  EXPECT_EQ(names(platform("a", Isa::avx512, 2), {}),
            "a/avx512/2 b/avx512/1 c/avx512/2 a/avx2/2 fallback/2");
  EXPECT_EQ(names(platform("b", Isa::avx512, 2), {.isa = {}, .threads = 4}),
            "b/avx512/4 c/avx512/4 a/avx512/4 a/avx2/4 fallback/4");
  // Of strangers with the same threads the one with the nearest caches.
  EXPECT_EQ(names(platform("d", Isa::avx512, 1, 1 << 20), {}).substr(0, 10), "b/avx512/1");
  const auto choices = choices_on(platform("d", Isa::avx512, 1), {}, plans, nullptr);
  EXPECT_EQ(choices.front().note,
            "there is no plan for intel-0-0-d/avx512/t1: that for intel-0-0-b/avx512/t1 is used");
}

TEST_F(BundleTest, SessionsComputeLikeTheNetworkAndSayWhichPlan) {
  const Session session = open();
  EXPECT_NE(session.note().find("-nothing-like-this/"), std::string::npos) << session.note();
  const std::vector<float> x = input();
  const auto y = expected(x);
  std::vector<float> image(120), scores(3);
  const InputView source{"x", x.data(), x.size() * 4};
  const OutputView destinations[] = {{"scores", scores.data(), 12}, {"image", image.data(), 480}};
  const auto ran = session.run({&source, 1}, destinations);
  ASSERT_TRUE(ran.ok()) << ran.error().message;
  EXPECT_EQ(image, y[0]);
  EXPECT_EQ(scores, y[1]);
}

TEST_F(BundleTest, MoreThreadsThanProcessorsAreRefused) {
  for (const int threads : {-1, 1 << 20}) {
    const auto session = Session::open(path(), {.isa = {}, .threads = threads});
    ASSERT_FALSE(session.ok()) << threads;
    EXPECT_EQ(session.error().code, ErrorCode::usage);
    EXPECT_NE(session.error().message.find("processor"), std::string::npos);
  }
  Plan wide = plan_;
  wide.platform.threads = 1 << 20;
  EXPECT_EQ(Session::create(network_, wide, *weights_).error().code, ErrorCode::environment);
}

TEST_F(BundleTest, PlansThatCannotBeUsedGiveWayToTheFallback) {
  Plan useless = plan_;
  useless.layers[0].primitive = "magic";
  const fs::path file = folder_ / "useless.convopt";
  ASSERT_TRUE(write_bundle(file, {&network_, weights_.get(), {&useless, 1}, &plan_}).ok());
  const auto session = Session::open(file, {.isa = {}, .threads = 1});
  ASSERT_TRUE(session.ok()) << session.error().message;
  EXPECT_NE(session->note().find("the fall-back is used"), std::string::npos) << session->note();
  EXPECT_NE(session->note().find("'magic', which does not exist here"), std::string::npos);
  ASSERT_TRUE(write_bundle(file, {&network_, weights_.get(), {&useless, 1}, nullptr}).ok());
  EXPECT_EQ(Session::open(file).error().code, ErrorCode::environment);
  ASSERT_TRUE(write_bundle(file, {&network_, weights_.get(), {}, nullptr}).ok());
  EXPECT_EQ(Session::open(file).error().message,
            "the bundle has no plan for this processor, and no fall-back");
}

TEST_F(BundleTest, TakesAndGivesNhwc) {
  const Session session = open();
  const std::vector<float> x = input();
  const auto y = expected(x);
  std::vector<float> nhwc(x.size()), image(120);
  for (int c = 0; c < 3; ++c)
    for (int p = 0; p < 30; ++p) nhwc[p * 3 + c] = x[c * 30 + p];
  const InputView source{"x", nhwc.data(), 360, Layout::nhwc};
  const OutputView destination{"image", image.data(), 480, Layout::nhwc};
  const auto ran = session.run({&source, 1}, {&destination, 1});
  ASSERT_TRUE(ran.ok()) << ran.error().message;
  for (int c = 0; c < 4; ++c)
    for (int p = 0; p < 30; ++p) EXPECT_EQ(image[p * 4 + c], y[0][c * 30 + p]);
}

TEST_F(BundleTest, ComputesInNhwcWithoutAConversion) {
  const auto network = parse_network(R"({"schema": "convopt.network/1", "name": "turned",
      "source": "a test", "input": {"name": "x", "shape": [1, 3, 6, 5]},
      "operators": [{"name": "c", "op": "conv", "oc": 4, "kernel": 3, "padding": 1}]})",
                                     "turned.json");
  ASSERT_TRUE(network.ok()) << network.error().message;
  Plan plan = plain_plan(*network, plan_.platform);
  const auto registry = Registry::create({plan.platform.isa, plan.platform.threads});
  ASSERT_TRUE(registry.ok());
  const auto named = [&](const Workload& workload, Layout from, Layout to) {
    for (const Primitive* primitive : (*registry)->primitives()) {
      const PrimitiveInfo& info = primitive->info();
      if (info.computes(workload) && info.input_layout == from && info.output_layout == to &&
          primitive->applicability(workload, (*registry)->context())) {
        return info.name;
      }
    }
    return std::string();
  };
  PlanLayer& layer = plan.layers[0];
  layer.input_layout = layer.output_layout = Layout::nhwc;
  layer.primitive = named(network->operators[0].workload, Layout::nhwc, Layout::nhwc);
  for (const auto& [tensor, from, to] :
       {std::tuple("x", Layout::nchw, Layout::nhwc), std::tuple("c", Layout::nhwc, Layout::nchw)}) {
    const auto of = std::ranges::find(network->tensors, tensor, &Tensor::name);
    const Workload turning = Workload::pointwise(Op::convert, of->shape);
    plan.conversions.push_back({tensor, from, to, named(turning, from, to)});
  }
  const auto session = Session::create(*network, plan, *random_weights(*network, 7));
  ASSERT_TRUE(session.ok()) << session.error().message;

  const std::vector<float> x = input();
  std::vector<float> x_nhwc(x.size()), y(120), y_nhwc(120);
  for (int c = 0; c < 3; ++c)
    for (int p = 0; p < 30; ++p) x_nhwc[p * 3 + c] = x[c * 30 + p];
  std::vector<LayerTime> times;
  RunOptions options;
  options.layer_times = &times;
  const auto run = [&](const std::vector<float>& from, std::vector<float>& to, Layout layout) {
    const InputView source{"x", from.data(), 360, layout};
    const OutputView destination{"c", to.data(), 480, layout};
    const auto ran = session->run({&source, 1}, {&destination, 1}, options);
    ASSERT_TRUE(ran.ok()) << ran.error().message;
    ASSERT_EQ(times.size(), 3U);
    EXPECT_GT(times[1].ns, 0);
    for (const std::size_t conversion : {0U, 2U})
      EXPECT_EQ(times[conversion].ns > 0, layout == Layout::nchw) << times[conversion].name;
  };
  run(x, y, Layout::nchw);
  run(x_nhwc, y_nhwc, Layout::nhwc);
  for (int c = 0; c < 4; ++c)
    for (int p = 0; p < 30; ++p) EXPECT_EQ(y_nhwc[p * 4 + c], y[c * 30 + p]);
}

TEST_F(BundleTest, RefusesViewsWithASentence) {
  const Session session = open();
  const std::vector<float> x = input();
  std::vector<float> scores(3);
  const InputView good{"x", x.data(), 360};
  const OutputView out{"scores", scores.data(), 12};
  const auto message = [&](std::vector<InputView> in, std::vector<OutputView> to) {
    const auto ran = session.run(std::span<const InputView>(in), std::span<const OutputView>(to));
    return ran.ok() ? std::string("ran") : ran.error().message;
  };
  EXPECT_EQ(message({good}, {out}), "ran");
  EXPECT_EQ(message({}, {out}), "the input 'x' is not given");
  EXPECT_EQ(message({good, good}, {out}), "the input 'x' is given twice");
  EXPECT_EQ(message({{"y", x.data(), 360}}, {out}),
            "the input 'y' is not one of the network's, which are 'x'");
  EXPECT_EQ(message({{"x", nullptr, 360}}, {out}), "the input 'x' is given by a null pointer");
  EXPECT_EQ(message({{"x", x.data(), 359}}, {out}), "the input 'x' has 360 bytes, 359 are given");
  EXPECT_EQ(message({{"x", x.data(), 360, Layout::nChw8c}}, {out}),
            "the input 'x' can be given in nchw and nhwc only");
}

TEST_F(BundleTest, TimesLayers) {
  const Session session = open();
  const std::vector<float> x = input();
  std::vector<float> scores(3);
  const InputView source{"x", x.data(), 360};
  const OutputView destination{"scores", scores.data(), 12};
  std::vector<LayerTime> times;
  RunOptions options;
  options.layer_times = &times;
  ASSERT_TRUE(session.run({&source, 1}, {&destination, 1}, options).ok());
  ASSERT_EQ(times.size(), plan_.layers.size());
  for (std::size_t i = 0; i < times.size(); ++i) {
    EXPECT_EQ(times[i].name, plan_.layers[i].name);
    EXPECT_EQ(times[i].primitive, plan_.layers[i].primitive);
    EXPECT_GT(times[i].ns, 0);
  }
}

TEST_F(BundleTest, IsCancelledBetweenLayers) {
  const Session session = open();
  const std::vector<float> x = input();
  std::vector<float> scores(3);
  const InputView source{"x", x.data(), 360};
  const OutputView destination{"scores", scores.data(), 12};
  Cancellation cancellation;
  RunOptions options;
  options.cancellation = &cancellation;
  EXPECT_TRUE(session.run({&source, 1}, {&destination, 1}, options).ok());
  cancellation.cancel();
  const auto ran = session.run({&source, 1}, {&destination, 1}, options);
  ASSERT_FALSE(ran.ok());
  EXPECT_EQ(ran.error().code, ErrorCode::interrupted);
  EXPECT_EQ(ran.error().message, "the run was cancelled before the layer 'c1'");
  cancellation.reset();
  EXPECT_TRUE(session.run({&source, 1}, {&destination, 1}, options).ok());
}

TEST_F(BundleTest, SeveralThreadsRunOneSession) {
  const Session session = open();
  const std::size_t alone = session.memory().tensors;
  constexpr int kThreads = 4;
  std::vector<std::string> failures(kThreads);
  std::vector<std::thread> threads;
  std::atomic<int> waiting = 0;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      std::vector<float> x = input();
      for (float& value : x) value += static_cast<float>(t);
      const auto y = expected(x);
      ++waiting;
      while (waiting < kThreads) std::this_thread::yield();
      std::vector<float> image(120), scores(3);
      for (int i = 0; i < 200; ++i) {
        std::ranges::fill(image, -1.0F);
        const InputView source{"x", x.data(), 360};
        const OutputView destinations[] = {{"image", image.data(), 480},
                                           {"scores", scores.data(), 12}};
        const auto ran = session.run({&source, 1}, destinations);
        if (!ran.ok()) failures[t] = ran.error().message;
        if (image != y[0] || scores != y[1]) failures[t] = "differs";
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (const std::string& failure : failures) EXPECT_EQ(failure, "");
  EXPECT_LE(session.memory().tensors, kThreads * alone);
}

TEST(SessionTest, AllocatesNothingWhenItRunsAgain) {
  // Convolutions by own kernels: those of libraries may allocate.
  const auto network = parse_network(R"({"schema": "convopt.network/1", "name": "test",
    "input": {"name": "x", "shape": [1, 3, 6, 5]},
    "operators": [{"name": "c1", "op": "conv", "oc": 4, "kernel": 3, "padding": 1},
                  {"name": "c2", "op": "conv", "oc": 4, "kernel": 1}]})",
                                     "test.json");
  ASSERT_TRUE(network.ok()) << network.error().message;
  Platform platform;
  platform.isa = default_isa();
  const Plan plan = plain_plan(*network, platform);
  auto session = Session::create(*network, plan, *random_weights(*network, 1));
  ASSERT_TRUE(session.ok()) << session.error().message;
  const std::vector<float> x(90, 1.0F);
  std::vector<float> y(120);
  std::vector<LayerTime> times;
  Cancellation cancellation;
  RunOptions options;
  options.layer_times = &times;
  options.cancellation = &cancellation;
  const float* const source = x.data();
  float* const destination = y.data();
  const InputView nhwc{"x", x.data(), 360, Layout::nhwc};
  const OutputView wanted{"c2", y.data(), 480, Layout::nhwc};
  long before = 0;
  for (int i = 0; i < 3; ++i) {
    if (i == 1) before = testing::allocation_count();
    EXPECT_TRUE(session->run({&source, 1}, {&destination, 1}, options).ok());
    EXPECT_TRUE(session->run({&nhwc, 1}, {&wanted, 1}).ok());
  }
  EXPECT_EQ(testing::allocation_count() - before, 0);
}

TEST_F(BundleTest, RunsWaitWhereMemoryIsLimited) {
  const Session free = open();
  SessionOptions options;
  options.max_memory = free.memory().total();
  auto session = Session::open(path(), {.isa = {}, .threads = 1}, options);
  ASSERT_TRUE(session.ok()) << session.error().message;
  const auto y = expected(input());
  std::vector<std::thread> threads;
  std::atomic<int> right = 0;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      const std::vector<float> x = input();
      std::vector<float> image(120);
      for (int i = 0; i < 50; ++i) {
        const InputView source{"x", x.data(), 360};
        const OutputView destination{"image", image.data(), 480};
        if (session->run({&source, 1}, {&destination, 1}).ok() && image == y[0]) ++right;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(right, 200);
  EXPECT_EQ(session->memory().total(), options.max_memory);
  options.max_memory -= 1;
  EXPECT_FALSE(Session::open(path(), {.isa = {}, .threads = 1}, options).ok());
}

TEST(RestTest, TheRuntimeAloneRefusesWhatIsPlannedWhileItRuns) {
  class Rest final : public NetworkRest {
   public:
    Result<Step> next(const std::vector<Array>&) const override { return Step{}; }
    const std::vector<DeclaredTensor>& outputs() const override { return none_; }

   private:
    std::vector<DeclaredTensor> none_;
  };
  auto network = parse_network(kNetwork, "test.json");
  ASSERT_TRUE(network.ok());
  Platform platform;
  platform.isa = default_isa();
  const Plan plan = plain_plan(*network, platform);
  network->rest = std::make_shared<Rest>();
  const auto weights = random_weights(*network, 1);
  const auto session = Session::create(*network, plan, *weights);
  ASSERT_FALSE(session.ok());
  EXPECT_NE(session.error().message.find("convopt::convopt"), std::string::npos);
  const auto written = write_bundle("/tmp/none.convopt", {&*network, weights.get(), {}, nullptr});
  ASSERT_FALSE(written.ok());
  EXPECT_NE(written.error().message.find("cannot be bundled"), std::string::npos);
}

TEST_F(BundleTest, TheHeaderInCDoesTheSame) {
  convopt_session* session = nullptr;
  EXPECT_EQ(convopt_open("/no/such/file", 1, &session), CONVOPT_BAD_INPUT);
  EXPECT_EQ(session, nullptr);
  EXPECT_NE(std::string(convopt_last_error()).find("/no/such/file"), std::string::npos);
  EXPECT_EQ(convopt_open(nullptr, 1, &session), CONVOPT_USAGE);
  EXPECT_EQ(convopt_open(path().c_str(), -1, &session), CONVOPT_USAGE);
  ASSERT_EQ(convopt_open(path().c_str(), 1, &session), CONVOPT_OK) << convopt_last_error();
  EXPECT_NE(std::string(convopt_note(session)), "");
  ASSERT_EQ(convopt_input_count(session), 1U);
  ASSERT_EQ(convopt_output_count(session), 2U);
  convopt_tensor tensor;
  ASSERT_EQ(convopt_input(session, 0, &tensor), CONVOPT_OK);
  EXPECT_EQ(std::string(tensor.name), "x");
  EXPECT_EQ(tensor.type, CONVOPT_F32);
  EXPECT_EQ(tensor.rank, 4);
  EXPECT_EQ(tensor.sizes[3], 5);
  EXPECT_EQ(tensor.bytes, 360U);
  EXPECT_EQ(convopt_output(session, 2, &tensor), CONVOPT_USAGE);
  EXPECT_EQ(std::string(convopt_last_error()), "there is no output 2: the network has 2 outputs");

  std::vector<float> x = input();
  const auto y = expected(x);
  std::vector<float> scores(3);
  convopt_buffer source{"x", x.data(), 360, CONVOPT_NCHW};
  const convopt_buffer destination{"scores", scores.data(), 12, CONVOPT_NCHW};
  ASSERT_EQ(convopt_run(session, &source, 1, &destination, 1), CONVOPT_OK) << convopt_last_error();
  EXPECT_EQ(scores, y[1]);
  std::vector<convopt_layer_time> times(2);
  std::size_t count = times.size();
  ASSERT_EQ(convopt_run_with(session, &source, 1, &destination, 1, nullptr, times.data(), &count),
            CONVOPT_OK);
  EXPECT_EQ(count, plan_.layers.size());
  EXPECT_EQ(std::string(times[0].name), "c1");
  convopt_cancellation* cancellation = convopt_cancellation_new();
  convopt_cancel(cancellation);
  EXPECT_EQ(convopt_run_with(session, &source, 1, &destination, 1, cancellation, nullptr, nullptr),
            CONVOPT_CANCELLED);
  convopt_cancellation_reset(cancellation);
  EXPECT_EQ(convopt_run_with(session, &source, 1, &destination, 1, cancellation, nullptr, nullptr),
            CONVOPT_OK);
  convopt_cancellation_free(cancellation);
  source.bytes = 4;
  EXPECT_EQ(convopt_run(session, &source, 1, &destination, 1), CONVOPT_USAGE);
  EXPECT_EQ(convopt_run(session, nullptr, 1, &destination, 1), CONVOPT_USAGE);
  EXPECT_EQ(convopt_run(nullptr, &source, 1, &destination, 1), CONVOPT_USAGE);
  convopt_close(session);
  convopt_close(nullptr);
  EXPECT_EQ(std::string(convopt_version()).find_first_not_of("0123456789."), std::string::npos);
}

}  // namespace
}  // namespace convopt
