// The bundle file, docs/reference/bundle-format.md.
#include "convopt/bundle.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <fstream>
#include <limits>
#include <tuple>
#include <utility>

#include "convopt/version.hpp"
#include "core/checksum.h"
#include "core/files.h"
#include "core/json_reader.h"
#include "core/machine.h"
#include "core/parallel.h"
#include "core/text.h"
#include "core/try.h"
#include "src/runtime/plan_network.h"
#include "src/session/guard.h"
#include "src/session/network_form.h"

namespace convopt {
namespace {

// A first byte that no text has, and ends of lines that a transfer as text would change.
constexpr std::string_view kMagic(
    "\x89"
    "CVB\r\n\x1A\n",
    8);
constexpr std::uint32_t kVersion = 1;
constexpr std::string_view kSchema = "convopt.bundle/1";
/// Of every array within the weights, and of these within the file.
constexpr std::size_t kAlignment = 64, kPage = 4096;

struct Header {
  std::array<char, 8> magic{};
  std::uint32_t version = kVersion;
  std::uint32_t header_bytes = 64;
  std::uint64_t file_bytes = 0;
  std::uint64_t directory_bytes = 0;
  std::uint64_t weights_offset = 0;
  std::uint64_t weights_checksum = 0;
  std::uint64_t reserved = 0;
  std::uint64_t checksum = 0;  ///< of the header before it and all between header and weights
};
static_assert(sizeof(Header) == 64 && offsetof(Header, checksum) == 56);

std::size_t rounded_up(std::size_t bytes, std::size_t to) { return (bytes + to - 1) / to * to; }

std::uint64_t checksum_before_weights(std::string_view file, std::size_t weights_offset) {
  const std::array<std::uint64_t, 2> both = {
      checksum64(file.substr(0, offsetof(Header, checksum))),
      checksum64(file.substr(sizeof(Header), weights_offset - sizeof(Header)))};
  return checksum64({reinterpret_cast<const char*>(both.data()), sizeof(both)});
}

/// By parts, so that several processors share a large file.
std::uint64_t checksum_of_weights(std::string_view weights) {
  constexpr std::size_t kPart = std::size_t{1} << 20;
  std::vector<std::uint64_t> parts((weights.size() + kPart - 1) / kPart);
  in_parallel(parts.size(),
              [&](std::size_t i) { parts[i] = checksum64(weights.substr(i * kPart, kPart)); });
  return checksum64({reinterpret_cast<const char*>(parts.data()), parts.size() * 8});
}

/// Says what is wrong with a file whose header is not sound; empty if nothing is.
std::string refusal(const Header& header, std::string_view file) {
  if (std::string_view(header.magic.data(), header.magic.size()) != kMagic)
    return "is no bundle of convopt";
  if (header.version > kVersion) {
    return "is a bundle of version " + std::to_string(header.version) +
           ", this convopt reads version " + std::to_string(kVersion);
  }
  if (header.file_bytes != file.size()) {
    return "is damaged: it has " + std::to_string(file.size()) + " bytes instead of " +
           std::to_string(header.file_bytes);
  }
  if (header.version != kVersion || header.header_bytes != sizeof(Header) ||
      header.weights_offset % kPage != 0 || header.weights_offset > file.size() ||
      header.weights_offset < sizeof(Header) ||
      header.directory_bytes > header.weights_offset - sizeof(Header)) {
    return "is damaged: its header contradicts itself";
  }
  if (checksum_before_weights(file, header.weights_offset) != header.checksum ||
      checksum_of_weights(file.substr(header.weights_offset)) != header.weights_checksum) {
    return "is damaged: its checksum is wrong";
  }
  return {};
}

/// The weights of a bundle that is being written, and where they come to lie.
struct Placement {
  std::vector<std::array<StoredRange, 2>> ranges;  ///< per operator: weights, bias
  std::size_t bytes = 0;

  StoredRange place(std::size_t count) {
    const StoredRange range{bytes, count};
    bytes = rounded_up(bytes + count * sizeof(float), kAlignment);
    return range;
  }
};

bool has_numbers(const Operator& op) {
  return op.kind == OperatorKind::constant ||
         (op.kind == OperatorKind::compute && op.workload.has_weights());
}

std::string directory_text(const BundleParts& parts, const Placement& placement) {
  Json plans = Json::array();
  for (const Plan& plan : parts.plans) plans.push_back(to_json(plan));
  const Json directory = {
      {"schema", kSchema},
      {"convopt", version()},
      {"network",
       network_form(*parts.network,
                    [&](std::size_t op, bool bias) { return placement.ranges[op][bias ? 1 : 0]; })},
      {"plans", std::move(plans)},
      {"fallback", parts.fallback != nullptr ? Json(to_json(*parts.fallback)) : Json(nullptr)}};
  return directory.dump(-1, ' ', false, Json::error_handler_t::replace);
}

Result<void> check_parts(const BundleParts& parts) {
  const Network& network = *parts.network;
  if (network.rest != nullptr) {
    return make_error(
        ErrorCode::bad_input,
        "the shapes of the model's outputs are data-dependent, so that it is planned while "
        "it runs: it cannot be bundled");
  }
  for (const Operator& op : network.operators) {
    if (op.kind != OperatorKind::opaque) continue;
    return make_error(ErrorCode::bad_input, "operator " + in_quotes(op.name) + " of type " +
                                                in_quotes(op.type) +
                                                " is not known, so the network cannot be executed");
  }
  for (const Plan& plan : parts.plans) CONVOPT_CHECK(check_network(plan, network));
  if (parts.fallback != nullptr) CONVOPT_CHECK(check_network(*parts.fallback, network));
  return {};
}

double log_ratio(std::int64_t a, std::int64_t b) {
  if (a <= 0 || b <= 0) return 0;  // not known
  return std::abs(std::log(static_cast<double>(a) / static_cast<double>(b)));
}

}  // namespace

struct Bundle::State {
  std::shared_ptr<const void> owner;
  Network network;
  std::vector<Plan> plans;
  std::optional<Plan> fallback;
};

Bundle::Bundle(std::shared_ptr<const State> state) : state_(std::move(state)) {}
const Network& Bundle::network() const { return state_->network; }
std::span<const Plan> Bundle::plans() const { return state_->plans; }
const Plan* Bundle::fallback() const { return state_->fallback ? &*state_->fallback : nullptr; }

bool Bundle::is_bundle(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  std::array<char, kMagic.size()> start{};
  file.read(start.data(), start.size());
  return file.gcount() == std::ssize(start) &&
         std::string_view(start.data(), start.size()) == kMagic;
}

Result<Bundle> Bundle::open(const std::filesystem::path& path) {
  return guarded([&]() -> Result<Bundle> {
    CONVOPT_TRY(const auto file, MappedFile::open(path));
    return read(std::as_bytes(std::span(file->bytes())), file, path.string());
  });
}

Result<Bundle> Bundle::read(std::span<const std::byte> bytes, std::shared_ptr<const void> owner,
                            const std::string& name) {
  return guarded([&]() -> Result<Bundle> {
    static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the file is little-endian");
    const std::string_view file(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    const auto refused = [&](const std::string& why) {
      return make_error(ErrorCode::bad_input, name + " " + why);
    };
    Header header;
    std::memcpy(&header, file.data(), std::min(file.size(), sizeof(header)));
    if (file.size() < sizeof(Header) && file.starts_with(kMagic))
      return refused("is damaged: it ends within its header");
    if (const std::string why = refusal(header, file); !why.empty()) return refused(why);

    const std::string what = name + ": the bundle's directory";
    CONVOPT_TRY(const Json directory,
                parse_json(file.substr(sizeof(Header), header.directory_bytes), what));
    JsonReader reader(directory, what);
    std::string schema;
    reader.text("schema", schema, true);
    const Json* const form = reader.find("network", true);
    const Json* const plans = reader.find("plans", true);
    if (!reader.ok()) return reader.error();
    if (schema != kSchema || !plans->is_array()) {
      return refused("is no bundle that this convopt reads: its directory is not of schema " +
                     std::string(kSchema));
    }
    auto state = std::make_shared<State>();
    state->owner = owner;
    const std::string_view weights = file.substr(header.weights_offset);
    const auto numbers = [&](const StoredRange& range) -> Result<FloatArray> {
      if (range.offset % kAlignment != 0 || range.offset > weights.size() ||
          range.count > (weights.size() - range.offset) / sizeof(float)) {
        return refused("is damaged: weights lie outside of it");
      }
      const auto* first = reinterpret_cast<const float*>(weights.data() + range.offset);
      return FloatArray(owner, {first, range.count});
    };
    CONVOPT_TRY(state->network, network_of_form(*form, name + ": the network", numbers));
    const auto read_plan = [&](const Json& json, const std::string& where) -> Result<Plan> {
      if (!json.is_string()) return refused("is damaged: " + where + " is no text");
      CONVOPT_TRY(Plan plan, parse_plan(json.get_ref<const std::string&>(), name + ": " + where));
      CONVOPT_CHECK(check_network(plan, state->network));
      return plan;
    };
    for (const Json& json : *plans) {
      CONVOPT_TRY(Plan plan, read_plan(json, "plan " + std::to_string(state->plans.size() + 1)));
      state->plans.push_back(std::move(plan));
    }
    const Json* const fallback = reader.find("fallback", false);
    if (fallback != nullptr && !fallback->is_null()) {
      CONVOPT_TRY(state->fallback, read_plan(*fallback, "the fall-back"));
    }
    return Bundle(std::move(state));
  });
}

std::vector<PlanChoice> Bundle::choices(const PlanRequest& request) const {
  const Platform here{machine_facts(), request.isa.value_or(default_isa()), default_threads()};
  return choices_on(here, request, state_->plans, fallback());
}

std::vector<PlanChoice> choices_on(const Platform& here, const PlanRequest& request,
                                   std::span<const Plan> plans, const Plan* fallback) {
  const int most = std::max(1, here.threads);
  const auto threads_of = [&](int planned) {
    return request.threads > 0 ? request.threads : std::clamp(planned, 1, most);
  };
  const std::string machine = here.machine_id();
  struct Candidate {
    const Plan* plan;
    bool exact;
    /// Levels below the wanted one, another machine, another vendor, threads, caches.
    std::tuple<int, bool, bool, double, double> distance;
  };
  std::vector<Candidate> candidates;
  for (const Plan& plan : plans) {
    const Platform& its = plan.platform;
    const bool is_arm = here.isa == Isa::neon;
    if (its.isa > here.isa || (its.isa == Isa::neon) != is_arm) continue;
    const int levels = static_cast<int>(here.isa) - static_cast<int>(its.isa);
    const bool same_machine = its.machine_id() == machine;
    const int threads = threads_of(its.threads);
    // Of plans for this machine the one for most of its processors.
    const int wanted = request.threads > 0 ? request.threads : most;
    const Machine &a = its.machine, &b = here.machine;
    candidates.push_back(
        {&plan,
         levels == 0 && same_machine && threads == its.threads,
         {levels, !same_machine, a.vendor != b.vendor, log_ratio(its.threads, wanted),
          log_ratio(a.l2_bytes, b.l2_bytes) + log_ratio(a.l3_bytes, b.l3_bytes) +
              log_ratio(a.l1d_bytes, b.l1d_bytes)}});
  }
  std::ranges::stable_sort(candidates, {}, [](const Candidate& candidate) {
    return std::pair(!candidate.exact, candidate.distance);
  });

  std::vector<PlanChoice> choices;
  const auto platform_text = [&](int threads) {
    return Platform{here.machine, here.isa, threads}.id();
  };
  for (const Candidate& candidate : candidates) {
    PlanChoice choice{*candidate.plan, {}};
    choice.plan.platform.threads = threads_of(candidate.plan->platform.threads);
    if (!candidate.exact) {
      choice.note = "there is no plan for " + platform_text(choice.plan.platform.threads) +
                    ": that for " + candidate.plan->platform.id() + " is used";
    }
    choices.push_back(std::move(choice));
  }
  if (fallback != nullptr) {
    PlanChoice choice{*fallback, {}};
    choice.plan.platform.machine = here.machine;
    choice.plan.platform.isa = here.isa;
    choice.plan.platform.threads = request.threads > 0 ? request.threads : most;
    choice.note = "there is no plan for " + platform_text(choice.plan.platform.threads) +
                  ": the fall-back is used, which runs everywhere and is slower";
    choices.push_back(std::move(choice));
  }
  return choices;
}

Result<void> write_bundle(const std::filesystem::path& path, const BundleParts& parts) {
  return guarded([&]() -> Result<void> {
    CONVOPT_CHECK(check_parts(parts));
    const Network& network = *parts.network;
    Placement placement;
    placement.ranges.resize(network.operators.size());
    std::vector<Weights> weights(network.operators.size());
    for (std::size_t i = 0; i < network.operators.size(); ++i) {
      if (!has_numbers(network.operators[i])) continue;
      CONVOPT_TRY(weights[i], parts.weights->weights(network.operators[i]));
      placement.ranges[i] = {placement.place(weights[i].weights.values().size()),
                             placement.place(weights[i].bias.values().size())};
    }
    const std::string directory = directory_text(parts, placement);
    Header header;
    std::ranges::copy(kMagic, header.magic.begin());
    header.directory_bytes = directory.size();
    header.weights_offset = rounded_up(sizeof(Header) + directory.size(), kPage);
    header.file_bytes = header.weights_offset + placement.bytes;

    std::string file(header.file_bytes, '\0');
    directory.copy(file.data() + sizeof(Header), directory.size());
    for (std::size_t i = 0; i < weights.size(); ++i) {
      const auto put = [&](const StoredRange& range, std::span<const float> values) {
        if (!values.empty())
          std::memcpy(file.data() + header.weights_offset + range.offset, values.data(),
                      values.size_bytes());
      };
      put(placement.ranges[i][0], weights[i].weights.values());
      put(placement.ranges[i][1], weights[i].bias.values());
      weights[i] = {};
    }
    header.weights_checksum =
        checksum_of_weights(std::string_view(file).substr(header.weights_offset));
    std::memcpy(file.data(), &header, sizeof(Header));
    header.checksum = checksum_before_weights(file, header.weights_offset);
    std::memcpy(file.data(), &header, sizeof(Header));

    // What cannot be read again must not be handed out.
    auto again = Bundle::read(std::as_bytes(std::span(file)), nullptr, path.string());
    if (!again) return make_error(again.error().code, "the bundle: " + again.error().message);
    if (again->network().hash() != network.hash())
      return make_error(ErrorCode::internal, "the bundle holds another network than was given");
    return write_file_atomically(path, file);
  });
}

}  // namespace convopt
