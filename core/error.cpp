#include "convopt/error.hpp"

#include <cstdio>
#include <cstdlib>

namespace convopt {

void abort_with(const std::string& sentence) {
  std::fprintf(stderr, "convopt: %s\n", sentence.c_str());
  std::abort();
}

}  // namespace convopt
