# Sourced by run.sh and test.sh: installs what is missing and builds. Not to be run by itself.
#   ensure_packages [NAME…]  installs the Debian packages of cmake/packages.txt, and those named, that are missing
#   build PRESET TARGET…     configures once and builds. Without a terminal, a line every ten seconds says
#                            how far it is, and the compiler's output is shown if something goes wrong.

ensure_packages() {
  local missing=() package
  for package in $(cat cmake/packages.txt) "$@"; do
    [ "$(dpkg-query -W -f '${db:Status-Abbrev}' "$package" 2>/dev/null)" = "ii " ] || missing+=("$package")
  done
  [ ${#missing[@]} -gt 0 ] || return 0
  if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null; then
    echo "convopt needs these Debian packages, and only root can install them: ${missing[*]}" >&2
    exit 4
  fi
  echo "installing ${missing[*]}" >&2
  { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq "${missing[@]}"; } >&2 </dev/null || {
    echo "could not install: ${missing[*]}" >&2
    exit 4
  }
}

# Reads ninja's output, keeps it in the file $1 and tells every ten seconds how far the build is.
show_progress() {
  local log=$1 line step="" last=$SECONDS begin=$SECONDS code
  while true; do
    code=0
    IFS= read -r -t 2 line || code=$?
    if [ "$code" -eq 0 ]; then
      printf '%s\n' "$line" >>"$log"
      [[ $line =~ ^\[([0-9]+/[0-9]+)\] ]] && step=${BASH_REMATCH[1]}
    elif [ "$code" -le 128 ]; then
      return 0
    fi
    if [ -n "$step" ] && [ $((SECONDS - last)) -ge 10 ]; then
      last=$SECONDS
      echo "building: $step after $((SECONDS - begin)) s" >&2
    fi
  done
}

build() {
  local preset=$1 log
  shift
  log=$(mktemp)
  trap 'rm -f "$log"' RETURN
  # Configured anew only where it was never done: CMake itself notices changed files.
  if [ ! -e "build/$preset/build.ninja" ]; then
    cmake --preset "$preset" >"$log" 2>&1 || { cat "$log" >&2; return 1; }
  fi
  if [ -t 2 ]; then
    cmake --build "build/$preset" --target "$@" >&2
  elif ! cmake --build "build/$preset" --target "$@" 2>&1 | show_progress "$log"; then
    cat "$log" >&2
    return 1
  fi
}
