// Which types the layers of a network may use.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace convopt {

/// Types in which tensors are stored and products computed: f32 alone; f32 and another, whatever
/// makes the network faster; or any of them.
enum class Precision : std::uint8_t { f32, bf16, int8, automatic };
/// `f32`, `bf16`, `int8`, `auto`.
std::string_view to_string(Precision precision);
std::optional<Precision> parse_precision(std::string_view text);

}  // namespace convopt
