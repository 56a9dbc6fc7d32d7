#include <dnnl.hpp>
#include <nlohmann/json.hpp>

#include "core/text.h"
#include "src/cli/verb.h"
