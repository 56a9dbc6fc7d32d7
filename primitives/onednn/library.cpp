#include "primitives/onednn/library.h"

#include <elf.h>
#include <link.h>

#include <cstdint>
#include <cstdio>
#include <cstring>
#include <dnnl.hpp>

#include "core/quantisation.h"
#include "primitives/onednn/compat.h"

namespace convopt::onednn {
namespace {

/// The level that a oneDNN instruction set belongs to.
Isa level_of([[maybe_unused]] dnnl_cpu_isa_t isa) {
#if defined(__x86_64__) || defined(_M_X64)
  const auto includes = [isa](dnnl_cpu_isa_t wanted) { return (isa & wanted) == wanted; };
  if (includes(dnnl_cpu_isa_avx512_core)) return Isa::avx512;
  if (includes(dnnl_cpu_isa_avx2)) return Isa::avx2;
  return includes(dnnl_cpu_isa_sse41) ? Isa::sse4 : Isa::scalar;
#else
  return native_isa();
#endif
}

/// The 512-bit level is not capped: what lies beyond its core serves other data types.
dnnl_cpu_isa_t cap_of(Isa isa) {
  switch (isa) {
    case Isa::sse4:
      return dnnl_cpu_isa_sse41;
    case Isa::avx2:
      return dnnl_cpu_isa_avx2;
    default:
      return compat::kAllInstructions;
  }
}

struct BuildIdSearch {
  std::uintptr_t address;  // inside the library looked for
  std::string id;
};

void read_build_id(const char* note, std::size_t size, BuildIdSearch& search) {
  const char* const end = note + size;
  const auto aligned = [](std::size_t bytes) { return (bytes + 3) & ~std::size_t{3}; };
  while (static_cast<std::size_t>(end - note) >= sizeof(ElfW(Nhdr))) {
    ElfW(Nhdr) header;
    std::memcpy(&header, note, sizeof(header));
    const char* const name = note + sizeof(header);
    const std::size_t payload = aligned(header.n_namesz) + aligned(header.n_descsz);
    if (payload > static_cast<std::size_t>(end - name)) return;
    if (header.n_type == NT_GNU_BUILD_ID && header.n_namesz == 4 &&
        std::memcmp(name, "GNU", 4) == 0) {
      const char* const bytes = name + aligned(header.n_namesz);
      for (std::size_t i = 0; i < header.n_descsz && i < 4; ++i) {
        char digits[3];
        std::snprintf(digits, sizeof(digits), "%02x", static_cast<unsigned char>(bytes[i]));
        search.id += digits;
      }
      return;
    }
    note = name + payload;
  }
}

int visit_object(dl_phdr_info* object, std::size_t, void* data) {
  auto& search = *static_cast<BuildIdSearch*>(data);
  bool contains = false;
  for (int i = 0; i < object->dlpi_phnum; ++i) {
    const auto& segment = object->dlpi_phdr[i];
    const std::uintptr_t begin = object->dlpi_addr + segment.p_vaddr;
    contains |= segment.p_type == PT_LOAD && search.address >= begin &&
                search.address < begin + segment.p_memsz;
  }
  if (!contains) return 0;
  for (int i = 0; i < object->dlpi_phnum && search.id.empty(); ++i) {
    const auto& segment = object->dlpi_phdr[i];
    if (segment.p_type == PT_NOTE) {
      read_build_id(reinterpret_cast<const char*>(object->dlpi_addr + segment.p_vaddr),
                    segment.p_memsz, search);
    }
  }
  return 1;
}

}  // namespace

Result<void> cap_isa(Isa isa) {
  if (isa == Isa::scalar) {
    return make_error(ErrorCode::environment, "oneDNN has no scalar instruction-set level");
  }
  // Refused, without effect, when the library has been used before; what counts is what holds now.
  static_cast<void>(dnnl_set_max_cpu_isa(cap_of(isa)));
  const Isa level = level_of(dnnl_get_effective_cpu_isa());
  if (level == isa) {
    // Both write where they have no business: to standard output and to the current directory.
    dnnl_set_verbose(0);
    dnnl_set_jit_dump(0);
    return {};
  }
  const std::string wanted(to_string(isa)), found(to_string(level));
  if (level < isa) {
    return make_error(ErrorCode::environment, "oneDNN can use " + found + " but not " + wanted +
                                                  " here, or this process has already used it at " +
                                                  found);
  }
  return make_error(ErrorCode::environment, "this process has already used oneDNN at " + found +
                                                ", it cannot change to " + wanted);
}

bool has_products(DataType type) {
  if (type == DataType::f32) return true;
#if defined(__x86_64__) || defined(_M_X64)
  const auto includes = [](dnnl_cpu_isa_t wanted) {
    return (dnnl_get_effective_cpu_isa() & wanted) == wanted;
  };
  if (type == DataType::bf16) return includes(dnnl_cpu_isa_avx512_core_bf16);
  if (is_quantised(type)) return includes(dnnl_cpu_isa_avx512_core_vnni);
#endif
  return false;
}

std::string library_version() {
  const dnnl_version_t* version = dnnl_version();
  std::string text = std::to_string(version->major) + '.' + std::to_string(version->minor) + '.' +
                     std::to_string(version->patch);
  // The version structure is the library's own constant, so its address is inside the library; the
  // address of a function might be that of a stub in the program.
  BuildIdSearch search{reinterpret_cast<std::uintptr_t>(version), {}};
  dl_iterate_phdr(visit_object, &search);
  return search.id.empty() ? text : text + '+' + search.id;
}

}  // namespace convopt::onednn
