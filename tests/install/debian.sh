#!/usr/bin/env bash
# The Debian packages as a user meets them: installed in a new root of the Debian release that they were built
# on, with the mirrors that apt uses here, used, and removed again.
#   tests/install/debian.sh FOLDER     of the packages; needs root and debootstrap
# Exit code 77 says that it could not be tried, and why.
set -euo pipefail
here=$(dirname "$(readlink -f "$0")")
packages=$(readlink -f "$1")

skip() {
  echo "skipped: $1"
  exit 77
}
[ -n "${CONVOPT_TEST_DEBIAN:-}" ] || skip "takes minutes and half a gigabyte of downloads; ./test.sh debian runs it"
[ "$(id -u)" -eq 0 ] || skip "only root can make a root folder of Debian"
command -v debootstrap >/dev/null || skip "debootstrap is not installed"
. /etc/os-release
release=${VERSION_CODENAME:-}
# Lines of an address, a release and a component, such as "ADDRESS bookworm main".
sources=$(apt-get indextargets --format '$(REPO_URI) $(RELEASE) $(COMPONENT)' 'Created-By: Packages' |
  grep -E " $release(-updates|-security)? main$" | sort -u) || true
mirror=$(sed -n "s/ $release main$//p" <<<"$sources" | head -n 1)
[ -n "$mirror" ] || skip "apt knows no mirror of Debian $release"
root=$(mktemp -d "${TMPDIR:-/tmp}/convopt-root-XXXXXX")
clean_up() {
  umount "$root/proc" 2>/dev/null || true
  # Nothing of this machine is removed if that failed.
  rm -rf --one-file-system "$root"
}
trap clean_up EXIT
/usr/lib/apt/apt-helper download-file "${mirror%/}/dists/$release/InRelease" "$root/InRelease" >/dev/null 2>&1 ||
  skip "the mirror of Debian $release cannot be reached"
rm "$root/InRelease"
eval "$(apt-config shell proxy Acquire::http::Proxy)"
[ -z "${proxy:-}" ] || export http_proxy=$proxy

step() { echo "== $1 after $SECONDS s"; }
step "a new root"
debootstrap --variant=minbase "$release" "$root" "$mirror" >"$root.log" 2>&1 || { cat "$root.log"; exit 1; }
rm "$root.log"
mountpoint -q "$root/proc" || mount -t proc proc "$root/proc"
sed 's/^/deb /' <<<"$sources" >"$root/etc/apt/sources.list"
apt-config dump | grep -iE '^Acquire::([^ ]*Proxy|Check-)' >"$root/etc/apt/apt.conf.d/90here" || true
cp /etc/resolv.conf /etc/hosts "$root/etc/"
mkdir "$root/try"
cp "$packages"/*.deb "$root/try/"
cp "$here/debian_steps.sh" "$here/../fuzz/corpus/onnx/head.onnx" "$root/try/"
chroot "$root" /usr/bin/env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root ${http_proxy:+http_proxy="$http_proxy"} \
  bash /try/debian_steps.sh
step "done"
