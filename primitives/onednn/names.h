// Names of oneDNN's primitives:
//   onednn_IMPLEMENTATION_LAYOUT      a convolution, same layout in and out
//   onednn_IMPLEMENTATION_IN_OUT      a convolution between two layouts
//   onednn_OPERATION_LAYOUT           anything else, by what the library takes first
//   onednn_reorder_IN_OUT             a conversion
//   ..._TYPE, ..._INTYPE_OUTTYPE      the same of other types than f32, `bf16`, `u8` or `s8_f32`
// IMPLEMENTATION is what the library calls it, cleaned to letters, digits and underscores. Names
// are compared in this clean form, so a name says everything and needs no table.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "convopt/primitive.hpp"

namespace convopt::onednn {

/// The parts of a name.
struct Identity {
  Op op = Op::conv;
  std::string implementation;  ///< clean; empty for everything but convolutions
  Layout input = Layout::nchw, output = Layout::nchw;
  DataType input_type = DataType::f32, output_type = DataType::f32;

  /// oneDNN offers Winograd only to those who ask for that algorithm.
  bool is_winograd() const { return implementation.starts_with("wino"); }
  bool operator==(const Identity&) const = default;
};

/// `jit:avx512_core` to `jit_avx512_core`, `jit_wino_4x3:avx512_core` to `wino_4x3_avx512_core`.
std::string clean_implementation(std::string_view library_name);

std::string name_of(const Identity& identity);
/// Null unless `name_of` could have made the name.
std::optional<Identity> parse_name(std::string_view name);

Traits traits_of(const Identity& identity);

}  // namespace convopt::onednn
