#!/usr/bin/env bash
# The shared libraries and examples that link them (tests/CMakeLists.txt).
#   tests/install/shared.sh BUILD_FOLDER DATA_FOLDER
set -euo pipefail
build=$1 data=$2
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
export XDG_DATA_HOME=$folder CONVOPT_TEST_CLOCK=1
quietly() { "$@" >"$folder/log" 2>&1 || { cat "$folder/log"; echo "failed: $*"; exit 1; }; }
expect() { grep -qE -- "$1" "$folder/log" || { cat "$folder/log"; echo "expected: $1"; exit 1; }; }

quietly ldd "$build/tests/shared_run_bundle"
expect 'libshared_runtime\.so => /'
quietly "$build/tests/shared_planned_convolution" "$data/models/default.ubj" n1_ic16_ih20_iw20_oc24_kh3_kw3_s1_p1
expect 'in the middle is 144$'
network=$data/networks/squeezenet1_1.json
quietly "$build/convopt" select "$network" --threads 1 -o "$folder/plan.json"
quietly "$build/convopt" bundle "$network" --plan "$folder/plan.json" -o "$folder/a.convopt"
quietly "$build/tests/shared_run_bundle" "$folder/a.convopt"
expect '^input input: 1 3 224 224$'

# A program in C needs no compiler of C++.
quietly cc -std=c99 -I "$data/../include" "$data/../examples/run_bundle.c" "$build/tests/libshared_runtime.so" \
  -Wl,-rpath,"$build/tests" -o "$folder/run_bundle_c"
quietly "$folder/run_bundle_c" "$folder/a.convopt"
expect '^[^ ]+ -?[0-9][-+.e0-9]*$'

# Names of other libraries, whose templates are compiled into these, are their own business.
for library in runtime convopt; do
  nm -DC --defined-only "$build/tests/libshared_$library.so" | cut -d' ' -f3- >"$folder/log"
  expect '^convopt::'
  ! grep -vE '^((non-virtual thunk|typeinfo|typeinfo name|vtable|guard variable) for )?convopt(::|_)' "$folder/log" ||
    { echo "lib$library.so exports these"; exit 1; }
done
