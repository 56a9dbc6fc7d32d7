// Layers that carry a state from one step of a sequence to the next.
#include "core/ops/fields.h"

namespace convopt::ops {
namespace {

constexpr OpField kState = second_sizes("state");
constexpr OpField kReversed = of_workload<&Workload::reversed>("reversed", Form::number, 0);
constexpr OpField kLstmPlain[] = {kSizes, kState, kReversed,
                                  of_workload<&Workload::keeps_cell>("cell", Form::number, 0)};
constexpr OpField kGruPlain[] = {kSizes, kState, kReversed,
                                 of_workload<&Workload::reset_after>("after", Form::number, 0)};

bool is_flag(int value) { return value == 0 || value == 1; }

/// A sequence of steps of one batch, and a state for one direction or both.
bool has_states(const Workload& w) {
  return w.first.rank() == 3 && w.second.rank() == 3 && w.second[1] == w.first[1] &&
         (w.second[0] == 1 || w.second[0] == 2) && is_flag(w.reversed) && is_flag(w.keeps_cell) &&
         is_flag(w.reset_after) && !(w.second[0] == 2 && w.reversed == 1);
}

/// A weight for each value of the sequence and of the state.
double values_of_step(const Workload& w) { return double(w.first[2]) + w.second[2]; }

}  // namespace

constinit const OpDescriptor kLstm = {
    .name = "lstm",
    .image_fields = {},
    .plain_fields = kLstmPlain,
    .json_fields = {},
    .constants = {},
    .json_name = {},
    .json_mode = {},
    .sources = 3,
    .third = [](const Workload& w) { return w.second; },
    .output =
        [](const Workload& w) {
          return TensorShape{w.first[0] + w.keeps_cell, w.second[0], w.second[1], w.second[2]};
        },
    .valid = has_states,
    .reduction_length = values_of_step,
    .arithmetic = fixed<120>};  // five exponentials
constinit const OpDescriptor kGru = {
    .name = "gru",
    .image_fields = {},
    .plain_fields = kGruPlain,
    .json_fields = {},
    .constants = {},
    .json_name = {},
    .json_mode = {},
    .sources = 2,
    .output =
        [](const Workload& w) {
          return TensorShape{w.first[0], w.second[0], w.second[1], w.second[2]};
        },
    .valid = has_states,
    .reduction_length = values_of_step,
    .arithmetic = fixed<72>};  // three

}  // namespace convopt::ops
