/* Runs a bundle from C: opens it, says what goes in and out, computes once.
 *
 *   run_bundle_c FILE.convopt
 *
 * Inputs are zeros. Of each output the first element is shown, if it is a float. */
#include <convopt/convopt.h>
#include <stdio.h>
#include <stdlib.h>

enum { MOST = 16 };

static int fail(void) {
  fprintf(stderr, "run_bundle_c: %s\n", convopt_last_error());
  return 1;
}

int main(int argc, char** argv) {
  convopt_session* session = NULL;
  convopt_buffer inputs[MOST], outputs[MOST];
  convopt_tensor tensor;
  size_t i, input_count, output_count;
  if (argc != 2) {
    fprintf(stderr, "usage: run_bundle_c FILE.convopt\n");
    return 2;
  }
  if (convopt_open(argv[1], 0, &session) != CONVOPT_OK) return fail();
  if (convopt_note(session)[0] != '\0') fprintf(stderr, "run_bundle_c: %s\n", convopt_note(session));
  input_count = convopt_input_count(session);
  output_count = convopt_output_count(session);
  if (input_count > MOST || output_count > MOST) return 3;
  for (i = 0; i < input_count; ++i) {
    if (convopt_input(session, i, &tensor) != CONVOPT_OK) return fail();
    inputs[i].name = tensor.name;
    inputs[i].data = calloc(1, tensor.bytes);
    inputs[i].bytes = tensor.bytes;
    inputs[i].layout = CONVOPT_NCHW;
  }
  for (i = 0; i < output_count; ++i) {
    if (convopt_output(session, i, &tensor) != CONVOPT_OK) return fail();
    outputs[i].name = tensor.name;
    outputs[i].data = calloc(1, tensor.bytes);
    outputs[i].bytes = tensor.bytes;
    outputs[i].layout = CONVOPT_NCHW;
  }
  if (convopt_run(session, inputs, input_count, outputs, output_count) != CONVOPT_OK) return fail();
  for (i = 0; i < output_count; ++i) {
    if (convopt_output(session, i, &tensor) != CONVOPT_OK) return fail();
    if (tensor.type == CONVOPT_F32) printf("%s %.6g\n", tensor.name, *(float*)outputs[i].data);
  }
  for (i = 0; i < input_count; ++i) free(inputs[i].data);
  for (i = 0; i < output_count; ++i) free(outputs[i].data);
  convopt_close(session);
  return 0;
}
