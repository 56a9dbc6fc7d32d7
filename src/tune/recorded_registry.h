// Primitives of a profile, as its headers list them; a primitive applies where it was timed. With
// this registry, plans can be evaluated on a machine other than the one that was measured.
#pragma once

#include "convopt/measurement.hpp"
#include "core/primitive_list.h"

namespace convopt {

class RecordedRegistry final : public PrimitiveList {
 public:
  /// Takes the runs on this platform; the latest header that lists a primitive counts. Libraries'
  /// own choices are not recorded.
  RecordedRegistry(const Profile& profile, const Platform& platform);
};

}  // namespace convopt
