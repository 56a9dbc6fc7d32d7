#include "src/tune/model_paths.h"

#include <algorithm>
#include <string>

#include "core/files.h"

namespace convopt {

std::filesystem::path local_model_path(const Platform& platform) {
  std::string name = platform.id();
  std::ranges::replace(name, '/', '-');
  return local_data_dir() / "models" / (name + ".ubj");
}

std::filesystem::path default_model_path() { return shipped_data_dir() / "models" / "default.ubj"; }

}  // namespace convopt
