#!/usr/bin/env bash
# Installs what is missing, builds, and runs convopt with the given arguments from where it was called.
set -euo pipefail
here=$(pwd)
cd "$(dirname "$(readlink -f "$0")")"
. cmake/build.sh
ensure_packages
build release convopt
binary=$PWD/build/release/convopt
cd "$here"
exec "$binary" "$@"
