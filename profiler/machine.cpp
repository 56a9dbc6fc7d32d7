#include "profiler/machine.h"

#include <elf.h>
#include <link.h>
#include <omp.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstring>
#include <ctime>
#include <limits>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

#include "core/files.h"
#include "core/json.h"
#include "core/statistics.h"
#include "profiler/buffer.h"
#include "profiler/microbench.h"
#include "profiler/product_loops.h"
#include "profiler/timer.h"

namespace convopt {
namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;

/// Processor seconds of this thread. Not wall-clock time: a time slice that another process took
/// says nothing about the machine.
double thread_seconds() {
  timespec now{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

/// Seconds that each thread needs for `body(thread)`, all at work together.
template <class Body>
std::vector<double> timed_in_parallel(int threads, const Body& body) {
  std::vector<double> seconds(static_cast<std::size_t>(threads));
#pragma omp parallel num_threads(threads)
  {
    const int thread = omp_get_thread_num();
#pragma omp barrier
    const double begin = thread_seconds();
    body(thread);
    seconds[static_cast<std::size_t>(thread)] = thread_seconds() - begin;
  }
  return seconds;
}

// Seventeen samples of ten milliseconds for each of five figures: long enough to see the steady
// clock, short enough for a second in all. A busy machine gets fewer, not more time.
constexpr double kSampleSeconds = 0.010;
constexpr int kSamples = 17, kFewestReadings = 5;
constexpr std::chrono::milliseconds kPatience{250};

/// Median over samples of what all threads do per second; `pass(thread, count)` does `count` passes
/// of `amount` each.
template <class Pass>
double median_rate(int threads, double amount, const Pass& pass) {
  // The first calls wake the threads, fault the memory in and raise the clock.
  std::int64_t passes = 1;
  double seconds = 0;
  for (;;) {
    const auto times = timed_in_parallel(threads, [&](int thread) { pass(thread, passes); });
    seconds = *std::ranges::min_element(times);
    if (seconds > kSampleSeconds / 4) break;
    passes *= 2;
  }
  passes = std::max<std::int64_t>(
      1, static_cast<std::int64_t>(static_cast<double>(passes) * kSampleSeconds / seconds));
  std::vector<double> rates;
  const auto begin = Clock::now();
  for (int sample = 0; sample < kSamples; ++sample) {
    if (sample >= kFewestReadings && Clock::now() - begin > kPatience) break;
    double rate = 0;
    for (const double time :
         timed_in_parallel(threads, [&](int thread) { pass(thread, passes); })) {
      rate += amount * static_cast<double>(passes) / time;
    }
    rates.push_back(rate);
  }
  return median(rates);
}

/// Bytes per second that all threads read, each from `bytes` of its own.
double read_rate(const Microbench& bench, int threads, std::int64_t bytes) {
  const std::size_t count =
      std::max<std::size_t>(1, static_cast<std::size_t>(bytes) / sizeof(float) / kReadStep) *
      kReadStep;
  std::vector<Buffer> buffers(static_cast<std::size_t>(threads));
  // Each thread touches its own first: the pages lie where the thread runs.
  timed_in_parallel(threads,
                    [&](int thread) { buffers[static_cast<std::size_t>(thread)] = Buffer(count); });
  return median_rate(threads, static_cast<double>(count * sizeof(float)),
                     [&](int thread, std::int64_t passes) {
                       const Buffer& buffer = buffers[static_cast<std::size_t>(thread)];
                       [[maybe_unused]] volatile float sink = 0;
                       for (; passes > 0; --passes) sink = bench.read(buffer.data(), count);
                     });
}

constexpr double kGiga = 1e9;

// Of each thread, under CONVOPT_TEST_CLOCK.
constexpr double kSimulatedGflops = 100, kSimulatedGbps = 10;

/// Types of shorter numbers, and where their peaks are kept.
struct TypedPeak {
  DataType type;
  double Machine::*peak;
};
constexpr std::array kTypedPeaks = {TypedPeak{DataType::bf16, &Machine::peak_bf16_gflops},
                                    TypedPeak{DataType::s8, &Machine::peak_int8_gops}};

bool is_missing(const Platform& platform, const TypedPeak& of) {
  return !(platform.machine.*of.peak > 0) && !product_loops(of.type, platform.isa).empty();
}

/// Spins until `is_met()`; where the threads share a processor, the other one gets its turn, but so
/// late, after some 10 us, that this cannot be taken for the time of a cache line.
template <class Condition>
void wait_until(const Condition& is_met) {
  constexpr int kSpins = 20000;
  for (int spins = 0; !is_met(); ++spins) {
    if (spins > kSpins) std::this_thread::yield();
  }
}

// Between the sockets of one machine a cache line takes below 1 us. 1.6 ms were measured beside a
// build on all cores.
constexpr double kLongestRoundTripNs = 2000;

/// Whether it is the time of a cache line, not that of a thread which waits for a processor.
bool is_round_trip(double ns) { return ns > 0 && ns < kLongestRoundTripNs; }

/// The first thread and `partner` answer each other by a number on a cache line, odd and even in
/// turn; the fastest few rounds in a row count, since a thread that lost its processor spoils those
/// around. Called by all threads of a team together.
void exchange(int partner, std::atomic<int>& number, double& fastest_ns) {
  constexpr int kTries = 5, kRounds = 500, kInARow = 20, kOver = -1;
  constexpr std::chrono::milliseconds kLongest{5};
  const auto read = [&] { return number.load(std::memory_order_acquire); };
  const auto write = [&](int value) { number.store(value, std::memory_order_release); };
  const int thread = omp_get_thread_num();
  for (int attempt = 0; attempt < kTries; ++attempt) {
    if (thread == 0) write(0);
#pragma omp barrier
    if (thread == 0) {
      const auto begin = Clock::now();
      auto last = begin;
      for (int rounds = 0; rounds < kRounds && last - begin < kLongest;) {
        write(2 * rounds + 1);
        ++rounds;
        wait_until([&] { return read() == 2 * rounds; });
        if (rounds % kInARow > 0) continue;
        const auto now = Clock::now();
        const std::chrono::duration<double, std::nano> took = now - last;
        fastest_ns = std::min(fastest_ns, took.count() / kInARow);
        last = now;
      }
      write(kOver);
    } else if (thread == partner) {
      for (int seen = 0; seen != kOver;) {
        wait_until([&] { return (seen = read()) == kOver || seen % 2 == 1; });
        if (seen != kOver) write(seen + 1);
      }
    }
#pragma omp barrier
  }
}

void measure(Machine& machine, Isa isa, int threads) {
  const Microbench bench = microbench(isa);
  machine.core_round_trip_ns = measured_core_round_trip_ns(threads);
  machine.peak_gflops = measured_peak_gflops(DataType::f32, isa, threads);
  for (const auto& [type, peak] : kTypedPeaks) {
    machine.*peak = measured_peak_gflops(type, isa, threads);
  }
  if (times_are_simulated()) {
    machine.memory_gbps = kSimulatedGbps * threads;
    machine.l3_gbps = 4 * machine.memory_gbps;
    machine.l2_gbps = 8 * machine.memory_gbps;
    machine.l1_gbps = 16 * machine.memory_gbps;
    return;
  }
  // Half of each cache: the other half is for other data. Of L3 the part of one thread,
  // but more than its L2 holds.
  if (machine.l1d_bytes > 0) {
    machine.l1_gbps = read_rate(bench, threads, machine.l1d_bytes / 2) / kGiga;
  }
  if (machine.l2_bytes > 0) {
    machine.l2_gbps = read_rate(bench, threads, machine.l2_bytes / 2) / kGiga;
  }
  if (machine.l3_bytes > 0) {
    const auto part = std::max(machine.l3_bytes / 2 / threads, 2 * machine.l2_bytes);
    machine.l3_gbps = read_rate(bench, threads, part) / kGiga;
  }
  // Four times the last cache, at least 128 MiB, at most 1 GiB, for all threads together.
  const std::int64_t last_cache = std::max(machine.l2_bytes, machine.l3_bytes);
  const std::int64_t beyond = std::clamp<std::int64_t>(4 * last_cache, 128LL << 20U, 1LL << 30U);
  machine.memory_gbps = read_rate(bench, threads, beyond / threads) / kGiga;
}

/// What was measured is valid for the processor, not for the kernel or governor of that day, but a
/// virtual machine may have moved to other caches.
bool same_processor(const Machine& a, const Machine& b) {
  const auto facts = [](const Machine& m) {
    return std::tie(m.vendor, m.name, m.family, m.model, m.stepping, m.physical_cores,
                    m.logical_cores, m.l1d_bytes, m.l2_bytes, m.l3_bytes);
  };
  return facts(a) == facts(b);
}

}  // namespace

fs::path stored_platform_path(const Platform& platform) {
  return local_data_dir() /
         ("machine-" + platform.machine_id() + "-" + std::string(to_string(platform.isa)) + "-t" +
          std::to_string(platform.threads) + ".json");
}

double measured_core_round_trip_ns(int threads) {
  constexpr double kSimulatedNs = 100;
  if (threads < 2) return 0;
  if (times_are_simulated()) return kSimulatedNs;
  constexpr std::size_t kLine = 64;
  alignas(2 * kLine) std::atomic<int> number = 0;
  double farthest_ns = 0, fastest_ns = 0;
#pragma omp parallel num_threads(threads)
  for (int partner = 1; partner < omp_get_num_threads(); ++partner) {
#pragma omp barrier
#pragma omp master
    fastest_ns = std::numeric_limits<double>::infinity();
    exchange(partner, number, fastest_ns);
#pragma omp barrier
#pragma omp master
    farthest_ns = std::max(farthest_ns, fastest_ns);
  }
  return is_round_trip(farthest_ns) ? farthest_ns : 0;
}

double measured_peak_gflops(DataType type, Isa isa, int threads) {
  constexpr std::int64_t kIterations = 1000;
  if (type == DataType::f32) {
    if (times_are_simulated()) return kSimulatedGflops * threads;
    const Microbench bench = microbench(isa);
    return median_rate(threads, bench.flops_per_iteration * kIterations,
                       [&](int, std::int64_t passes) {
                         [[maybe_unused]] volatile float sink = 0;
                         sink = bench.multiply_add(passes * kIterations);
                       }) /
           kGiga;
  }
  double peak = 0;
  for (const ProductLoop& loop : product_loops(type, isa)) {
    if (times_are_simulated()) {
      return kSimulatedGflops * threads * sizeof(float) / static_cast<double>(element_bytes(type));
    }
    const double rate =
        median_rate(threads, loop.operations_per_iteration * kIterations,
                    [&](int, std::int64_t passes) { loop.run(passes * kIterations); });
    peak = std::max(peak, rate / kGiga);
  }
  return peak;
}

Result<Platform> describe_machine(Isa isa, int threads) {
  const std::vector<Isa> supported = supported_isas();
  if (std::ranges::find(supported, isa) == supported.end()) {
    return make_error(ErrorCode::environment, "this processor cannot run the instruction set " +
                                                  std::string(to_string(isa)));
  }
  if (threads < 1) return make_error(ErrorCode::usage, "the number of threads must be at least 1");
  Platform platform{machine_facts(), isa, threads};
  measure(platform.machine, isa, threads);
  return platform;
}

std::optional<Platform> stored_platform(Isa isa, int threads) {
  const Platform here{machine_facts(), isa, threads};
  const fs::path path = stored_platform_path(here);
  const auto text = read_file(path);
  if (!text) return std::nullopt;
  const auto json = parse_json(*text, path.string());
  if (!json) return std::nullopt;
  auto known = platform_from_json(*json);
  if (!known || known->isa != isa || known->threads != threads ||
      !(known->machine.peak_gflops > 0) || !same_processor(known->machine, here.machine)) {
    return std::nullopt;
  }
  known->machine.governor = here.machine.governor;
  known->machine.kernel = here.machine.kernel;
  // Earlier versions stored what threads waited for a processor.
  if (!is_round_trip(known->machine.core_round_trip_ns)) known->machine.core_round_trip_ns = 0;
  return std::move(*known);
}

bool is_complete(const Platform& stored) {
  if (stored.threads > 1 && !(stored.machine.core_round_trip_ns > 0)) return false;
  return std::ranges::none_of(kTypedPeaks,
                              [&](const TypedPeak& of) { return is_missing(stored, of); });
}

Result<Platform> cached_platform(Isa isa, int threads, const Messages& messages) {
  auto known = stored_platform(isa, threads);
  if (known && is_complete(*known)) return std::move(*known);
  auto platform = known ? Result<Platform>(*known) : describe_machine(isa, threads);
  for (const TypedPeak& of : kTypedPeaks) {
    if (platform && is_missing(*platform, of)) {
      platform->machine.*of.peak = measured_peak_gflops(of.type, isa, threads);
    }
  }
  if (platform && !(platform->machine.core_round_trip_ns > 0)) {
    platform->machine.core_round_trip_ns = measured_core_round_trip_ns(threads);
  }
  if (platform) {
    // A failed write costs a second next time, nothing else.
    const auto stored =
        write_file_atomically(stored_platform_path(*platform), to_json(*platform).dump(2) + "\n");
    if (!stored) {
      messages.warn_of(
          "this machine's peak and bandwidths are not stored, so they are measured "
          "again next time: " +
          stored.error().message);
    }
  }
  return platform;
}

std::string loaded_build_id(std::string_view prefix) {
  struct Search {
    std::string_view prefix;
    std::string found;
  } search{prefix, {}};
  dl_iterate_phdr(
      [](dl_phdr_info* info, std::size_t, void* data) {
        auto& wanted = *static_cast<Search*>(data);
        const std::string_view path = info->dlpi_name;
        if (!path.substr(path.rfind('/') + 1).starts_with(wanted.prefix)) return 0;
        for (int i = 0; i < info->dlpi_phnum; ++i) {
          const auto& segment = info->dlpi_phdr[i];
          if (segment.p_type != PT_NOTE) continue;
          const auto* note = reinterpret_cast<const char*>(info->dlpi_addr + segment.p_vaddr);
          const char* const end = note + segment.p_memsz;
          while (note + sizeof(ElfW(Nhdr)) <= end) {
            ElfW(Nhdr) header;
            std::memcpy(&header, note, sizeof(header));
            const auto padded = [](std::size_t size) { return (size + 3) / 4 * 4; };
            const char* const name = note + sizeof(header);
            const char* const value = name + padded(header.n_namesz);
            if (header.n_type == NT_GNU_BUILD_ID && header.n_namesz == 4 &&
                std::memcmp(name, "GNU", 4) == 0) {
              constexpr char kDigits[] = "0123456789abcdef";
              constexpr std::size_t kShown = 4;
              for (std::size_t k = 0; k < std::min<std::size_t>(kShown, header.n_descsz); ++k) {
                const auto byte = static_cast<unsigned char>(value[k]);
                wanted.found += kDigits[byte / 16];
                wanted.found += kDigits[byte % 16];
              }
              return 1;
            }
            note = value + padded(header.n_descsz);
          }
        }
        return 0;
      },
      &search);
  return search.found;
}

}  // namespace convopt
