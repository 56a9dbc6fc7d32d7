/* Bundles run from C, and from whatever calls C: the light runtime, convopt::runtime.
 *
 * Functions that can fail return CONVOPT_OK or another status; convopt_last_error() then says why
 * in one sentence. Nothing is printed, no exception leaves a function. Handles may be used in
 * several threads at once, but must not be closed while they are in use. Pointers that a session
 * returns live as long as it does. */
#ifndef CONVOPT_CONVOPT_H
#define CONVOPT_CONVOPT_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* NOLINTBEGIN(modernize-use-using): C has no other. */
/* Why something could not be done. */
typedef enum convopt_status {
  CONVOPT_OK = 0,
  CONVOPT_INTERNAL = 1,    /* a defect of convopt itself */
  CONVOPT_USAGE = 2,       /* the call makes no sense: wrong name, null pointer, wrong size */
  CONVOPT_BAD_INPUT = 3,   /* the file is no bundle, or damaged */
  CONVOPT_ENVIRONMENT = 4, /* this machine, its memory or a library prevents it */
  CONVOPT_CANCELLED = 5
} convopt_status;

/* Types of elements. */
typedef enum convopt_type {
  CONVOPT_F32 = 0,
  CONVOPT_BF16 = 1,
  CONVOPT_F16 = 2,
  CONVOPT_S8 = 3,
  CONVOPT_U8 = 4,
  CONVOPT_S32 = 5,
  CONVOPT_S64 = 6,
  CONVOPT_BOOL = 7, /* one byte */
  CONVOPT_F64 = 8,
  CONVOPT_S16 = 9,
  CONVOPT_U16 = 10,
  CONVOPT_U32 = 11,
  CONVOPT_U64 = 12
} convopt_type;

/* How the elements of an image lie in memory. Tensors that are no images are row-major (NCHW). */
typedef enum convopt_layout { CONVOPT_NCHW = 0, CONVOPT_NHWC = 1 } convopt_layout;

#define CONVOPT_MAX_RANK 8

/* An input or output: sizes[0 .. rank - 1], the slowest dimension first; images are n, c, h, w. */
typedef struct convopt_tensor {
  const char* name;
  convopt_type type;
  int rank;
  int64_t sizes[CONVOPT_MAX_RANK];
  size_t bytes; /* of all elements, without gaps */
} convopt_tensor;

/* The caller's memory for an input, which is only read, or an output. */
typedef struct convopt_buffer {
  const char* name;
  void* data;
  size_t bytes; /* those of the tensor */
  convopt_layout layout;
} convopt_buffer;

/* How long a layer took. */
typedef struct convopt_layer_time {
  const char* name; /* of the layer, or of a tensor that is converted */
  const char* primitive;
  int64_t ns;
} convopt_layer_time;

typedef struct convopt_session convopt_session;
typedef struct convopt_cancellation convopt_cancellation;
/* NOLINTEND(modernize-use-using) */

/* Such as "0.1.0". */
const char* convopt_version(void);

/* Why the last call in this thread failed: one sentence, valid until the next call in this thread;
 * "" if none has failed. */
const char* convopt_last_error(void);

/* Opens a bundle and prepares its plan for this processor, the nearest, or the fall-back. threads:
 * of each run, at most as many as there are processors; 0: as many as the plan was made for. On
 * success *session is to be closed. */
convopt_status convopt_open(const char* path, int threads, convopt_session** session);
/* Null is ignored. */
void convopt_close(convopt_session* session);

/* "" if the bundle has a plan for this processor; else one sentence that says which one is used. */
const char* convopt_note(const convopt_session* session);

size_t convopt_input_count(const convopt_session* session);
size_t convopt_output_count(const convopt_session* session);
/* Inputs and outputs by number, from 0. */
convopt_status convopt_input(const convopt_session* session, size_t index, convopt_tensor* tensor);
convopt_status convopt_output(const convopt_session* session, size_t index, convopt_tensor* tensor);

/* Computes: every input is given, in any order, and those outputs that are wanted. Several threads
 * may run one session at once. Inputs and outputs must not overlap. */
convopt_status convopt_run(const convopt_session* session, const convopt_buffer* inputs,
                           size_t input_count, const convopt_buffer* outputs, size_t output_count);

/* The same, ended by `cancellation` before its next layer (CONVOPT_CANCELLED), if that is not null;
 * and timed, if `layer_count` is not null: it holds how many `layer_times` there is room for, and
 * becomes the number of layers. */
convopt_status convopt_run_with(const convopt_session* session, const convopt_buffer* inputs,
                                size_t input_count, const convopt_buffer* outputs,
                                size_t output_count, const convopt_cancellation* cancellation,
                                convopt_layer_time* layer_times, size_t* layer_count);

/* Null if there is no memory. */
convopt_cancellation* convopt_cancellation_new(void);
/* May be called from any thread. */
void convopt_cancel(convopt_cancellation* cancellation);
/* For the next run. */
void convopt_cancellation_reset(convopt_cancellation* cancellation);
/* Not while a run has it. Null is ignored. */
void convopt_cancellation_free(convopt_cancellation* cancellation);

#ifdef __cplusplus
}
#endif

#endif
