#include <sys/stat.h>

#include <nlohmann/json.hpp>
#include <string>

#include "core/text.h"
#include "primitives/kernel.h"
