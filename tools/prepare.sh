# Sourced by the other tools from the package folder: makes sure that what they need is installed.
# shellcheck shell=bash

say() { printf '%s\n' "-- $*" >&2; }

fail() {
  printf '%s\n' "$(basename "$0"): $*" >&2
  exit 69 # EX_UNAVAILABLE
}

# Installs the Debian packages named, as root or through sudo.
install_packages() {
  local runner=()
  command -v apt-get >/dev/null || fail "please install these packages by hand: $*"
  if [ "$(id -u)" -ne 0 ]; then
    command -v sudo >/dev/null || fail "please install as root: apt-get install $*"
    runner=(sudo)
  fi
  say "installing $*"
  "${runner[@]}" apt-get update -qq >&2
  DEBIAN_FRONTEND=noninteractive "${runner[@]}" apt-get install -y -qq --no-install-recommends "$@" >&2
}

require_swift() {
  command -v swift >/dev/null || fail "Swift 6.3 or later is needed: https://www.swift.org/install"
  local version
  version=$(swift --version 2>/dev/null | sed -n 's/.*Swift version \([0-9.]*\).*/\1/p' | head -1)
  printf '6.3\n%s\n' "$version" | sort -V -C || fail "Swift 6.3 or later is needed, found ${version:-none}"
}

# What the package needs beside Swift: zlib for torch archives, git for the two Swift packages, OpenBLAS for training.
require_build_packages() {
  local missing=()
  ldconfig -p | grep -q 'libopenblas\.so\.0' || missing+=(libopenblas0-pthread)
  [ -e /usr/include/zlib.h ] || missing+=(zlib1g-dev)
  command -v git >/dev/null || missing+=(git ca-certificates)
  [ ${#missing[@]} -eq 0 ] || install_packages "${missing[@]}"
}

require_python() {
  command -v python3 >/dev/null || install_packages python3
}

# A python3 with numpy first on PATH; in a virtual environment of its own if the present one has none.
require_numpy() {
  require_python
  python3 -c 'import numpy' 2>/dev/null && return
  if [ ! -x .venv-tools/bin/python3 ] || ! .venv-tools/bin/python3 -c 'import numpy' 2>/dev/null; then
    python3 -c 'import ensurepip' 2>/dev/null || install_packages python3-venv
    say "installing numpy into .venv-tools"
    python3 -m venv .venv-tools
    .venv-tools/bin/pip install --quiet 'numpy==2.2.6'
  fi
  PATH="$PWD/.venv-tools/bin:$PATH"
  export PATH
}

# A python3 with pip first on PATH; in a virtual environment of its own if the present one has none.
require_pip() {
  require_python
  python3 -m pip --version >/dev/null 2>&1 && return
  if [ ! -x .venv-tools/bin/python3 ]; then
    python3 -c 'import ensurepip' 2>/dev/null || install_packages python3-venv
    python3 -m venv .venv-tools
  fi
  PATH="$PWD/.venv-tools/bin:$PATH"
  export PATH
}
