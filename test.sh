#!/usr/bin/env bash
# Installs what is missing, builds, and runs every test: first the release build, then the same
# tests under AddressSanitizer and UndefinedBehaviorSanitizer.
#   ./test.sh            both
#   ./test.sh release    one preset; further arguments go to ctest
#   ./test.sh neon       own kernels for 64-bit Arm, cross-compiled, in an emulator (QEMU)
#   ./test.sh debian     the Debian packages, installed and used in a new root; takes minutes and downloads
#   ./test.sh tsan       own kernels on several threads under ThreadSanitizer, with clang
set -euo pipefail
cd "$(dirname "$(readlink -f "$0")")"
. cmake/build.sh
ensure_packages
# Of hundreds of tests in a program only those that fail are shown.
export GTEST_BRIEF=1
presets=(release asan)
if [ $# -gt 0 ]; then
  presets=("$1")
  shift
fi
if [ "${presets[0]}" = neon ]; then
  ensure_packages g++-aarch64-linux-gnu qemu-user googletest
  build neon test_kernels
  exec ctest --test-dir build/neon --output-on-failure --no-tests=error -j "$(nproc)" -R '^kernels' "$@"
fi
if [ "${presets[0]}" = tsan ]; then
  ensure_packages clang libomp-dev
  build tsan test_kernels
  # Archer tells the sanitizer what OpenMP's barriers order; oneDNN is not instrumented.
  OMP_TOOL_LIBRARIES=$(find /usr/lib/llvm-* -name libarcher.so | tail -n 1)
  export OMP_TOOL_LIBRARIES TSAN_OPTIONS=ignore_noninstrumented_modules=1
  exec ctest --test-dir build/tsan --output-on-failure --no-tests=error -R '^kernels.threads' "$@"
fi
if [ "${presets[0]}" = debian ]; then
  ensure_packages debootstrap dpkg-dev file lintian
  build release debian
  CONVOPT_TEST_DEBIAN=1 exec ctest --test-dir build/release --output-on-failure --no-tests=error \
    -R '^install.(packages|debian)$' "$@"
fi
ensure_packages chromium dpkg-dev file libonnx-testdata munge python3-onnx slurm-wlm
for preset in "${presets[@]}"; do
  echo "== $preset" >&2
  build "$preset" all
  ctest --test-dir "build/$preset" --output-on-failure --no-tests=error -j "$(nproc)" "$@"
done
