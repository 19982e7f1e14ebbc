#!/bin/bash
# Looks for Debian packages that the build and the tests need, and installs those that are missing.
#
#   packages.sh check|install PACKAGE:PROOF...
#
# PROOF is a program, a Python module (ensurepip) or a header that shows that the package is there.
set -euo pipefail

has() {
  case $1 in
    /*) [ -e "$1" ] ;;
    ensurepip) python3 -c 'import ensurepip' 2>/dev/null ;;
    */*.h) [ -e "/usr/include/$1" ] || [ -e "/usr/include/$(uname -m)-linux-gnu/$1" ] ;;
    *) command -v "$1" >/dev/null || [ -x "/usr/sbin/$1" ] ;;
  esac
}

action=$1
shift
missing=()
for entry in "$@"; do has "${entry#*:}" || missing+=("${entry%%:*}"); done

if ! command -v swift >/dev/null; then
  echo "Swift 6.2 or later is missing: https://www.swift.org/install/linux/" >&2
  exit 1
fi
if [ ${#missing[@]} -eq 0 ]; then
  exit 0
fi
if [ "$action" = check ]; then
  echo "These Debian packages are missing: ${missing[*]}" >&2
  echo "Install them with: make deps" >&2
  exit 1
fi

as_root=()
if [ "$(id -u)" != 0 ]; then as_root=(sudo); fi
echo "Installing ${missing[*]}"
# apt starts the services of redis-server and nginx; the tests neither need nor touch them.
"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get update -qq
"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}"
