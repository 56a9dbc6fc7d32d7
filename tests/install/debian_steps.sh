#!/usr/bin/env bash
# What debian.sh does inside the new root: each package is used before the next is there, so that none
# leans on what another brings along.
set -euo pipefail
cd /try
export DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8 XDG_DATA_HOME=/try/data
step() { echo "== $1 after $SECONDS s"; }
quietly() { "$@" >log 2>&1 || { cat log; echo "failed: $*"; exit 1; }; }
install() { quietly apt-get install -y --no-install-recommends "$@"; }
expect() { grep -qF -- "$1" log || { cat log; echo "expected: $1"; exit 1; }; }

step "the program"
quietly apt-get update
install ./convopt_*.deb
version=$(dpkg-query -W -f '${Version}' convopt)
quietly convopt --version
expect "convopt $version"
networks=/usr/share/convopt/networks
quietly convopt select $networks/squeezenet1_1.json --threads 1 -o squeezenet.json
expect "proven optimal"
quietly convopt select head.onnx --threads 1 -o head.json
quietly convopt run head.onnx --plan head.json --repeat 1 --verify
quietly convopt run $networks/squeezenet1_1.json --plan squeezenet.json --repeat 1
expect squeezenet.json
quietly convopt bundle $networks/squeezenet1_1.json --plan squeezenet.json -o squeezenet.convopt
quietly bash -n /usr/share/bash-completion/completions/convopt
install man-db
quietly man -w convopt convopt-select
expect /usr/share/man/man1/convopt-select.1.gz

step "the Python module"
install ./python3-convopt_*.deb
quietly python3 -c 'import convopt; print("version", convopt.__version__, convopt.__file__)'
expect "version $version /usr/lib/python3/dist-packages/convopt/"
quietly python3 /usr/share/doc/python3-convopt/examples/faster_in_five_lines.py head.onnx
expect "ms a run"
quietly python3 -c 'import numpy; numpy.save("image.npy", numpy.zeros((1, 3, 224, 224), "float32"))'

step "the library"
install ./libconvopt-dev_*.deb
install cmake g++ make
examples=/usr/share/doc/libconvopt-dev/examples
quietly cmake -S $examples -B build -DCMAKE_BUILD_TYPE=Release
quietly cmake --build build
quietly build/classify $networks/squeezenet1_1.json squeezenet.json image.npy
quietly build/planned_convolution /usr/share/convopt/models/default.ubj n1_ic16_ih20_iw20_oc24_kh3_kw3_s1_p1
quietly build/run_bundle squeezenet.convopt
quietly build/run_bundle_c squeezenet.convopt
quietly build/plan_bundle_c head.onnx head.convopt 1
quietly build/run_bundle_c head.convopt

step "removal"
quietly apt-get purge -y convopt libconvopt-dev python3-convopt
find / -xdev -path /try -prune -o -path /proc -prune -o -path '*convopt*' -print >log
[ ! -s log ] || { cat log; echo "left behind"; exit 1; }
