/* Plans from C: reads a model, chooses how to compute it on this machine, and writes a bundle,
 * which convopt_open() of convopt.h runs. Part of the whole library, convopt::convopt.
 *
 * As in convopt.h, functions return a status and convopt_last_error() says why. */
#ifndef CONVOPT_PLANNING_H
#define CONVOPT_PLANNING_H

#include <stddef.h>

#include "convopt/convopt.h"

#ifdef __cplusplus
extern "C" {
#endif

/* NOLINTBEGIN(modernize-use-using): C has no other. */
/* All zeros, {0}, is a sound choice; so is a null pointer in place of the options. */
typedef struct convopt_plan_options {
  int threads;             /* of each run; 0: as many as there are processors */
  const char* precision;   /* "f32", "bf16", "int8" or "auto"; null: "f32" */
  const char* calibration; /* file of `convopt calibrate`, which int8 needs, and whose sensitivities
                              an error limit takes if there are any, or null */
  size_t max_memory;       /* most bytes that a run holds; 0: no limit */
  double max_output_error; /* error limit of the outputs, as a fraction of their range; 0: none */
  double refine;           /* seconds of measuring what could change the plan; 0: none */
  double confirm;          /* seconds of running the plan and its rivals; 0: none */
  int measures_machine;    /* not 0: where this machine's peak and bandwidths are not stored, which
                              predictions need, they are measured for a second and stored */
} convopt_plan_options;
/* NOLINTEND(modernize-use-using) */

/* Plans the model, an ONNX file or a network as JSON (with random weights), and replaces the file
 * `bundle`, with the plan for this machine and a fall-back for others. Primitives are timed by the
 * program `convopt`, which has to be in PATH if `refine` is not 0. */
convopt_status convopt_plan(const char* model, const convopt_plan_options* options,
                            const char* bundle);

/* Measures this machine for so many seconds and adapts the shipped model to it, for all later plans
 * with that number of threads (0: as many as there are processors). Where the adapted model
 * predicts no better than the shipped one, all stays as it was, which is no error. Needs the
 * program `convopt`. */
convopt_status convopt_transfer(int threads, double seconds);

#ifdef __cplusplus
}
#endif

#endif
