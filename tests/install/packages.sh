#!/usr/bin/env bash
# Makes the Debian packages and looks at them without installing: fields, files, what lintian says.
#   tests/install/packages.sh BUILD_FOLDER VERSION
# Exit code 77 says that it could not be tried, and why.
set -euo pipefail
build=$1 version=$2
for tool in dpkg-deb dpkg-shlibdeps file; do
  command -v $tool >/dev/null || { echo "skipped: $tool is not installed"; exit 77; }
done
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
(cd "$folder" && cpack -G DEB --config "$build/CPackConfig.cmake" -B "$folder") >"$folder/log" 2>&1 ||
  { cat "$folder/log"; exit 1; }

failed=0
fail() {
  echo "$1"
  failed=1
}
has() { grep -qE -- "$2" "$folder/$1" || fail "$1 lacks $2"; }
lacks() { ! grep -qE -- "$2" "$folder/$1" || fail "$1 has $2"; }
names=()
for package in "$folder"/*.deb; do
  name=$(dpkg-deb -f "$package" Package)
  names+=("$name")
  dpkg-deb -f "$package" >"$folder/$name.fields"
  dpkg-deb -c "$package" | awk '{print $1, $2, $6}' >"$folder/$name.files"
  has "$name.fields" "^Version: $version$"
  has "$name.files" "^-rw-r--r-- root/root ./usr/share/doc/$name/copyright$"
  has "$name.files" "^-rw-r--r-- root/root ./usr/share/doc/$name/changelog.gz$"
  lacks "$name.files" '^[^ ]* [^ ]* \./(usr/local|home|tmp|work|build)'
done
[ "${names[*]}" = "convopt libconvopt-dev python3-convopt" ] || fail "packages: ${names[*]}"

has convopt.fields '^Depends: .*libdnnl2.*libxgboost0'
lacks convopt.fields '^Depends: .*(-dev|python)'
has convopt.files '^-rwxr-xr-x root/root ./usr/bin/convopt$'
has convopt.files './usr/share/convopt/models/default.ubj$'
has convopt.files './usr/share/convopt/networks/resnet50.json$'
has convopt.files './usr/share/man/man1/convopt-select.1.gz$'
has convopt.files './usr/share/bash-completion/completions/convopt$'
has convopt.files './usr/share/zsh/vendor-completions/_convopt$'
has convopt.files './usr/share/fish/vendor_completions.d/convopt.fish$'
lacks convopt.files '/(include|cmake|python3|examples)/'
has libconvopt-dev.fields "^Depends: .*convopt \(= $version\).*libdnnl-dev.*libprotobuf-dev"
has libconvopt-dev.files './usr/include/convopt/convopt.h$'
has libconvopt-dev.files '/libconvopt_runtime.a$'
has libconvopt-dev.files '/cmake/convopt/convoptConfig.cmake$'
has libconvopt-dev.files '/examples/CMakeLists.txt$'
has python3-convopt.fields '^Depends: .*python3 \(>= .*python3 \(<< .*python3-numpy.*libdnnl2'
has python3-convopt.files './usr/lib/python3/dist-packages/convopt/_core\.[^/]*\.so$'
has python3-convopt.files './usr/lib/python3/dist-packages/convopt/py.typed$'
lacks python3-convopt.files '__pycache__'
# A file of two packages cannot be installed twice.
grep -hv '/$' "$folder"/*.files | awk '{print $3}' | sort | uniq -d >"$folder/doubled"
[ ! -s "$folder/doubled" ] || fail "in two packages: $(cat "$folder/doubled")"

# The documents link to files that are installed.
for package in "$folder"/*.deb; do dpkg-deb -x "$package" "$folder/root"; done
documents=$(find "$folder/root/usr/share/doc" -name '*.md')
[ "$(wc -l <<<"$documents")" -gt 10 ] || fail "documents: $documents"
for document in $documents; do
  while read -r link; do
    [ -e "$(dirname "$document")/$link" ] || fail "${document#"$folder/root"} links to $link, which is not installed"
  done < <(grep -oE '\]\([^):#]+[)#]' "$document" | sed -E 's/^\]\(//; s/[)#]$//')
done
# Nothing but links differs from the repository.
for document in README.md docs/guide/onnx.md docs/reference/plan-format.md; do
  cmp -s "$(dirname "$0")/../../$document" "$folder/root/usr/share/doc/convopt/$document" || fail "$document differs"
done

if command -v lintian >/dev/null; then
  lintian --allow-root --fail-on error,warning "$folder"/*.deb || fail "lintian found something"
fi
exit $failed
