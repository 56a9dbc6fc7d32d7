/* Plans a model for this machine from C and writes a bundle, which run_bundle_c runs.
 *
 *   plan_bundle_c MODEL FILE.convopt [SECONDS]
 *
 * With SECONDS it measures, for so long, what could change the plan. */
#include <convopt/planning.h>
#include <stdio.h>
#include <stdlib.h>

int main(int argc, char** argv) {
  convopt_plan_options options = {0};
  if (argc < 3 || argc > 4) {
    fprintf(stderr, "usage: plan_bundle_c MODEL FILE.convopt [SECONDS]\n");
    return 2;
  }
  options.threads = 1;
  options.measures_machine = 1;
  if (argc > 3) options.refine = strtod(argv[3], NULL);
  if (convopt_plan(argv[1], &options, argv[2]) != CONVOPT_OK) {
    fprintf(stderr, "plan_bundle_c: %s\n", convopt_last_error());
    return 1;
  }
  printf("%s\n", argv[2]);
  return 0;
}
