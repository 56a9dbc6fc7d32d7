// Descriptors of operations, one per Op: text form, shapes, validity, arithmetic. Everything that
// depends on the operation but not on data.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "convopt/error.hpp"
#include "convopt/workload.hpp"

namespace convopt {

/// A field of a workload: one or several integers under one key, in text and JSON.
struct OpField {
  /// How the values are written. In JSON, `number` is one number and all others are lists.
  enum class Form : std::uint8_t {
    number,  ///< `ih56`
    pair,    ///< `s2` for equal values, else `sh2_sw1`
    frame,   ///< `p1` for equal values, else `pt0_pb1_pl0_pr1`
    sum,     ///< `c64+128+32`
    sizes,   ///< `by1x96x1x1`
    digits,  ///< `order0231`
  };
  std::string_view key;
  Form form = Form::number;
  std::vector<int> (*get)(const Workload&) = nullptr;
  /// `values` are as many as the form has; of lists, any number. False: they are invalid.
  bool (*set)(Workload&, std::span<const int> values) = nullptr;
  /// Not written where all values are this one. A list is not written where it is empty.
  std::optional<int> omitted = {};
};

/// A constant that affects results but not time: in JSON, not in the text.
struct OpConstant {
  std::string_view key;
  float Workload::*member;
};

inline constexpr int kAsManyAsParts = -1;

struct OpDescriptor {
  std::string_view name;
  /// The text of workloads on image tensors, and of those on any others; empty: there are none.
  std::span<const OpField> image_fields, plain_fields;
  /// In the JSON network format, for which `json_name` and `json_mode` ("mode") stand instead of
  /// the name where they are not empty.
  std::span<const OpField> json_fields;
  std::span<const OpConstant> constants;
  std::string_view json_name, json_mode;
  int sources = 1;  ///< kAsManyAsParts: as many as the workload has parts
  /// Shape of a third source, where it is not the first one's.
  TensorShape (*third)(const Workload&) = nullptr;
  TensorShape (*output)(const Workload&);
  /// Beyond what holds for every tensor: sizes from 1 and fewer than 2^31 elements.
  bool (*valid)(const Workload&);
  double (*reduction_length)(const Workload&);  ///< values that are added up for one result
  /// Elementary operations per element of the result, the epilogue aside. Products of matrices are
  /// counted by their primitives.
  double (*arithmetic)(const Workload&);
};

const OpDescriptor& descriptor(Op op);
std::optional<Op> parse_op(std::string_view name);

/// `n1_c64_h56_w56`, the middle of a workload's text without types.
std::string fields_text(const Workload& workload);
/// Sets what the text says; the caller compares texts, so that only the canonical one is accepted.
bool parse_fields(std::string_view text, std::span<const OpField> fields, Workload& workload);

/// The last three dimensions as channels, rows and columns, those in front of them as images.
TensorShape as_image(const TensorShape& shape);

/// The shape of any workload as a ConvShape, by whose members the performance model's features and
/// older profiles name sizes.
ConvShape geometry(const Workload& workload);

}  // namespace convopt
