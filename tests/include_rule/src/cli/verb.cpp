#include <CLI/CLI.hpp>
#include <boost/any.hpp>
#include <dnnl.hpp>

#include "core/text.h"
#include "primitives/kernel.h"
#include "verb.h"
