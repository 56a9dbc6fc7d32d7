// Platforms: a machine at an instruction-set level with a number of threads.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace convopt {

/// Instruction-set levels, each including the ones before it on its architecture.
enum class Isa : std::uint8_t { scalar, sse4, avx2, avx512, neon };

std::string_view to_string(Isa isa);
std::optional<Isa> parse_isa(std::string_view text);
/// Single-precision values in one vector register: 1, 4, 8, 16 or 4.
int vector_floats(Isa isa);
/// The best level of this processor.
Isa native_isa();
/// Every level that this processor can run, best first; `scalar` is not among them.
std::vector<Isa> supported_isas();
/// The level of this process: `CONVOPT_ISA` if it names a supported one, else `native_isa()`.
Isa default_isa();
/// Physical cores that affinity mask and cgroup quota leave to this process, at least 1.
int default_threads();

/// Data caches that one core can use, in bytes (an L3 cache may be shared with other cores).
/// Kernels block their loops for them. The defaults are used for caches that are not known.
struct Caches {
  std::int64_t l1d = std::int64_t{48} << 10;
  std::int64_t l2 = std::int64_t{1} << 20;
  std::int64_t l3 = std::int64_t{32} << 20;

  bool operator==(const Caches&) const = default;
};
/// The caches of this machine as the system describes them; 0: not known.
Caches described_caches();
/// The same with the defaults for unknown ones, read once per process.
const Caches& machine_caches();

/// What a kernel is prepared for: applicability and time depend on it and on the workload.
struct Context {
  Isa isa = Isa::scalar;
  int threads = 1;
  std::size_t workspace_limit = SIZE_MAX;  ///< bytes
  /// Block sizes follow from these. They are part of the machine, so measurements of one machine
  /// stay comparable; other values are for tests.
  Caches caches = machine_caches();
};

/// One processor as it was found, and what its cores can do. Zero means "not known".
struct Machine {
  std::string vendor, name;  ///< "AuthenticAMD", "AMD EPYC ..."
  int family = 0, model = 0, stepping = 0;
  int physical_cores = 0, logical_cores = 0;
  std::int64_t l1d_bytes = 0, l2_bytes = 0, l3_bytes = 0;  ///< one instance of each
  std::string governor, kernel;

  /// Measured with one thread at one instruction-set level (see Platform).
  double peak_gflops = 0;       ///< register-only fused multiply-adds
  double peak_bf16_gflops = 0;  ///< the same of bf16 numbers, added up in f32; 0 also: none
  double peak_int8_gops = 0;    ///< the same of u8 and s8, added up in s32; 0 also: none
  double l1_gbps = 0, l2_gbps = 0, l3_gbps = 0,
         memory_gbps = 0;  ///< reading, 10^9 bytes per second
  /// A cache line from the first thread's core to the farthest other and back, ns; 0 with one
  /// thread. A virtual machine's processors may be moved apart, and times with them.
  double core_round_trip_ns = 0;
};

struct Platform {
  Machine machine;  ///< peak and bandwidths are those of `isa`, of all `threads` together
  Isa isa = Isa::scalar;
  int threads = 1;

  /// Short and stable, from vendor, family and model: `amd-25-17-epyc`.
  std::string machine_id() const;
  /// `amd-25-17-epyc/avx512/t1`.
  std::string id() const;
};

/// Library name to version and build, e.g. {"onednn", "2.6.3+8f3a01c2"}.
using Libraries = std::map<std::string, std::string>;

}  // namespace convopt
