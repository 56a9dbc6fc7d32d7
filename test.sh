#!/usr/bin/env bash
# Installs what is missing, builds, and runs every test: first the release build, then the same
# tests under AddressSanitizer and UndefinedBehaviorSanitizer.
#   ./test.sh            both
#   ./test.sh release    one preset; further arguments go to ctest
set -euo pipefail
cd "$(dirname "$(readlink -f "$0")")"
. cmake/build.sh
ensure_packages
presets=(release asan)
if [ $# -gt 0 ]; then
  presets=("$1")
  shift
fi
for preset in "${presets[@]}"; do
  echo "== $preset" >&2
  build "$preset" all
  ctest --test-dir "build/$preset" --output-on-failure --no-tests=error -j "$(nproc)" "$@"
done
