#include "primitives/recurrent/cells.h"

#include <algorithm>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "primitives/recurrent/cells.cpp"
#include "primitives/simd.h"
// clang-format off: after simd.h
#include "hwy/contrib/math/math-inl.h"
#include "primitives/gemm/partial-inl.h"
#include "primitives/sigmoid-inl.h"
// clang-format on

HWY_BEFORE_NAMESPACE();
namespace convopt::recurrent::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;
using convopt::HWY_NAMESPACE::load_partial;
using convopt::HWY_NAMESPACE::sigmoid;
using convopt::HWY_NAMESPACE::store_partial;
using D = hn::ScalableTag<float>;
using V = hn::Vec<D>;

/// Some neighbouring values of a row, the last of which may be missing.
struct Part {
  int first, count;

  V load(const float* row) const {
    const D d;
    const bool whole = count == static_cast<int>(hn::Lanes(d));
    return whole ? hn::LoadU(d, row + first) : load_partial(d, row + first, count);
  }
  void store(V value, float* row) const {
    const D d;
    if (count == static_cast<int>(hn::Lanes(d))) {
      hn::StoreU(value, d, row + first);
    } else {
      store_partial(d, value, row + first, count);
    }
  }
};

/// A row of a step.
struct Row {
  Row(const Step& step, int number)
      : hidden(step.hidden),
        gates(step.gates + number * step.gates_row),
        before(step.before + number * step.before_row),
        after(step.after + number * step.after_row),
        cell(step.cell + number * step.cell_row) {}

  float* gate(int number) const { return gates + std::int64_t{number} * hidden; }

  int hidden;
  float* gates;
  const float* before;
  float *after, *cell;
};

template <class Body>
HWY_INLINE void for_each_part(const Step& step, const Body& body) {
  const auto lanes = static_cast<int>(hn::Lanes(D()));
  for (int r = 0; r < step.rows; ++r) {
    const Row row(step, r);
    for (int i = 0; i < step.hidden; i += lanes) {
      body(row, Part{i, std::min(lanes, step.hidden - i)});
    }
  }
}

void lstm(const Step& step) {
  for_each_part(step, [](const Row& row, const Part& part) HWY_ATTR {
    const D d;
    const V input = sigmoid(d, part.load(row.gate(0)));
    const V output = sigmoid(d, part.load(row.gate(1)));
    const V forget = sigmoid(d, part.load(row.gate(2)));
    const V candidate = hn::Tanh(d, part.load(row.gate(3)));
    const V cell = hn::MulAdd(forget, part.load(row.cell), hn::Mul(input, candidate));
    part.store(cell, row.cell);
    part.store(hn::Mul(output, hn::Tanh(d, cell)), row.after);
  });
}

template <bool kResetAfter>
void gru_gates(const Step& step) {
  for_each_part(step, [](const Row& row, const Part& part) HWY_ATTR {
    const D d;
    part.store(sigmoid(d, part.load(row.gate(0))), row.gate(0));
    const V reset = sigmoid(d, part.load(row.gate(1)));
    if (kResetAfter) {
      part.store(reset, row.gate(1));
    } else {
      part.store(hn::Mul(reset, part.load(row.before)), row.cell);
    }
  });
}

template <bool kResetAfter>
void gru_state(const Step& step) {
  for_each_part(step, [](const Row& row, const Part& part) HWY_ATTR {
    const D d;
    V sum = part.load(row.gate(2));
    if (kResetAfter) sum = hn::MulAdd(part.load(row.gate(1)), part.load(row.cell), sum);
    const V candidate = hn::Tanh(d, sum);
    const V difference = hn::Sub(part.load(row.before), candidate);
    part.store(hn::MulAdd(part.load(row.gate(0)), difference, candidate), row.after);
  });
}

StepFunctions list_step_functions() {
  return {&lstm, {&gru_gates<false>, &gru_gates<true>}, {&gru_state<false>, &gru_state<true>}};
}

}  // namespace convopt::recurrent::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace convopt::recurrent {

CONVOPT_EXPORT(list_step_functions);
StepFunctions step_functions(Isa isa) { return CONVOPT_DISPATCH(list_step_functions, isa)(); }

}  // namespace convopt::recurrent
#endif
